/* Perturbation codes: what is added to the parameters in a probe, a function of (seed, step, index). */
#ifndef MG_CODES_H
#define MG_CODES_H

#include "chip.h"

#define MG_MAX_AMPLITUDE 32767

typedef struct mg_code_spec {
    uint64_t seed;
    double parameter;  /* of families that have one */
    int32_t family;    /* its number on the link */
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
} mg_codes;

/* The families that there are: bit n for number n. */
uint32_t mg_code_families(void);

/* Whether a family's parameter is within its range; of a family that is unknown, or has none, any is. */
int mg_code_parameter_is_good(int32_t family, double parameter);

mg_status mg_codes_init(mg_codes *codes, const mg_code_spec *spec, const mg_chip *chip, const int16_t *sine);

/* Long-run mean of a squared perturbation, in squared parameter codes, for the parameters of a group. */
double mg_codes_mean_square(const mg_codes *codes, uint32_t group_size);

/* Parameters that probe `step` perturbs. */
mg_group mg_codes_group(const mg_codes *codes, uint64_t step);

/* Perturbation of probe `step` into out[0 ... size - 1], for the group's parameters in order. */
mg_group mg_codes_draw(const mg_codes *codes, uint64_t step, int16_t *out);

#endif
