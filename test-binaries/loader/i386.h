/* What tests of 32-bit programs alone share: the thread's block, its chain of handlers, its stack. */
#ifndef I386_H
#define I386_H

#include "../lpctest.h"

#ifdef __i386__

struct registration {
    struct registration *next;
    void *handler;
};

static inline struct registration *chain(void)
{
    struct registration *first;
    __asm__ volatile("movl %%fs:0, %0" : "=r"(first));
    return first;
}

static inline void set_chain(struct registration *first)
{
    __asm__ volatile("movl %0, %%fs:0" : : "r"(first) : "memory");
}

static inline DWORD *teb(void)
{
    DWORD *self;
    __asm__ volatile("movl %%fs:0x18, %0" : "=r"(self));
    return self;
}

static inline ULONG_PTR stack_pointer(void)
{
    ULONG_PTR esp;
    __asm__ volatile("movl %%esp, %0" : "=r"(esp));
    return esp;
}

#endif

#endif
