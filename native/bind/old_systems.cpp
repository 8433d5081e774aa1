// What the compiler's C++ library takes from the newest system libraries, written so that the module also loads on
// older ones. A symbol that is defined here is not asked of the system. Part of wheels only (RECURRA_OLD_SYSTEMS).
#include <exception>
#include <new>

#define HERE __attribute__((visibility("hidden")))

// glibc 2.32: lets shared pointers count without atomics in a program of one thread. Never claimed here.
extern "C" {
HERE extern char __libc_single_threaded;
char __libc_single_threaded = 0;
}

// libstdc++ 11 took the counting of an exception's owners out of functions that every version has. Counting up is a copy
// that nobody destroys; counting down is the assignment of an empty pointer to one that nobody made.
extern "C" {
void copy_exception(void* to, const void* from) __asm__("_ZNSt15__exception_ptr13exception_ptrC1ERKS0_");
void assign_exception(void* to, const void* from) __asm__("_ZNSt15__exception_ptr13exception_ptraSERKS0_");
HERE void add_owner(void* one) __asm__("_ZNSt15__exception_ptr13exception_ptr9_M_addrefEv");
HERE void remove_owner(void* one) __asm__("_ZNSt15__exception_ptr13exception_ptr10_M_releaseEv");
HERE void bad_length() __asm__("_ZSt28__throw_bad_array_new_lengthv");

void add_owner(void* one) {
    void* copy[1];
    copy_exception(copy, one);
}

void remove_owner(void* one) {
    const void* empty[1] = {nullptr};
    assign_exception(one, empty);
}

void bad_length() { throw std::bad_array_new_length(); }
}

// glibc 2.29 gave both new versions, which set no errno; the numbers are those of the old ones, which every x86-64 system has.
#if defined(__x86_64__)
extern "C" {
double old_log(double x);
double old_pow(double x, double y);
__asm__(".symver old_log, log@GLIBC_2.2.5");
__asm__(".symver old_pow, pow@GLIBC_2.2.5");
HERE double log(double x) { return old_log(x); }
HERE double pow(double x, double y) { return old_pow(x, y); }
}
#endif
