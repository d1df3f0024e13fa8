/* The variadic end of gzprintf: stable Rust cannot define such functions. The exported gzprintf is a jump to
   this one (see src/export/gz.rs), because only Rust's own items are exported from the shared object. */
#include <stdarg.h>

/* Protected: exported as all of the API is, yet always this library's own. */
extern int gzvprintf(void *file, const char *format, void *args) __attribute__((visibility("protected")));

/* va_list is an array (x86-64) or a structure passed by reference (aarch64): both reach Rust as a pointer. */
#if defined(__aarch64__)
#define WDZ_ARGS(list) ((void *)&(list))
#else
#define WDZ_ARGS(list) ((void *)(list))
#endif

int wdz_gzprintf(void *file, const char *format, ...) {
    va_list list;
    va_start(list, format);
    int written = gzvprintf(file, format, WDZ_ARGS(list));
    va_end(list);
    return written;
}
