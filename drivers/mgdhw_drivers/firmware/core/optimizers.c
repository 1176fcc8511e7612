#include "optimizers.h"

#include <stddef.h>

#include "root.h"

static double sgd(const mg_optimizer *o, mg_moments *moments, uint32_t i, double theta, double g, double eta) {
    (void)o, (void)moments, (void)i;
    return theta - eta * g;
}

static double momentum(const mg_optimizer *o, mg_moments *moments, uint32_t i, double theta, double g, double eta) {
    double *m = &moments->slot[0][i];
    *m = o->constant[0] * *m + g;
    return theta - eta * *m;
}

static double nesterov(const mg_optimizer *o, mg_moments *moments, uint32_t i, double theta, double g, double eta) {
    double beta = o->constant[0], *m = &moments->slot[0][i];
    *m = beta * *m + g;
    return theta - eta * (g + beta * *m);
}

static double rmsprop(const mg_optimizer *o, mg_moments *moments, uint32_t i, double theta, double g, double eta) {
    double rho = o->constant[0], epsilon = o->constant[1], *v = &moments->slot[0][i];
    *v = rho * *v + (1.0 - rho) * (g * g);
    return theta - eta * g / (mg_root(*v) + epsilon);
}

/* The numbers of the state are the running products of the betas. */
static void begin_adam(const mg_optimizer *o, mg_moments *moments) {
    moments->scalar[0] = moments->scalar[0] * o->constant[0];
    moments->scalar[1] = moments->scalar[1] * o->constant[1];
}

/* Kingma & Ba (2015), algorithm 1. Constants: beta1, beta2, epsilon, bias_correction. */
static double adam(const mg_optimizer *o, mg_moments *moments, uint32_t i, double theta, double g, double eta) {
    double beta1 = o->constant[0], beta2 = o->constant[1], epsilon = o->constant[2];
    double m = beta1 * moments->slot[0][i] + (1.0 - beta1) * g;
    double v = beta2 * moments->slot[1][i] + (1.0 - beta2) * (g * g);
    moments->slot[0][i] = m;
    moments->slot[1][i] = v;
    if (o->constant[3] != 0.0) {
        m = m / (1.0 - moments->scalar[0]);
        v = v / (1.0 - moments->scalar[1]);
    }
    return theta - eta * m / (mg_root(v) + epsilon);
}

/* As adam; then weight_decay. */
static double adamw(const mg_optimizer *o, mg_moments *moments, uint32_t i, double theta, double g, double eta) {
    return adam(o, moments, i, theta - eta * o->constant[4] * theta, g, eta);
}

typedef struct method {
    double (*step)(const mg_optimizer *o, mg_moments *moments, uint32_t i, double theta, double g, double eta);
    void (*begin)(const mg_optimizer *o, mg_moments *moments); /* NULL: nothing to do once for an update */
    int slots, squares; /* arrays that it has, and which of them is never below zero (-1: none) */
} method;

/* By their numbers on the link, `link_number` in `mgdhw.optimizers`: a new one is a function above, and a line here. */
static const method METHOD[] = {
    {sgd, NULL, 0, -1},
    {momentum, NULL, 1, -1},
    {nesterov, NULL, 1, -1},
    {rmsprop, NULL, 1, 0},
    {adam, begin_adam, 2, 1},
    {adamw, begin_adam, 2, 1},
};

uint32_t mg_optimizers(void) { return (1u << sizeof METHOD / sizeof *METHOD) - 1; }

int mg_optimizer_slots(int32_t number) { return METHOD[number].slots; }

int mg_optimizer_slot_of_squares(int32_t number) { return METHOD[number].squares; }

void mg_optimizer_begin(const mg_optimizer *optimizer, mg_moments *moments) {
    const method *own = &METHOD[optimizer->number];
    if (own->begin != NULL) own->begin(optimizer, moments);
}

double mg_optimizer_step(const mg_optimizer *optimizer, mg_moments *moments, uint32_t i, double theta, double g,
                         double eta) {
    return METHOD[optimizer->number].step(optimizer, moments, i, theta, g, eta);
}
