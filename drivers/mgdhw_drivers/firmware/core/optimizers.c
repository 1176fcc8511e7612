#include "optimizers.h"

#include "root.h"

void mg_optimizer_begin(const mg_optimizer *optimizer, mg_moments *moments) {
    if (optimizer->name != MG_ADAM && optimizer->name != MG_ADAMW) return;
    moments->beta1_power = moments->beta1_power * optimizer->beta1;
    moments->beta2_power = moments->beta2_power * optimizer->beta2;
}

/* Kingma & Ba (2015), algorithm 1. */
static double adam(const mg_optimizer *o, mg_moments *moments, uint32_t i, double theta, double g, double eta) {
    double m = o->beta1 * moments->m[i] + (1.0 - o->beta1) * g;
    double v = o->beta2 * moments->v[i] + (1.0 - o->beta2) * (g * g);
    moments->m[i] = m;
    moments->v[i] = v;
    if (o->bias_correction) {
        m = m / (1.0 - moments->beta1_power);
        v = v / (1.0 - moments->beta2_power);
    }
    return theta - eta * m / (mg_root(v) + o->epsilon);
}

double mg_optimizer_step(const mg_optimizer *o, mg_moments *moments, uint32_t i, double theta, double g,
                         double eta) {
    switch (o->name) {
        case MG_MOMENTUM:
            moments->m[i] = o->beta1 * moments->m[i] + g;
            return theta - eta * moments->m[i];
        case MG_NESTEROV:
            moments->m[i] = o->beta1 * moments->m[i] + g;
            return theta - eta * (g + o->beta1 * moments->m[i]);
        case MG_RMSPROP:
            moments->v[i] = o->beta2 * moments->v[i] + (1.0 - o->beta2) * (g * g);
            return theta - eta * g / (mg_root(moments->v[i]) + o->epsilon);
        case MG_ADAM: return adam(o, moments, i, theta, g, eta);
        case MG_ADAMW: return adam(o, moments, i, theta - eta * o->weight_decay * theta, g, eta);
        default: return theta - eta * g;
    }
}
