/* What cpp.c tests of cpp.cpp. */
#ifndef CPP_H
#define CPP_H

#ifdef __cplusplus
extern "C" {
#endif

int cpp_exceptions(void);
int cpp_standard_exceptions(void);
int cpp_thread_locals(int threads);
int cpp_threads(int threads);
int cpp_condition_variables(void);
int cpp_exceptions_between_threads(void);
const char *cpp_text(void);
int cpp_streams_of_files(const char *path);
int cpp_casts(void);
int cpp_through_c(void (*callback)(void));
void cpp_throw(void);
int cpp_terminates(void);

#ifdef __cplusplus
}
#endif

#endif
