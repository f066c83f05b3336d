//! One declaration per export of a built-in DLL, and everything generated from it.
//!
//! [`win_api!`](crate::win_api) is the only way a function or variable becomes visible to guests.
//! It yields the entry for both widths, the i386 byte count and decorated name, the trace line,
//! `--list-missing`, and the generated table of the docs. See `docs/loader.md`.

mod arg;
mod boolean;
mod callback;
mod registers32;
mod varargs;

use std::sync::atomic::{AtomicU64, Ordering};

pub use crate::guest::{Guest, Memory, Ptr};
pub use arg::{Arg, ArgCursor, Ret};
pub use boolean::{Bool, Boolean};
pub use callback::{Callback, Caller};
pub use registers32::{Eax, Popped, St, Xmm};
pub use varargs::{VaList, VarArgs};

use crate::gate::CallFrame;

/// Every declaration of every built-in DLL, in link order.
#[allow(
    unsafe_code,
    reason = "linkme gathers the declarations through a link section"
)]
#[linkme::distributed_slice]
pub static EXPORTS: [Export];

/// One declared function or variable.
#[derive(Debug)]
pub struct Export {
    /// DLLs that export it, lower case, joined by `|`.
    pub dlls: &'static str,
    /// Exported names, joined by `|`.
    pub names: &'static str,
    /// Ordinal that programs import it by, where one is fixed.
    pub ordinal: Option<u16>,
    /// What lies behind the exported address.
    pub entry: Entry,
    /// Source file of the declaration.
    pub file: &'static str,
}

/// What an export is.
#[derive(Debug)]
pub enum Entry {
    /// A Rust function behind a gate.
    Function(Function),
    /// A variable in guest memory.
    Data(&'static dyn DataSlot),
    /// 32-bit code, for i386 programs only.
    Code32(Code32),
}

/// The callable kind of export.
#[derive(Debug)]
pub struct Function {
    /// How i386 callers clean the stack.
    pub convention: Convention,
    /// Bytes of arguments on an i386 stack.
    pub bytes32: u32,
    /// Reads the arguments, runs the function, encodes its result.
    pub call: fn(&CallFrame) -> u64,
    /// Arguments in order, for the trace.
    pub args: &'static [ArgInfo],
    /// Prints a result, for the trace.
    pub show_result: fn(u64, &mut String),
    /// Whether an i386 caller expects the result in `st0`.
    pub returns_float: bool,
    /// Whether an i386 caller passes an argument in eax.
    pub takes_eax: bool,
}

/// Name and printer of one argument.
#[derive(Debug)]
pub struct ArgInfo {
    /// Name as declared.
    pub name: &'static str,
    /// Reads the argument from the cursor and prints it.
    pub show: fn(&mut ArgCursor<'_>, &mut String),
}

/// Calling convention on i386; x86-64 has only one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(
    non_camel_case_types,
    dead_code,
    reason = "spelled as in declarations and in C; no built-in DLL has all of them"
)]
pub enum Convention {
    /// Callee cleans the stack.
    stdcall,
    /// Caller cleans the stack.
    cdecl,
    /// `this` in ecx, callee cleans the stack.
    thiscall,
    /// Two arguments in ecx and edx, callee cleans the stack.
    fastcall,
}

impl Convention {
    /// Returns how many arguments an i386 caller passes in ecx and edx.
    #[must_use]
    pub const fn registers32(self) -> usize {
        match self {
            Convention::stdcall | Convention::cdecl => 0,
            Convention::thiscall => 1,
            Convention::fastcall => 2,
        }
    }
}

impl Function {
    /// Returns how many bytes of arguments an i386 callee removes from the stack.
    #[must_use]
    pub fn stack_bytes32(&self) -> u32 {
        match self.convention {
            Convention::cdecl => 0,
            other => self.bytes32.saturating_sub(4 * other.registers32() as u32),
        }
    }
}

impl Export {
    /// Iterates over the exported names.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.names.split('|')
    }
}

/// Storage of an exported variable, whatever its type.
pub trait DataSlot: Sync + std::fmt::Debug {
    /// Returns the address, making the variable on first use.
    fn address(&self) -> u64;
}

/// An exported variable of type `T` in guest memory.
#[derive(Debug)]
pub struct Data<T> {
    address: AtomicU64,
    initial: fn() -> T,
}

impl<T: Guest> Data<T> {
    /// Declares a variable that starts with the value of `initial`.
    #[must_use]
    pub const fn new(initial: fn() -> T) -> Self {
        Data {
            address: AtomicU64::new(0),
            initial,
        }
    }

    /// Returns where the guest sees it.
    pub fn ptr(&self) -> Ptr<T> {
        let known = self.address.load(Ordering::Acquire);
        if known != 0 {
            return Ptr::new(known);
        }
        let fresh = crate::vm::low::allocate(T::size(), T::align());
        Ptr::<T>::new(fresh).write((self.initial)());
        match self
            .address
            .compare_exchange(0, fresh, Ordering::AcqRel, Ordering::Acquire)
        {
            Ok(_) => Ptr::new(fresh),
            Err(winner) => Ptr::new(winner),
        }
    }
}

impl<T: Guest + std::fmt::Debug> DataSlot for Data<T> {
    fn address(&self) -> u64 {
        self.ptr().address()
    }
}

