#include "learn.h"

#include <string.h>

#include "bits.h"
#include "motion.h"
#include "philox.h"
#include "root.h"

mg_status mg_state_init(mg_state *state, uint32_t n, int filters, mg_arena *arena) {
    memset(state, 0, sizeof *state);
    state->theta = mg_take(arena, n, sizeof(double));
    state->cross = mg_take(arena, n, sizeof(int64_t));
    state->energy = mg_take(arena, n, sizeof(int64_t));
    for (int i = 0; i < MG_SLOTS; i++) state->moments.slot[i] = mg_take(arena, n, sizeof(double));
    state->filtered = filters ? mg_take(arena, n, sizeof(double)) : NULL;
    int missing = !state->theta || !state->cross || !state->energy || !state->moments.slot[0] || !state->moments.slot[1];
    if (missing || (filters && !state->filtered)) return MG_NO_MEMORY;
    mg_state_clear(state, n);
    return MG_OK;
}

void mg_state_clear(mg_state *state, uint32_t n) {
    memset(state->cross, 0, n * sizeof(int64_t));
    memset(state->energy, 0, n * sizeof(int64_t));
    for (int i = 0; i < MG_SLOTS; i++) {
        memset(state->moments.slot[i], 0, n * sizeof(double));
        state->moments.scalar[i] = 1.0;
    }
    if (state->filtered) memset(state->filtered, 0, n * sizeof(double));
    state->step = state->update = state->evaluations = 0;
    memset(&state->held, 0, sizeof state->held);
    state->cost = state->high_passed = 0.0;
    state->has_cost = 0;
}

static double lsb_of(const mg_chip *chip) { return mg_power(-chip->weight_fraction); }

int mg_is_parameter(const mg_chip *chip, double theta) {
    double lsb = lsb_of(chip), slack = 1e-6 * lsb;
    return theta >= chip->code_lo * lsb - slack && theta <= chip->code_hi * lsb + slack;
}

/* What the chip is asked to hold for parameter i: its master, or that rounded up or down by chance. */
static double to_write(const mg_learner *learner, mg_words *words, uint32_t i) {
    const mg_chip *chip = learner->course.chip;
    double theta = learner->state->theta[i], lsb = lsb_of(chip);
    if (!learner->rule.stochastic) return theta;
    double low = chip->code_lo * lsb, high = chip->code_hi * lsb, position = (theta - low) / lsb;
    double below = (double)mg_floor(position), drawn = (double)mg_word(words, i) * mg_power(-32);
    double value = low + (below + (drawn < position - below ? 1.0 : 0.0)) * lsb;
    return value < high ? value : high;
}

void mg_learn_written(const mg_learner *learner, double *theta) {
    mg_words words;
    mg_words_at(&words, learner->rule.rounding_seed, MG_STREAM_ROUNDING, learner->state->update);
    for (uint32_t i = 0; i < learner->course.chip->n_parameters; i++) theta[i] = to_write(learner, &words, i);
}

/* One step on the way to what was written. */
static void move(mg_learner *learner) {
    learner->moving = !mg_motion_step(learner->course.chip, learner->course.code, learner->state->step);
}

/* Begin to move to what the chip is to hold for the master parameters, if that leaves room for the perturbations. */
static mg_status write_parameters(mg_learner *learner) {
    mg_chip *chip = learner->course.chip;
    int16_t *code = learner->course.code;
    mg_words words;
    mg_words_at(&words, learner->rule.rounding_seed, MG_STREAM_ROUNDING, learner->state->update);
    for (uint32_t i = 0; i < chip->n_parameters; i++)
        code[i] = (int16_t)mg_chip_parameter_code(chip, to_write(learner, &words, i));
    mg_status status = mg_check_amplitude(chip, code, learner->rule.codes.amplitude);
    if (status == MG_OK) status = mg_motion_begin(chip, code);
    if (status != MG_OK) return status;
    learner->moving = 1;
    if (mg_may_move(chip)) move(learner);
    return MG_OK;
}

