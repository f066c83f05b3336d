//! Machine code for ports in Wine's thread pool. Rules as in [`super::code`]. A call of a service passes the address of its
//! arguments in r8.

use crate::host::wine::pool_code::{Pool, Service};

impl Pool {
    /// `call table[service](rsp + offset)`, which clobbers what a call does.
    fn service(&self, code: &mut Vec<u8>, service: Service, offset: u8) {
        code.extend([0x4c, 0x8d, 0x44, 0x24, offset]); // lea r8, [rsp+offset]
        code.push(0xba); // mov edx, index
        code.extend(self.number(service).to_le_bytes());
        code.extend([0x48, 0xb9]); // mov rcx, table
        code.extend(self.target.table.to_le_bytes());
        code.extend([0x48, 0xb8]); // mov rax, dispatcher_variable
        code.extend(self.target.dispatcher_variable.to_le_bytes());
        code.extend([0xff, 0x10]); // call [rax]
    }

    /// `TpAllocAlpcCompletion(out, port, callback, context, environ)`, whose work calls back at `callback`.
    pub fn alloc(&self, callback: u64) -> Vec<u8> {
        let mut code = Vec::with_capacity(192);
        code.extend([0x48, 0x89, 0x4c, 0x24, 0x08]); // mov [rsp+8], rcx
        code.extend([0x48, 0x89, 0x54, 0x24, 0x10]); // mov [rsp+16], rdx
        code.extend([0x4c, 0x89, 0x44, 0x24, 0x18]); // mov [rsp+24], r8
        code.extend([0x4c, 0x89, 0x4c, 0x24, 0x20]); // mov [rsp+32], r9
        code.extend([0x48, 0x83, 0xec, 0x38]); // sub rsp, 56
        self.service(&mut code, Service::New, 0x40);
        code.extend([0x85, 0xc0]); // test eax, eax
        code.extend([0x75, 0]); // jne out
        let to_out = code.len() - 1;
        code.extend([0x48, 0x8b, 0x4c, 0x24, 0x40]); // mov rcx, [rsp+64]
        code.extend([0x48, 0xba]); // mov rdx, callback
        code.extend(callback.to_le_bytes());
        code.extend([0x4c, 0x8b, 0x44, 0x24, 0x48]); // mov r8, [rsp+72]: what New made of the second argument
        code.extend([0x4c, 0x8b, 0x4c, 0x24, 0x60]); // mov r9, [rsp+96]: the fifth argument
        code.extend([0x48, 0xb8]); // mov rax, TpAllocWork
        code.extend(self.functions.alloc_work.to_le_bytes());
        code.extend([0xff, 0xd0]); // call rax
        code.extend([0x48, 0x89, 0x44, 0x24, 0x50]); // mov [rsp+80], rax
        self.service(&mut code, Service::Finish, 0x40);
        code[to_out] = (code.len() - to_out - 1) as u8;
        code.extend([0x48, 0x83, 0xc4, 0x38]); // out: add rsp, 56
        code.push(0xc3); // ret
        code
    }

    /// The work's callback, `(instance, given, work)`: calls `given[0](instance, given[1], work, 0)`, again if asked to.
    pub fn callback(&self) -> Vec<u8> {
        let mut code = Vec::with_capacity(160);
        code.extend([0x48, 0x89, 0x4c, 0x24, 0x08]); // mov [rsp+8], rcx
        code.extend([0x48, 0x89, 0x54, 0x24, 0x10]); // mov [rsp+16], rdx
        code.extend([0x4c, 0x89, 0x44, 0x24, 0x18]); // mov [rsp+24], r8
        code.extend([0x48, 0x83, 0xec, 0x28]); // sub rsp, 40
        self.service(&mut code, Service::Enter, 0x38);
        let again = code.len();
        code.extend([0x48, 0x8b, 0x4c, 0x24, 0x30]); // again: mov rcx, [rsp+48]
        code.extend([0x48, 0x8b, 0x44, 0x24, 0x38]); // mov rax, [rsp+56]
        code.extend([0x48, 0x8b, 0x50, 0x08]); // mov rdx, [rax+8]
        code.extend([0x4c, 0x8b, 0x44, 0x24, 0x40]); // mov r8, [rsp+64]
        code.extend([0x45, 0x31, 0xc9]); // xor r9d, r9d
        code.extend([0xff, 0x10]); // call [rax]
        self.service(&mut code, Service::Leave, 0x38);
        code.extend([0x85, 0xc0]); // test eax, eax
        let distance = code.len() + 2 - again;
        code.extend([0x75, (distance as u8).wrapping_neg()]); // jne again
        code.extend([0x48, 0x83, 0xc4, 0x28]); // add rsp, 40
        code.push(0xc3); // ret
        code
    }

