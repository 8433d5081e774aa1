// Attention of single queries: no key is moved or copied, whichever rows a query reads.
//
// A query's numbers come from its own rows in their order, so they have the same bits beside any other queries.
#pragma once

#include <vector>

#include "../simd/math.h"
#include "../threads.h"
#include "attention_job.h"

namespace recurra::RECURRA_ISA {

inline float dot(const float* a, const float* b, long size) {
    V sum{};
    long i = 0;
    for (; i + VL <= size; i += VL) sum += load(a + i) * load(b + i);
    float found = lane_sum(sum);
    for (; i < size; ++i) found += a[i] * b[i];
    return found;
}

// y += w x
inline void add_scaled(float* y, const float* x, float w, long size) {
    long i = 0;
    for (; i + VL <= size; i += VL) store(y + i, load(y + i) + splat(w) * load(x + i));
    for (; i < size; ++i) y[i] += w * x[i];
}

// Scores to weights, in place; room for a whole vector behind the last.
inline void softmax(float* scores, long count) {
    float most = scores[0], sum = 0.0f;
    for (long s = 1; s < count; ++s) most = scores[s] > most ? scores[s] : most;
    for (long s = 0; s < count; s += VL) store(scores + s, exp(load(scores + s) - splat(most)));
    for (long s = 0; s < count; ++s) sum += scores[s];
    for (long s = 0; s < count; ++s) scores[s] /= sum;
}

inline void attend_one(const AttendJob& job, long b, std::vector<float>& scores) {
    const long width = job.heads * job.size, first = job.ends[b], count = job.ends[b + 1] - first;
    const long room = (count + VL - 1) / VL * VL;
    const float* q = job.q + b * width;
    float* out = job.out + b * width;
    for (long i = 0; i < width; ++i) out[i] = 0.0f;
    if (count == 0) return;
    scores.assign(job.heads * room, 0.0f);

    for (long s = 0; s < count; ++s) {
        const float* key = job.keys + job.rows[first + s] * width;
        for (long h = 0; h < job.heads; ++h)
            scores[h * room + s] = job.scale * dot(q + h * job.size, key + h * job.size, job.size);
    }
    for (long h = 0; h < job.heads; ++h) softmax(&scores[h * room], count);
    for (long s = 0; s < count; ++s) {
        const float* value = job.values + job.rows[first + s] * width;
        for (long h = 0; h < job.heads; ++h)
            add_scaled(out + h * job.size, value + h * job.size, scores[h * room + s], job.size);
    }
}

inline void attend(const AttendJob& job) {
    parallel(job.threads, [&](int thread, int threads, Barrier&) {
        std::vector<float> scores;
        const long last = job.queries * (thread + 1) / threads;
        for (long b = job.queries * thread / threads; b < last; ++b) attend_one(job, b, scores);
    });
}

}  // namespace recurra::RECURRA_ISA
