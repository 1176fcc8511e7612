/* A block: K consecutive probes at frozen parameters, measured one at a time so that a board can answer meanwhile. */
#ifndef MG_BLOCK_H
#define MG_BLOCK_H

#include "codes.h"
#include "nonideal.h"
#include "order.h"

enum mg_baseline { MG_HELD, MG_EVERY, MG_ANTITHETIC, MG_NONE, MG_BASELINES };

/* A baseline that may outlive its block, and the step at which it was measured. */
typedef struct mg_held {
    int64_t value;
    uint64_t step;
    int32_t valid;
} mg_held;

typedef struct mg_block {
    uint64_t first_step;
    mg_code_spec codes;
    mg_order_spec order;
    mg_held held;
    int32_t baseline;
    uint32_t n_probes;
} mg_block;

/* A probe's answer. `reference` is C0, or C(theta - perturbation), or 0; `measured` says whether C0 is new. */
typedef struct mg_costs {
    int64_t perturbed, reference;
    int32_t measured;
} mg_costs;

#define MG_BATCH_KEPT 64 /* samples of a batch that are remembered while it is held */

/* A course of probes, in a block or in training. */
typedef struct mg_course {
    mg_chip *chip;
    mg_codes codes;
    mg_order order;
    int16_t *code; /* (P,) work space: the last probe's perturbation, for the parameters of its group */
    mg_group group;
    mg_held held;
    int32_t baseline;
    uint64_t batch;       /* of the samples in `kept` */
    uint32_t n_kept;
    uint32_t kept[MG_BATCH_KEPT];
    uint64_t evaluations; /* since the course began */
    mg_measurement before; /* the measurement before this one, of a chip that settles */
    int32_t has_before;
    int32_t next;   /* measurement of the probe under way: enum mg_part */
    mg_costs costs; /* of the probe under way */
} mg_course;

/* `code` is (P,) work space. That the parameters have room for the perturbations is the caller's business. A carried baseline is taken if `held` says so and its batch is that of `first_step`. */
mg_status mg_course_begin(mg_course *course, mg_chip *chip, const mg_code_spec *codes, const mg_order_spec *order,
                          int32_t baseline, const mg_held *held, uint64_t first_step, const int16_t *sine,
                          int16_t *code);

/* Go on with probe `step`; steps follow each other. Answers whether it is complete, and `costs` are its answer: at once,
 * unless the hardware has to wait between measurements, which the caller does. Leaves the chip's parameters as they were
 * written. */
int mg_course_go_on(mg_course *course, uint64_t step, mg_costs *costs);

/* The baseline in force, and the evaluations since the course began. */
void mg_course_end(const mg_course *course, mg_held *held, uint64_t *evaluations);

#endif
