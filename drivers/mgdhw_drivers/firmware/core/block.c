#include "block.h"

#include <string.h>

#include "bits.h"
#include "datapath.h"
#include "motion.h"

mg_status mg_course_begin(mg_course *course, mg_chip *chip, const mg_code_spec *codes, const mg_order_spec *order,
                          int32_t baseline, const mg_held *held, uint64_t first_step, const int16_t *sine,
                          int16_t *code) {
    course->chip = chip;
    course->code = code;
    mg_status status = mg_codes_init(&course->codes, codes, chip, sine);
    if (status != MG_OK) return status;
    status = mg_order_init(&course->order, order);
    if (status != MG_OK) return status;
    if (baseline < 0 || baseline >= MG_BASELINES) return MG_BAD_BLOCK;
    if (order->n > chip->n_samples) return MG_NO_SAMPLE;
    course->baseline = baseline;
    course->held = *held;
    if (baseline != MG_HELD || held->step / order->tau_x != first_step / order->tau_x) course->held.valid = 0;
    course->n_kept = 0;
    course->has_before = 0;
    course->evaluations = 0;
    course->next = MG_BASELINE_PART;
    return MG_OK;
}

static uint32_t sample_of(mg_course *course, uint64_t batch, uint32_t i) {
    uint32_t size = course->order.spec.batch;
    if (size > MG_BATCH_KEPT) return mg_order_sample(&course->order, batch * size + i);
    if (course->n_kept == 0 || course->batch != batch) {
        for (uint32_t s = 0; s < size; s++) course->kept[s] = mg_order_sample(&course->order, batch * size + s);
        course->n_kept = size;
        course->batch = batch;
    }
    return course->kept[i];
}

/* --- a chip that is ideal, or more than a simulation --------------------------------------------------------------- */

static int64_t evaluate(mg_course *course, const int16_t *codes, uint64_t batch) {
    int64_t sum = 0;
    for (uint32_t i = 0; i < course->order.spec.batch; i++)
        sum += mg_sample_cost(course->chip, codes, sample_of(course, batch, i));
    return sum;
}

static int64_t evaluate_perturbed(mg_course *course, int sign, uint64_t batch) {
    mg_group group = course->group;
    int16_t *w = course->chip->perturbed + group.first;
    const int16_t *stored = course->chip->stored + group.first;
    for (uint32_t g = 0; g < group.size; g++) w[g] = (int16_t)(stored[g] + sign * course->code[g]);
    int64_t cost = evaluate(course, course->chip->perturbed, batch);
    memcpy(w, stored, group.size * sizeof *w);
    return cost;
}

/* --- a nonideal chip --------------------------------------------------------------------------------------------- */

/* What is measured at a step: the weights as they are, or with the perturbation in `code` added or subtracted. */
static mg_measurement measurement_of(mg_course *course, int sign, uint64_t step) {
    mg_nonideal *own = course->chip->nonideal;
    mg_measurement at = {own->weights, step, sign == 0 ? MG_BASELINE_PART : sign > 0 ? MG_PLUS_PART : MG_MINUS_PART};
    if (sign != 0) {
        int which = course->has_before && course->before.weights == own->varied[0];
        at.weights = mg_nonideal_vary(course->chip, which, sign, course->code, course->group.first, course->group.size);
    }
    return at;
}

/* Bring the chip to a step, and find what was measured before its first measurement if that is still in the outputs. */
static void come_to(mg_course *course, uint64_t step) {
    mg_nonideal *own = course->chip->nonideal;
    mg_nonideal_come_to(course->chip, step);
    if (own->residue == 0) return;
    if (step == 0 || (int64_t)(step - 1) < own->written || !mg_nonideal_is_alike(own, step - 1, step)) {
        course->has_before = 0;
    } else if (!course->has_before) { /* the course's first probe */
        course->group = mg_codes_draw(&course->codes, step - 1, course->code);
        course->before = measurement_of(course, course->baseline == MG_ANTITHETIC ? -1 : 1, step - 1);
        course->has_before = 1;
    }
}

