/* Optimizers: from a gradient to new parameters, one parameter at a time. */
#ifndef MG_OPTIMIZERS_H
#define MG_OPTIMIZERS_H

#include <stdint.h>

#define MG_CONSTANTS 5 /* of an optimizer, at most */
#define MG_SLOTS 2     /* arrays in its state, and numbers, at most */

typedef struct mg_optimizer {
    double constant[MG_CONSTANTS]; /* in the order of the fields of its class in `mgdhw.optimizers` */
    int32_t number;                /* on the link */
} mg_optimizer;

/* What an optimizer remembers, in the order in which its class names it. */
typedef struct mg_moments {
    double *slot[MG_SLOTS];  /* (P,), zero at first; used as far as the optimizer has them */
    double scalar[MG_SLOTS]; /* 1 at first */
} mg_moments;

/* The optimizers that there are: bit n for number n. */
uint32_t mg_optimizers(void);

static inline int mg_is_optimizer(int32_t number) {
    return number >= 0 && number < 32 && (mg_optimizers() >> number & 1u);
}

/* How many arrays an optimizer has, and which of them is never below zero (-1: none). */
int mg_optimizer_slots(int32_t number);
int mg_optimizer_slot_of_squares(int32_t number);

/* To be called once for an update, before its parameters. */
void mg_optimizer_begin(const mg_optimizer *optimizer, mg_moments *moments);

/* The new value of parameter i. */
double mg_optimizer_step(const mg_optimizer *optimizer, mg_moments *moments, uint32_t i, double theta,
                         double gradient, double eta);

#endif
