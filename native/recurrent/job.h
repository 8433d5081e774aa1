// The work of one layer in one direction, as plain pointers. Filled in by bind/, which has checked every size.
#pragma once

#include <cstdint>

namespace recurra {

constexpr int JOB_STATES = 8;
constexpr int JOB_PARAMETERS = 7;

// What the matrices among the parameters consist of. The others are float32.
// BFLOAT16_PRODUCTS: bfloat16, and what they multiply is rounded to bfloat16 too.
enum Precision { FLOAT32, BFLOAT16, INT8, BFLOAT16_PRODUCTS };
constexpr long bytes_of(Precision precision) { return precision == FLOAT32 ? 4 : precision == INT8 ? 1 : 2; }

// Rows are ordered by length, longest first: rank[r] is the row of the batch at place r. At step t the first active[t]
// of them are real; they are the tokens token[t] .. token[t + 1]. Padding has no token, so it costs nothing.
struct Job {
    const void* plan;
    long T, N, I, H, P;
    bool reverse, training;
    int threads;
    const int* rank;
    const int* active;
    const long* token;

    const float* x;                            // (T, N, I)
    const float* states[JOB_STATES];           // (N, width)
    const float* parameters[JOB_PARAMETERS];   // packed, null if absent; matrices are of `precision`
    Precision precision;                       // for the forward pass without training alone, unless float32
    const float* scales[JOB_PARAMETERS];       // one number a row of a matrix of INT8, else null
    const std::uint8_t* zone_mask[JOB_STATES]; // (T, N, width): 1 keeps the old value; or null
    float zone[JOB_STATES];                    // probability of that, or 0
    const float* mask;                         // (N, width of the recurrent argument) or null
    float* output;                             // (T, N, width of the first state)
    float* finals[JOB_STATES];                 // (N, width)
    char* tape;                                // tape_bytes, written if training
    char* weights;                             // weight_bytes: parameters packed for the forward pass
    bool packed;                               // whether they are there already
    char* scratch;                             // forward_bytes or backward_bytes

    const float* d_output;                 // null if zero
    const float* d_finals[JOB_STATES];     // null if zero
    float* d_x;                            // null if not wanted
    float* d_states[JOB_STATES];           // (N, width), null if not wanted
    float* d_parameters[JOB_PARAMETERS];   // null if not wanted

    bool zeros;  // whether the states are zeros and the recurrent weights finite, so that their product is zeros
};

// The engine for one instruction set.
struct Engine {
    const char* isa;
    const void* (*find)(const char* cell);         // the plan of a built-in cell, or null
    bool (*fits)(const void* plan);                // whether a plan from elsewhere has this version
    long (*tape_bytes)(const Job&);
    long (*weight_bytes)(const Job&);              // depends on I, H and P alone
    long (*forward_bytes)(const Job&);
    long (*backward_bytes)(const Job&);
    void (*pack)(const Job&);                      // fills job.weights
    void (*forward)(const Job&);
    void (*backward)(const Job&);
    const char* (*cell)(int k);                    // name of built-in cell k, or null after the last
    void (*describe)(const void* plan, int* states, int* widths, int* gates);  // per state 0 H, 1 P; per parameter
    void (*unit_wise)(const char* function, const float* a, float* out, long count);  // for accuracy tests
    // What the processor can do at most (speed.h): operations, and bytes, that were done.
    double (*fma_rounds)(long rounds);
    double (*read_rounds)(const float* memory, long bytes, long rounds);
    long (*stage_bytes)(const Job&, bool back);
    void (*stage_rounds)(const Job&, bool back, long rounds);
};

extern const Engine engine_portable;
#if defined(__x86_64__)
extern const Engine engine_avx2;
extern const Engine engine_avx512;
#endif

}  // namespace recurra
