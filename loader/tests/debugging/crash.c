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

__attribute__((noinline)) void my_call(void (*function)(void))
{
    function();
}

int main(int count, char **arguments)
{
    (void)arguments;
    printf("%d\n", my_function(21));
    fflush(stdout);
    if (count > 1)
        my_call(0);
    my_fault(0);
    return 0;
}
