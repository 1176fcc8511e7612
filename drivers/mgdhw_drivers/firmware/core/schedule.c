#include "schedule.h"

/* Taylor coefficients of sin(pi x / 2) in x^2. */
static const double sine[] = {1.5707963267948966,    -0.6459640975062462,    0.07969262624616704,
                              -0.004681754135318687, 0.00016044118478735975, -3.5988432352120845e-06};
#define TERMS ((int)(sizeof sine / sizeof sine[0]))

static double cosine(double final, double fraction) {
    double x = 1.0 - 2.0 * fraction;
    if (x < 0.0) x = -x;
    double square = x * x, value = 0.0;
    for (int i = TERMS - 1; i >= 0; i--) value = value * square + sine[i];
    value = value * x;
    if (!(fraction <= 0.5)) value = -value;
    return final + (1.0 - final) * (0.5 * (1.0 + value));
}

static double stairs(double every, double drop, double fraction) {
    double rate = 1.0;
    for (double passed = every; passed <= fraction; passed += every) rate *= drop;
    return rate;
}

double mg_rate(const mg_schedule *schedule, uint64_t update, uint64_t updates) {
    double fraction = updates > 0 ? (double)update / (double)updates : 0.0;
    switch (schedule->name) {
        case MG_COSINE: return cosine(schedule->final, fraction);
        case MG_STEP: return stairs(schedule->every, schedule->drop, fraction);
        case MG_INVERSE: return 1.0 / (1.0 + fraction / schedule->tau);
        default: return 1.0;
    }
}