/// Position-independent i386 machine code in this program's image.
#[derive(Debug)]
pub struct Code32 {
    start: *const u8,
    end: *const u8,
}

#[allow(unsafe_code, reason = "code is read-only")]
// SAFETY: both point into this program's code, which nobody writes to.
unsafe impl Sync for Code32 {}

impl Code32 {
    /// Declares the code between two labels of one section, in this order.
    #[must_use]
    pub const fn new(start: *const u8, end: *const u8) -> Code32 {
        Code32 { start, end }
    }

    /// Returns the code.
    #[must_use]
    #[allow(unsafe_code, reason = "reads this program's code")]
    pub fn bytes(&self) -> &'static [u8] {
        let length = self.end.addr() - self.start.addr();
        // SAFETY: the labels bound code of this program's image, which stays as it is.
        unsafe { std::slice::from_raw_parts(self.start, length) }
    }
}

/// Declares exports of built-in DLLs. Grammar, once per item:
///
/// ```text
/// /// One line of documentation.
/// "dll|dll" stdcall fn Name @ordinal = "ExportedName|Other" (arg: Type, …) -> Type { body }
/// "dll|dll" data    Name @ordinal = "ExportedName" : Type = initial value;
/// "dll|dll" code32  Name = "ExportedName|Other" : Code32;
/// ```
///
/// `@ordinal` and `= "…"` may be left out; the names given by `= "…"` replace `Name`. The function
/// is also an ordinary Rust function `Name` of the module.
#[macro_export]
macro_rules! win_api {
    () => {};
    (@result) => { () };
    (@result $result:ty) => { $result };
    (@names $name:ident) => { stringify!($name) };
    (@names $name:ident $names:literal) => { $names };
    (@export $dll:expr, $names:expr, $ordinal:expr, $entry:expr) => {
        const _: () = {
            #[allow(unsafe_code, reason = "linkme places the declaration in a link section")]
            #[linkme::distributed_slice($crate::export::EXPORTS)]
            static EXPORT: $crate::export::Export = $crate::export::Export {
                dlls: $dll,
                names: $names,
                file: file!(),
                ordinal: $ordinal,
                entry: $entry,
            };
        };
    };
    (@ordinal) => { None };
    (@ordinal $ordinal:literal) => { Some($ordinal) };

    ($(#[doc = $doc:literal])* $dll:literal data $name:ident $(@ $ordinal:literal)? $(= $names:literal)? : $ty:ty = $initial:expr; $($rest:tt)*) => {
        $(#[doc = $doc])*
        #[allow(non_upper_case_globals, reason = "named as the guest names it")]
        pub(crate) static $name: $crate::export::Data<$ty> = $crate::export::Data::new(|| $initial);
        $crate::win_api!(@export $dll, $crate::win_api!(@names $name $($names)?), $crate::win_api!(@ordinal $($ordinal)?),
            $crate::export::Entry::Data(&$name));
        $crate::win_api! { $($rest)* }
    };

    ($(#[doc = $doc:literal])* $dll:literal code32 $name:ident $(= $names:literal)? : $code:expr; $($rest:tt)*) => {
        $crate::win_api!(@export $dll, $crate::win_api!(@names $name $($names)?), None, $crate::export::Entry::Code32($code));
        $crate::win_api! { $($rest)* }
    };

    ($(#[doc = $doc:literal])* $dll:literal $convention:ident fn $name:ident $(@ $ordinal:literal)? $(= $names:literal)? ( $($arg:ident : $ty:ty),* $(,)? ) $(-> $result:ty)? $body:block $($rest:tt)*) => {
        $(#[doc = $doc])*
        #[allow(non_snake_case, dead_code, unused_variables, clippy::too_many_arguments, reason = "the guest's names and prototypes")]
        pub(crate) fn $name($($arg: $ty),*) $(-> $result)? $body
        const _: () = {
            #[allow(unused_variables, unused_mut, non_snake_case, reason = "functions without arguments; guest names")]
            fn call(frame: &$crate::gate::CallFrame) -> u64 {
                let mut cursor = $crate::export::ArgCursor::new(frame, $crate::export::Convention::$convention);
                $(let $arg = <$ty as $crate::export::Arg>::fetch(&mut cursor);)*
                $crate::export::Ret::encode($name($($arg),*))
            }
            $crate::win_api!(@export $dll, $crate::win_api!(@names $name $($names)?), $crate::win_api!(@ordinal $($ordinal)?),
                $crate::export::Entry::Function($crate::export::Function {
                    convention: $crate::export::Convention::$convention,
                    bytes32: 4 * (0 $(+ <$ty as $crate::export::Arg>::SLOTS32)*),
                    call,
                    args: &[$($crate::export::ArgInfo {
                        name: stringify!($arg),
                        show: |cursor, out| $crate::export::Arg::show(&<$ty as $crate::export::Arg>::fetch(cursor), out),
                    }),*],
                    show_result: <$crate::win_api!(@result $($result)?) as $crate::export::Ret>::show,
                    returns_float: <$crate::win_api!(@result $($result)?) as $crate::export::Ret>::IS_FLOAT,
                    takes_eax: false $(|| <$ty as $crate::export::Arg>::IN_EAX)*,
                }));
        };
        $crate::win_api! { $($rest)* }
    };
}