/* 1 / <perturbation^2> in parameter units, which is the same for all parameters of a layer. */
static void take_weights(mg_learner *learner) {
    const mg_chip *chip = learner->course.chip;
    int by_layer = learner->rule.codes.by_layer;
    double groups = by_layer ? (double)chip->n_layers : 1.0;
    for (uint32_t l = 0; l < chip->n_layers; l++) {
        uint32_t size = chip->layer[l].n_out * (chip->layer[l].n_in + 1);
        double square = mg_codes_mean_square(&learner->course.codes, by_layer ? size : chip->n_parameters) / groups;
        learner->weight[l] = 1.0 / (square * lsb_of(chip));
    }
}

static mg_status check_rule(const mg_rule *r, const mg_state *state) {
    int known = mg_is_optimizer(r->optimizer.number) && r->normalise >= 0 && r->normalise < MG_NORMALISATIONS;
    if (!known || r->update_period < 1 || (r->continuous && state->filtered == NULL)) return MG_BAD_RULE;
    if (!(r->low <= r->high)) return MG_BAD_RULE;
    return MG_OK;
}

mg_status mg_learn_begin(mg_learner *learner, mg_chip *chip, const mg_rule *rule, mg_state *state,
                         uint64_t n_probes, const int16_t *sine, int16_t *code) {
    mg_status status = check_rule(rule, state);
    if (status != MG_OK) return status;
    for (uint32_t i = 0; i < chip->n_parameters; i++)
        if (!mg_is_parameter(chip, state->theta[i])) {
            chip->violation = (int32_t)i;
            return MG_OUT_OF_RANGE;
        }
    learner->rule = *rule;
    learner->state = state;
    learner->left = n_probes;
    learner->updates = 0;
    learner->moving = 0;
    learner->total = 0;
    learner->last.valid = 0;
    learner->last.eta = learner->last.gradient_norm = 0.0;
    status = mg_course_begin(&learner->course, chip, &rule->codes, &rule->order, rule->baseline, &state->held,
                             state->step, sine, code);
    if (status != MG_OK) return status;
    if (rule->continuous && rule->filter_weight == NULL) take_weights(learner);
    return write_parameters(learner); /* last: what is refused changes nothing */
}

static void absorb_into_window(mg_learner *learner, mg_costs costs) {
    mg_state *state = learner->state;
    mg_group group = learner->course.group;
    const int16_t *code = learner->course.code;
    int64_t change = (int64_t)((uint64_t)costs.perturbed - (uint64_t)costs.reference);
    for (uint32_t g = 0; g < group.size; g++) {
        int64_t c = code[g];
        /* A host may put anything into a window: sums wrap around, as they do in numpy. */
        uint64_t *cross = (uint64_t *)&state->cross[group.first + g];
        uint64_t *energy = (uint64_t *)&state->energy[group.first + g];
        *cross += (uint64_t)change * (uint64_t)c;
        *energy += (uint64_t)(c * c);
    }
}

/* McCaughan et al. 2023, algorithm 1: high-pass of the cost, low-pass of the gradient, for one probe. */
static void absorb_into_filters(mg_learner *learner, mg_costs costs) {
    mg_state *state = learner->state;
    const mg_course *course = &learner->course;
    const mg_rule *rule = &learner->rule;
    const mg_chip *chip = course->chip;
    double keep = rule->tau_hp / (rule->tau_hp + 1.0), take = 1.0 / (rule->tau_theta + 1.0);
    double cost = (double)costs.perturbed * learner->rule.scale, change = 0.0;
    if (state->has_cost) change = keep * (state->high_passed + cost - state->cost);
    state->cost = cost;
    state->has_cost = 1;
    state->high_passed = change;
    for (uint32_t l = 0; l < chip->n_layers; l++) {
        uint32_t size = chip->layer[l].n_out * (chip->layer[l].n_in + 1);
        double weight = learner->weight[l];
        for (uint32_t i = chip->layer[l].first; i < chip->layer[l].first + size; i++) {
            uint32_t g = i - course->group.first;
            double code = i >= course->group.first && g < course->group.size ? (double)course->code[g] : 0.0;
            if (rule->filter_weight) weight = rule->filter_weight[i];
            state->filtered[i] = state->filtered[i] + take * (change * code * weight - state->filtered[i]);
        }
    }
}

