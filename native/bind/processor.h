// Which instruction sets this processor has.
#pragma once

#include <cstring>

namespace recurra {

// Whether code compiled for an instruction set runs here.
inline bool processor_runs(const char* isa) {
#if defined(__x86_64__)
    if (std::strcmp(isa, "avx512") == 0)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw");
    if (std::strcmp(isa, "avx2") == 0) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
    return std::strcmp(isa, "portable") == 0;
}

inline bool processor_is_amd() {
#if defined(__x86_64__)
    return __builtin_cpu_is("amd");
#else
    return false;
#endif
}

}  // namespace recurra
