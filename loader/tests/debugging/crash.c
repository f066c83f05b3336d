/* Calls a function, then faults in another one. */
#include <stdio.h>

__attribute__((noinline)) int my_function(int number)
{
    return number * 2;
}

__attribute__((noinline)) void my_fault(int *at)
{
    *at = 1; /* the fault */
}

int main(void)
{
    printf("%d\n", my_function(21));
    fflush(stdout);
    my_fault(0);
    return 0;
}