    /// The poster: a thread that posts works as they come.
    pub fn poster(&self) -> Vec<u8> {
        let mut code = Vec::with_capacity(96);
        code.extend([0x48, 0x83, 0xec, 0x28]); // sub rsp, 40
        self.service(&mut code, Service::Next, 0x30); // next:
        code.extend([0x85, 0xc0]); // test eax, eax
        code.extend([0x75, 0]); // jne out
        let to_out = code.len() - 1;
        code.extend([0x48, 0x8b, 0x4c, 0x24, 0x30]); // mov rcx, [rsp+48]
        code.extend([0x48, 0xb8]); // mov rax, TpPostWork
        code.extend(self.functions.post_work.to_le_bytes());
        code.extend([0xff, 0xd0]); // call rax
        let distance = code.len() + 2 - 4;
        code.extend([0xeb, (distance as u8).wrapping_neg()]); // jmp next
        code[to_out] = (code.len() - to_out - 1) as u8;
        code.extend([0x31, 0xc0]); // out: xor eax, eax
        code.extend([0x48, 0x83, 0xc4, 0x28]); // add rsp, 40
        code.push(0xc3); // ret
        code
    }

    /// `TpReleaseAlpcCompletion(work)`.
    pub fn release(&self) -> Vec<u8> {
        let mut code = Vec::with_capacity(96);
        code.extend([0x48, 0x89, 0x4c, 0x24, 0x08]); // mov [rsp+8], rcx
        code.extend([0x48, 0x83, 0xec, 0x28]); // sub rsp, 40
        self.service(&mut code, Service::Release, 0x30);
        code.extend([0x48, 0x83, 0xc4, 0x28]); // add rsp, 40
        code.extend([0x48, 0x8b, 0x4c, 0x24, 0x08]); // mov rcx, [rsp+8]
        code.extend([0x48, 0xb8]); // mov rax, TpReleaseWork
        code.extend(self.functions.release_work.to_le_bytes());
        code.extend([0xff, 0xe0]); // jmp rax
        code
    }

    /// `TpWaitForAlpcCompletion(work)`.
    pub fn wait(&self) -> Vec<u8> {
        let mut code = vec![0x31, 0xd2]; // xor edx, edx
        code.extend([0x48, 0xb8]); // mov rax, TpWaitForWork
        code.extend(self.functions.wait_for_work.to_le_bytes());
        code.extend([0xff, 0xe0]); // jmp rax
        code
    }
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
        let at = callback
            .windows(2)
            .rposition(|w| w[0] == 0x75)
            .expect("jne");
        let to = at as i64 + 2 + i64::from(callback[at + 1].cast_signed());
        assert_eq!(callback[to as usize..][..5], [0x48, 0x8b, 0x4c, 0x24, 0x30]);
        let poster = pool.poster();
        let at = poster.windows(2).rposition(|w| w[0] == 0xeb).expect("jmp");
        let to = at as i64 + 2 + i64::from(poster[at + 1].cast_signed());
        assert_eq!(poster[to as usize..][..4], [0x4c, 0x8d, 0x44, 0x24]);
    }
}
