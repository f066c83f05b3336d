//! Machine code for ports in Wine's thread pool. Every function of it is stdcall; rules as in [`super::code`].

use crate::host::wine::narrow::{call_service, ret};
use crate::host::wine::pool_code::{Pool, Service};

impl Pool {
    /// `table[service](arguments of this function)`, to eax; clobbers what a call does. The stack is as at the entry.
    fn service(&self, code: &mut Vec<u8>, service: Service) {
        call_service(code, self.target, self.number(service));
        code.push(0x58); // pop eax
    }

    /// As `service`, with one argument that was just pushed and stays there.
    fn service_of_pushed(&self, code: &mut Vec<u8>, service: Service) {
        code.push(0x50); // push eax: where a return address would be
        self.service(code, service);
        code.push(0x59); // pop ecx
    }

    /// `TpAllocAlpcCompletion(out, port, callback, context, environ)`, whose work calls back at `callback`.
    pub fn alloc(&self, callback: u64) -> Vec<u8> {
        let mut code = Vec::with_capacity(128);
        self.service(&mut code, Service::New);
        code.extend([0x85, 0xc0]); // test eax, eax
        code.extend([0x75, 0]); // jne out
        let to_out = code.len() - 1;
        code.extend([0xff, 0x74, 0x24, 0x14]); // push [esp+20]: environ
        code.extend([0xff, 0x74, 0x24, 0x0c]); // push [esp+12]: what New made of the second argument
        code.push(0x68); // push callback
        code.extend((callback as u32).to_le_bytes());
        code.extend([0xff, 0x74, 0x24, 0x10]); // push [esp+16]: out
        call(&mut code, self.functions.alloc_work);
        code.extend([0x89, 0x44, 0x24, 0x0c]); // mov [esp+12], eax
        self.service(&mut code, Service::Finish);
        code[to_out] = (code.len() - to_out - 1) as u8;
        ret(&mut code, 5); // out:
        code
    }

    /// The work's callback, `(instance, given, work)`: calls `given[0](instance, given[1], work, 0)`, again if asked to. The
    /// program's callback may take three of these arguments or four.
    pub fn callback(&self) -> Vec<u8> {
        let mut code = Vec::with_capacity(128);
        code.push(0x55); // push ebp
        code.extend([0x89, 0xe5]); // mov ebp, esp
        code.extend([0xff, 0x75, 0x0c]); // push [ebp+12]: given
        self.service_of_pushed(&mut code, Service::Enter);
        let again = code.len();
        code.extend([0x8b, 0x45, 0x0c]); // again: mov eax, [ebp+12]
        code.extend([0x6a, 0x00]); // push 0
        code.extend([0xff, 0x75, 0x10]); // push [ebp+16]: work
        code.extend([0xff, 0x70, 0x08]); // push [eax+8]: its context
        code.extend([0xff, 0x75, 0x08]); // push [ebp+8]: instance
        code.extend([0xff, 0x10]); // call [eax]
        code.extend([0x8d, 0x65, 0xfc]); // lea esp, [ebp-4]
        self.service_of_pushed(&mut code, Service::Leave);
        code.extend([0x85, 0xc0]); // test eax, eax
        let distance = code.len() + 2 - again;
        code.extend([0x75, (distance as u8).wrapping_neg()]); // jne again
        code.push(0xc9); // leave
        ret(&mut code, 3);
        code
    }

    /// The poster: a thread that posts works as they come.
    pub fn poster(&self) -> Vec<u8> {
        let mut code = Vec::with_capacity(64);
        code.extend([0x6a, 0x00]); // next: push 0
        self.service_of_pushed(&mut code, Service::Next);
        code.push(0x59); // pop ecx: the work
        code.extend([0x85, 0xc0]); // test eax, eax
        code.extend([0x75, 0]); // jne out
        let to_out = code.len() - 1;
        code.push(0x51); // push ecx
        call(&mut code, self.functions.post_work);
        let distance = code.len() + 2;
        code.extend([0xeb, (distance as u8).wrapping_neg()]); // jmp next
        code[to_out] = (code.len() - to_out - 1) as u8;
        code.extend([0x31, 0xc0]); // out: xor eax, eax
        ret(&mut code, 1);
        code
    }

    /// `TpReleaseAlpcCompletion(work)`.
    pub fn release(&self) -> Vec<u8> {
        let mut code = Vec::with_capacity(48);
        self.service(&mut code, Service::Release);
        code.push(0xb8); // mov eax, TpReleaseWork
        code.extend((self.functions.release_work as u32).to_le_bytes());
        code.extend([0xff, 0xe0]); // jmp eax
        code
    }

    /// `TpWaitForAlpcCompletion(work)`.
    pub fn wait(&self) -> Vec<u8> {
        let mut code = vec![0x6a, 0x00]; // push 0
        code.extend([0xff, 0x74, 0x24, 0x08]); // push [esp+8]
        call(&mut code, self.functions.wait_for_work);
        ret(&mut code, 1);
        code
    }
}

/// Calls a function of Wine's.
fn call(code: &mut Vec<u8>, function: u64) {
    code.push(0xb8); // mov eax, function
    code.extend((function as u32).to_le_bytes());
    code.extend([0xff, 0xd0]); // call eax
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::wine::code::Target;
    use crate::host::wine::pool_code::Functions;

    #[test]
    fn short_jumps_lead_to_their_places() {
        let target = Target {
            table: 1,
            dispatcher_variable: 2,
        };
        let functions = Functions {
            alloc_work: 3,
            release_work: 4,
            wait_for_work: 5,
            post_work: 6,
        };
        let pool = Pool::new(target, 100, functions);
        let callback = pool.callback();
        let at = callback.len() - 6;
        assert_eq!(callback[at], 0x75);
        let to = at as i64 + 2 + i64::from(callback[at + 1].cast_signed());
        assert_eq!(callback[to as usize..][..3], [0x8b, 0x45, 0x0c]);
        let poster = pool.poster();
        let at = poster.windows(2).rposition(|w| w[0] == 0xeb).expect("jmp");
        let to = at as i64 + 2 + i64::from(poster[at + 1].cast_signed());
        assert_eq!(to, 0);
    }
}