/* Probes of a window that perturb a parameter, as the 2025 paper counts them. */
static double oripov_tau(const mg_learner *learner) {
    uint64_t groups = learner->rule.codes.by_layer ? learner->course.chip->n_layers : 1;
    uint64_t probes = learner->rule.update_period / groups;
    return probes > 1 ? (double)probes : 1.0;
}

/* The 2025 paper's scaling, G / (a sqrt(n) sqrt(1/n + 1/tau - 1/(n tau)) tau), for a parameter of a layer of n. */
static double oripov(const mg_learner *learner, uint32_t i, double n) {
    double lsb = lsb_of(learner->course.chip), amplitude = (double)learner->rule.codes.amplitude * lsb;
    double tau = oripov_tau(learner), spread = mg_root(1.0 / n + 1.0 / tau - 1.0 / (n * tau));
    double cross = (double)learner->state->cross[i] * learner->rule.scale * lsb;
    return cross / (amplitude * mg_root(n) * spread * tau);
}

static double energy_estimate(const mg_learner *learner, uint32_t i) {
    const mg_state *state = learner->state;
    if (state->energy[i] <= 0) return 0.0;
    return (double)state->cross[i] * learner->rule.scale / ((double)state->energy[i] * lsb_of(learner->course.chip));
}

static mg_status update(mg_learner *learner) {
    const mg_rule *rule = &learner->rule;
    mg_chip *chip = learner->course.chip;
    mg_state *state = learner->state;
    double eta = rule->etas == NULL ? rule->eta : rule->etas[learner->updates], square = 0.0;
    mg_optimizer_begin(&rule->optimizer, &state->moments);
    for (uint32_t l = 0; l < chip->n_layers; l++) {
        uint32_t size = chip->layer[l].n_out * (chip->layer[l].n_in + 1);
        for (uint32_t i = chip->layer[l].first; i < chip->layer[l].first + size; i++) {
            double gradient = rule->continuous               ? state->filtered[i]
                              : rule->normalise == MG_ORIPOV ? oripov(learner, i, (double)size)
                                                               : energy_estimate(learner, i);
            double theta = mg_optimizer_step(&rule->optimizer, &state->moments, i, state->theta[i], gradient, eta);
            if (theta < rule->low) theta = rule->low;
            if (theta > rule->high) theta = rule->high;
            if (!mg_is_parameter(chip, theta)) { /* or not a number */
                chip->violation = (int32_t)i;
                return MG_OUT_OF_RANGE;
            }
            state->theta[i] = theta;
            square += gradient * gradient;
        }
    }
    memset(state->cross, 0, chip->n_parameters * sizeof *state->cross);
    if ((const void *)rule->filter_weight != state->energy) /* the weights of continuous mode may lie there */
        memset(state->energy, 0, chip->n_parameters * sizeof *state->energy);
    state->update++;
    learner->updates++;
    learner->course.held.valid = 0;
    learner->last.eta = eta;
    learner->last.gradient_norm = mg_root(square);
    learner->last.valid = 1;
    return write_parameters(learner);
}

static mg_status go_on(mg_learner *learner) {
    mg_state *state = learner->state;
    mg_status status = MG_OK;
    mg_costs costs;
    if (learner->moving) {
        move(learner);
        return MG_OK;
    }
    if (!mg_course_go_on(&learner->course, state->step, &costs)) return MG_OK;
    learner->total = (int64_t)((uint64_t)learner->total + (uint64_t)costs.perturbed);
    if (learner->rule.continuous)
        absorb_into_filters(learner, costs);
    else
        absorb_into_window(learner, costs);
    state->step++;
    learner->left--;
    if (state->step % learner->rule.update_period == 0) status = update(learner);
    state->held = learner->course.held;
    state->evaluations += learner->course.evaluations;
    learner->course.evaluations = 0;
    return status;
}

mg_status mg_learn_some(mg_learner *learner, uint64_t count) {
    mg_status status = MG_OK;
    for (; status == MG_OK && count > 0 && !mg_learn_is_done(learner); count--) {
        if (!mg_may_move(learner->course.chip)) return MG_OK;
        status = go_on(learner);
    }
    return status;
}

void mg_learn_end(const mg_learner *learner, int64_t *total, mg_last_update *last) {
    *total = learner->total;
    *last = learner->last;
}