/* Signals of a sample in a row, with what is left of those that the row went to before. */
static const int32_t *unsettled(mg_course *course, const mg_measurement *at, uint32_t sample, uint32_t row) {
    mg_chip *chip = course->chip;
    mg_nonideal *own = chip->nonideal;
    if (own->residue == 0 || !course->has_before) return mg_settled(chip, at, sample, row);
    uint64_t batch = course->before.step / course->order.spec.tau_x;
    uint32_t earlier = mg_order_sample(&course->order, batch * course->order.spec.batch + row);
    const int32_t *left = mg_settled(chip, &course->before, earlier, row);
    memcpy(own->left, left, chip->n_outputs * sizeof *left);
    int32_t *h = mg_settled(chip, at, sample, row);
    for (uint32_t j = 0; j < chip->n_outputs; j++)
        h[j] += (int32_t)mg_rshift(own->residue * ((int64_t)own->left[j] - h[j]), 15);
    return h;
}

static int64_t evaluate_nonideal(mg_course *course, int sign, uint64_t step) {
    const mg_measurement at = measurement_of(course, sign, step);
    uint64_t batch = step / course->order.spec.tau_x;
    int64_t sum = 0;
    for (uint32_t i = 0; i < course->order.spec.batch; i++) {
        uint32_t sample = sample_of(course, batch, i);
        sum += mg_noisy_cost(course->chip, &at, unsettled(course, &at, sample, i), sample, i);
    }
    course->before = at;
    course->has_before = course->chip->nonideal->residue != 0;
    return sum;
}

/* --- probes -------------------------------------------------------------------------------------------------------- */

/* One evaluation: with the weights as they are (sign 0), or with the probe's perturbation. */
static int64_t measure(mg_course *course, int sign, uint64_t step) {
    uint64_t batch = step / course->order.spec.tau_x;
    course->evaluations++;
    if (course->chip->nonideal) return evaluate_nonideal(course, sign, step);
    return sign == 0 ? evaluate(course, course->chip->stored, batch) : evaluate_perturbed(course, sign, batch);
}

static int needs_baseline(const mg_course *course, uint64_t step) {
    uint32_t tau_x = course->order.spec.tau_x;
    return course->baseline == MG_EVERY ||
           (course->baseline == MG_HELD && (!course->held.valid || course->held.step / tau_x != step / tau_x));
}

int mg_course_go_on(mg_course *course, uint64_t step, mg_costs *costs) {
    int paced = mg_is_paced(course->chip);
    if (course->next == MG_BASELINE_PART) {
        course->next = MG_PLUS_PART;
        course->costs.reference = 0;
        course->costs.measured = needs_baseline(course, step);
        if (course->chip->nonideal) come_to(course, step);
        if (course->costs.measured) {
            course->held.value = measure(course, 0, step);
            course->held.step = step;
            course->held.valid = course->baseline == MG_HELD;
            if (paced) return 0;
        }
    }
    if (course->next == MG_PLUS_PART) {
        course->next = MG_MINUS_PART;
        course->group = mg_codes_draw(&course->codes, step, course->code);
        course->costs.perturbed = measure(course, 1, step);
        if (paced && course->baseline == MG_ANTITHETIC) return 0;
    }
    if (course->baseline == MG_ANTITHETIC)
        course->costs.reference = measure(course, -1, step);
    else if (course->baseline != MG_NONE)
        course->costs.reference = course->held.value;
    course->next = MG_BASELINE_PART;
    if (step >= course->chip->now) course->chip->now = step + 1;
    *costs = course->costs;
    return 1;
}

void mg_course_end(const mg_course *course, mg_held *held, uint64_t *evaluations) {
    *held = course->held;
    *evaluations = course->evaluations;
}
