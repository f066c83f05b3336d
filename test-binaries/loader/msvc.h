/* What msvc.c tests of msvc.cpp, which another compiler builds. */
#ifndef MSVC_H
#define MSVC_H

#ifdef __cplusplus
extern "C" {
#endif

/* Notes a letter. */
void trail(char letter);

int by_reference(void);
int by_value(void);
int by_virtual_base(void);
int by_pointer(void);
int first_match(int kind);
int rethrown(void);
int thrown_in_catch(void);
int caught_in_catch(void);
int in_a_loop(int count);
int rethrown_through(int depth);
int from_callback(void (*callback)(void));
void throw_number(int number);
int excepted(void (*callback)(void));
int casts(void);
int uncaught(int number);
int by_function_try(int number);
int part_of_an_array(void);
int by_pointer_conversions(int kind);
int thrown_by_destructor(void);
int caught_while_unwinding(void);
int jumps_out_of_catch(void);
int finally_runs(void (*callback)(void));
void ended(int kind);
int translated(void (*callback)(void));
int left_alone(void (*callback)(void));
int excepted_by(int (*function)(void (*)(void)), void (*callback)(void));
int caught_by_version_4(void (*callback)(void));

#ifdef __cplusplus
}
#endif

#endif
