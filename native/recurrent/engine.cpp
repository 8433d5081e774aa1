// The engine for one instruction set: compiled once for each, with its flags. Everything here lives in a namespace of its
// own, and no template of the standard library is used, so that the linker can never take AVX-512 code for the portable one.
#include "../simd/math.h"
#include "gradients.h"
#include "speed.h"

namespace recurra::RECURRA_ISA {

#include "cells.inc"

namespace {

bool equal(const char* a, const char* b) {
    for (; *a && *a == *b; ++a, ++b) {}
    return *a == *b;
}

const void* find(const char* cell) {
    for (const Plan* plan : PLANS)
        if (equal(plan->name, cell)) return plan;
    return nullptr;
}

const char* cell(int k) {
    return k < static_cast<int>(sizeof PLANS / sizeof *PLANS) ? PLANS[k]->name : nullptr;
}

// How many blocks of each parameter the plan reads.
void describe(const void* from, int* states, int* widths, int* gates) {
    const Plan& plan = *static_cast<const Plan*>(from);
    *states = plan.states;
    for (int i = 0; i < plan.states; ++i) widths[i] = plan.state_width[i];
    for (int i = 0; i < NUM_PARAMETERS; ++i) gates[i] = 0;
    for (int k = 0; k < plan.num_outers; ++k)
        for (int g = 0; g < plan.outers[k].num_gates; ++g) {
            int& count = gates[plan.outers[k].weight];
            if (plan.outers[k].gates[g] >= count) count = plan.outers[k].gates[g] + 1;
        }
    for (int k = 0; k < plan.num_flows; ++k)
        for (int i = 0; i < plan.flows[k].targets.count; ++i) {
            const Source s = plan.flows[k].targets.item[i];
            if (s.gate >= gates[s.parameter]) gates[s.parameter] = s.gate + 1;
        }
}

bool fits(const void* plan) { return static_cast<const Plan*>(plan)->version == PLAN_VERSION; }

void unit_wise(const char* function, const float* a, float* out, long count) {
    for (long k = 0; k < count; k += VL) {
        const long left = count - k < VL ? count - k : VL;
        float in[VL] = {};
        std::memcpy(in, a + k, left * 4);
        const V v = load(in);
        V y = v;
        if (equal(function, "exp")) y = exp(v);
        if (equal(function, "log")) y = log(v);
        if (equal(function, "tanh")) y = tanh(v);
        if (equal(function, "sigmoid")) y = sigmoid(v);
        if (equal(function, "log_sigmoid")) y = log_sigmoid(v);
        if (equal(function, "log_nonzero")) y = log_nonzero(v);
        store(in, y);
        std::memcpy(out + k, in, left * 4);
    }
}

}  // namespace
}  // namespace recurra::RECURRA_ISA

#define RECURRA_NAME_(isa) engine_##isa
#define RECURRA_NAME(isa) RECURRA_NAME_(isa)
#define RECURRA_TEXT_(isa) #isa
#define RECURRA_TEXT(isa) RECURRA_TEXT_(isa)

namespace recurra {
extern const Engine RECURRA_NAME(RECURRA_ISA);
const Engine RECURRA_NAME(RECURRA_ISA) = {
    RECURRA_TEXT(RECURRA_ISA), RECURRA_ISA::find, RECURRA_ISA::fits, RECURRA_ISA::tape_bytes, RECURRA_ISA::weight_bytes,
    RECURRA_ISA::forward_bytes, RECURRA_ISA::backward_bytes, RECURRA_ISA::pack_all, RECURRA_ISA::forward, RECURRA_ISA::backward, RECURRA_ISA::cell, RECURRA_ISA::describe, RECURRA_ISA::unit_wise, RECURRA_ISA::fma_rounds,
    RECURRA_ISA::read_rounds, RECURRA_ISA::stage_bytes, RECURRA_ISA::stage_rounds,
};
}  // namespace recurra
