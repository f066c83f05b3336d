/*
 * int caught_by_version_4(void (*callback)(void)): a function with the compressed tables of __CxxFrameHandler4, written by
 * hand as no compiler here writes them. It calls back inside of
 *
 *     try { Guard guard; callback(); } catch (int number) { return number + 1000; } return -1;
 *
 * where the destructor of `guard` is destroy_guard(). A number n below 128 is the byte 2n.
 */
        .text
        .globl caught_by_version_4
        .def caught_by_version_4; .scl 2; .type 32; .endef
        .seh_proc caught_by_version_4
caught_by_version_4:
        pushq %rbp
        .seh_pushreg %rbp
        subq $0x40, %rsp
        .seh_stackalloc 0x40
        leaq 0x20(%rsp), %rbp
        .seh_setframe %rbp, 0x20
        .seh_endprologue
.Lbegin:
        call *%rcx
.Lend:
        nop
        movl $-1, %eax
.Lreturn:
        addq $0x40, %rsp
        popq %rbp
        ret
.Lcontinue:
        movl 0x14(%rbp), %eax
        jmp .Lreturn
        .seh_handler __CxxFrameHandler4, @except, @unwind
        .seh_handlerdata
        .rva .Linfo
        .text
        .seh_endproc

        .seh_proc catch_block
catch_block:
        movq %rdx, 0x10(%rsp)
        pushq %rbp
        .seh_pushreg %rbp
        subq $0x20, %rsp
        .seh_stackalloc 0x20
        .seh_endprologue
        leaq 0x20(%rdx), %rbp
        movl 0x10(%rbp), %eax
        addl $1000, %eax
        movl %eax, 0x14(%rbp)
        leaq .Lcontinue(%rip), %rax
        addq $0x20, %rsp
        popq %rbp
        ret
        .seh_handler __CxxFrameHandler4, @except, @unwind
        .seh_handlerdata
        .rva .Lcatch_info
        .text
        .seh_endproc

        .section .rdata, "dr"
.Linfo:
        .byte 0x38                      /* unwind map, try map, C++ exceptions only */
        .rva .Lunwind, .Ltry, .Lips
.Lunwind:
        .byte 2 * 2
        .byte (1 << 2) * 2              /* state 0: nothing; around it is nothing */
        .byte (1 << 2 | 1) * 2          /* state 1: one byte behind state 0, destroys an object */
        .rva destroy_guard
        .byte 0x28 * 2
.Ltry:
        .byte 1 * 2
        .byte 0 * 2, 1 * 2, 2 * 2       /* states of the block, of its handler */
        .rva .Lhandlers
.Lhandlers:
        .byte 1 * 2
        .byte 0x06                      /* type, object; the block returns the address to go on */
        .rva .Lint
        .byte 0x30 * 2
        .rva catch_block
.Lips:
        .byte 2 * 2
        .byte (.Lbegin - caught_by_version_4) * 2, (1 + 1) * 2
        .byte (.Lend + 1 - .Lbegin) * 2, 0
.Lcatch_info:
        .byte 0x21                      /* a catch block, C++ exceptions only */
        .rva .Lcatch_ips
        .byte 0x38 * 2                  /* where rdx is kept */
.Lcatch_ips:
        .byte 0

        .data
        .p2align 4
.Lint:
        .quad 0, 0
        .asciz ".H"
