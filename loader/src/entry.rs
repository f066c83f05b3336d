//! What happens when the guest calls a stub: a function of a built-in DLL runs, traced if that is asked for, or a missing
//! import is named.

use crate::export::Function;
use crate::gate::CallFrame;
use crate::gate::stubs::{Stub, Target};
use crate::ob::suspend;
use crate::{exception, module, trace};

impl Target for Function {
    fn call(&self, stub: &'static Stub, frame: &CallFrame) -> u64 {
        let result = if trace::is_on() {
            trace::call(stub, self, frame)
        } else {
            (self.call)(frame)
        };
        if suspend::is_poked() {
            suspend::checkpoint(frame.activation(), result);
        }
        result
    }

    fn stack_bytes32(&self) -> u32 {
        Function::stack_bytes32(self)
    }

    fn returns_float(&self) -> bool {
        self.returns_float
    }

    fn takes_eax(&self) -> bool {
        self.takes_eax
    }
}

/// An import that nothing provides: a call of it is named on stderr and raises an exception.
#[derive(Debug)]
pub struct MissingImport;

impl Target for MissingImport {
    fn call(&self, stub: &'static Stub, frame: &CallFrame) -> u64 {
        let caller = frame.activation().return_address();
        let (name, at) = match module::containing(caller) {
            Some(module) => (module.name, caller - module.view.base),
            None => ("unknown code".into(), caller),
        };
        eprintln!(
            "lpcrun: {}!{} called by {name} at +{at:#x} is not implemented",
            stub.dll, stub.name
        );
        exception::raise_unimplemented(frame.activation())
    }
}
