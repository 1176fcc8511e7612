/* Optimizers: from a gradient to new parameters, one parameter at a time. */
#ifndef MG_OPTIMIZERS_H
#define MG_OPTIMIZERS_H

#include <stdint.h>

enum mg_optimizer_name { MG_SGD, MG_MOMENTUM, MG_NESTEROV, MG_RMSPROP, MG_ADAM, MG_ADAMW, MG_OPTIMIZERS };

typedef struct mg_optimizer {
    double beta1;   /* beta of momentum and nesterov */
    double beta2;   /* rho of rmsprop */
    double epsilon;
    double weight_decay;
    int32_t bias_correction;
    int32_t name;
} mg_optimizer;

/* What an optimizer remembers: moments of each parameter, and the powers of beta that came before. */
typedef struct mg_moments {
    double *m, *v; /* (P,), zero at first; used as far as the optimizer has them */
    double beta1_power, beta2_power; /* 1 at first */
} mg_moments;

/* To be called once for an update, before its parameters. */
void mg_optimizer_begin(const mg_optimizer *optimizer, mg_moments *moments);

/* The new value of parameter i. */
double mg_optimizer_step(const mg_optimizer *optimizer, mg_moments *moments, uint32_t i, double theta,
                         double gradient, double eta);

#endif
