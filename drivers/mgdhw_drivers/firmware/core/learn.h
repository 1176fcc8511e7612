/* Training on the chip: windows of probes as exact integers, and the updates between them. */
#ifndef MG_LEARN_H
#define MG_LEARN_H

#include "block.h"
#include "optimizers.h"

enum mg_normalise { MG_ENERGY, MG_ORIPOV, MG_NORMALISATIONS };

/* All that decides how costs become parameters. */
typedef struct mg_rule {
    mg_code_spec codes;
    mg_order_spec order;
    mg_optimizer optimizer;
    uint64_t update_period; /* probes from one update to the next */
    uint64_t rounding_seed;
    double scale; /* what one unit of C~ is worth */
    double eta;   /* learning rate */
    const double *etas; /* one for each update of the segment instead; NULL: eta for all */
    double tau_theta, tau_hp; /* of continuous mode, in probes */
    const double *filter_weight; /* of continuous mode: what C~ times a perturbation is multiplied by, for each
                                  * parameter; NULL: by 1 / <perturbation^2> */
    double low, high;         /* limits of the master parameters */
    int32_t baseline;
    int32_t continuous; /* filters instead of windows */
    int32_t normalise;
    int32_t stochastic; /* parameters are rounded to codes stochastically */
} mg_rule;

/* All that training remembers between two probes. Arrays are (P,). */
typedef struct mg_state {
    double *theta;    /* master parameters */
    int64_t *cross;   /* sum of C~ times perturbation since the last update */
    int64_t *energy;  /* sum of squared perturbations */
    double *filtered; /* the running gradient of continuous mode; NULL where there is no room for it */
    mg_moments moments;
    uint64_t step, update;
    uint64_t evaluations;
    mg_held held;
    double cost, high_passed; /* of continuous mode: the last cost and the last C~ */
    int32_t has_cost;
} mg_state;

/* What an update did. */
typedef struct mg_last_update {
    double eta, gradient_norm;
    int32_t valid;
} mg_last_update;

/* A segment under way. */
typedef struct mg_learner {
    mg_course course;
    mg_rule rule;
    mg_state *state;
    uint64_t left;       /* probes still to be made */
    uint64_t updates;    /* that the segment has made */
    int64_t total;       /* of its perturbed costs */
    double weight[MG_MAX_SIZES - 1]; /* 1 / <perturbation^2> of each layer, of continuous mode */
    int32_t moving;      /* parameters are on their way to the codes in course.code */
    mg_last_update last;
} mg_learner;

/* Take the memory of a state: without filters if `filters` is 0. */
mg_status mg_state_init(mg_state *state, uint32_t n_parameters, int filters, mg_arena *arena);

/* A state before the first probe, but for theta, which is left as it is. */
void mg_state_clear(mg_state *state, uint32_t n_parameters);

/* Begin `n_probes` probes at state->step, and to move to what the chip is to hold for state->theta. `code` and `sine`
 * as for mg_course_begin. */
mg_status mg_learn_begin(mg_learner *learner, mg_chip *chip, const mg_rule *rule, mg_state *state,
                         uint64_t n_probes, const int16_t *sine, int16_t *code);

/* Go on for at most `count` probes, or steps of a ramp, or until the hardware has to wait. Answers MG_OUT_OF_RANGE if an
 * update leaves no room for the perturbations, or breaks a limit of the chip's. */
mg_status mg_learn_some(mg_learner *learner, uint64_t count);

/* Whether a number is within the chip's limits, but for what floating point may carry it beyond. */
int mg_is_parameter(const mg_chip *chip, double theta);

/* (P,) what the chip was asked for last, before rounding to codes. */
void mg_learn_written(const mg_learner *learner, double *theta);

/* Sum of the perturbed costs so far, and the last update. */
void mg_learn_end(const mg_learner *learner, int64_t *total, mg_last_update *last);

static inline int mg_learn_is_done(const mg_learner *learner) {
    return learner->left == 0 && !learner->moving;
}

#endif
