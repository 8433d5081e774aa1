// What a cell is to the time loop: stages, products, areas. The tables are written by recurra.lower.kernel.
#pragma once

#include "../simd/vector.h"

namespace recurra::RECURRA_ISA {

// A user's cell is compiled apart from the engine; this number says whether the two fit. Raise it with any change here.
constexpr int PLAN_VERSION = 5;
constexpr int MAX_STATES = 8;
constexpr int MAX_AREAS = 32;
constexpr int MAX_SOURCES = 4;
constexpr int NUM_PARAMETERS = 7;  // weight_ih, weight_hh, bias_ih, bias_hh, weight_hr, weight_v, gain

enum Width { UNITS, PROJECTED, ONE };

// Arguments of products that are no area.
constexpr int FIRST_STATE = -1, INPUT = -2;

// Some rows and some blocks of VL units, for a stage's function. Row r of area k starts at area[k] + r * stride[k].
struct Block {
    long rows;
    int u0, u1;
    long units;
    float* area[MAX_AREAS];
    long stride[MAX_AREAS];
};

// For each row and block of units, `count` vectors side by side (width ONE: `count` numbers a row).
struct Area {
    // OLD, NEW: the first state before and after a step, which the layer's output tells
    enum Kind { IN, OUT, SLOT, ARGUMENT, KEEP, SCRATCH, PARAMETER, DELTA, SUM, OLD, NEW } kind;
    int index;
    Width width;
    int count;
    bool over_kept;  // deltas that are written over the KEEP area of their width, which is not read any more
    bool of_row;     // scratch that only stages without a product between them use: one row serves all where they go row by row
};

struct Product {
    int weight;
    bool transposed;
    int area, first, columns;
    const int* gates;
    int num_gates;
    const int* starts;
    int argument, argument_first;
};

struct Stage {
    Width width;
    const Product* products;
    int num_products;
    void (*inference)(const Block&);
    void (*training)(const Block&);
};

struct Program {
    const Area* areas;
    int num_areas;
    const Stage* stages;
    int num_stages;
    bool whole;  // a stage sums over all units, so it cannot be cut into groups of blocks
};

struct Source {
    int parameter, gate;
};

struct Sources {
    int count;
    Source item[MAX_SOURCES];
};

struct Outer {
    int weight;
    const int* gates;
    int num_gates;
    int area, first;
    int argument;
};

struct Flow {
    int area, vector;
    Sources targets;
};

struct Plan {
    int version;
    const char* name;
    int states;
    Width state_width[MAX_STATES];
    Program forward, backward;
    const Sources* vectors;
    int num_vectors;
    const Outer* outers;
    int num_outers;
    const Flow* flows;
    int num_flows;
    const Product* to_input;
};

}  // namespace recurra::RECURRA_ISA
