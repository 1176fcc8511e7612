/* Perturbation codes: what is added to the parameters in a probe, a function of (seed, step, index). */
#ifndef MG_CODES_H
#define MG_CODES_H

#include "chip.h"

enum mg_family { MG_RANDOM, MG_SEQUENTIAL, MG_SPARSE, MG_WALSH, MG_SINUSOIDAL, MG_RANK1, MG_FAMILIES };

#define MG_MAX_AMPLITUDE 32767

typedef struct mg_code_spec {
    uint64_t seed;
    double density;    /* of sparse codes */
    int32_t family;
    int32_t amplitude; /* in parameter codes */
    int32_t by_layer;  /* groups: 0 all, 1 layer */
} mg_code_spec;

/* The parameters that a probe perturbs: first ... first + size - 1. */
typedef struct mg_group {
    uint32_t first, size;
} mg_group;

/* Ready to draw: what follows from a spec, computed once. `sine` is NULL if sinusoidal codes are not wanted. */
typedef struct mg_codes {
    mg_code_spec spec;
    const mg_chip *chip;
    const int16_t *sine;
    uint32_t threshold;
} mg_codes;

mg_status mg_codes_init(mg_codes *codes, const mg_code_spec *spec, const mg_chip *chip, const int16_t *sine);

/* Parameters that probe `step` perturbs. */
mg_group mg_codes_group(const mg_codes *codes, uint64_t step);

/* Perturbation of probe `step` into out[0 ... size - 1], for the group's parameters in order. */
mg_group mg_codes_draw(const mg_codes *codes, uint64_t step, int16_t *out);

#endif
