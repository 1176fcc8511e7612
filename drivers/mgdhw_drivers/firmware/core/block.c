#include "block.h"

#include <string.h>

#include "datapath.h"

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
    course->evaluations = 0;
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

static int64_t evaluate(mg_course *course, const int16_t *codes, uint64_t batch) {
    int64_t sum = 0;
    for (uint32_t i = 0; i < course->order.spec.batch; i++)
        sum += mg_sample_cost(course->chip, codes, sample_of(course, batch, i));
    course->evaluations++;
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

mg_costs mg_course_probe(mg_course *course, uint64_t step) {
    mg_costs costs = {0, 0, 0};
    uint32_t tau_x = course->order.spec.tau_x;
    uint64_t batch = step / tau_x;
    int stale = course->baseline == MG_EVERY ||
                (course->baseline == MG_HELD && (!course->held.valid || course->held.step / tau_x != batch));
    if (stale) {
        course->held.value = evaluate(course, course->chip->stored, batch);
        course->held.step = step;
        course->held.valid = course->baseline == MG_HELD;
        costs.measured = 1;
    }
    course->group = mg_codes_draw(&course->codes, step, course->code);
    costs.perturbed = evaluate_perturbed(course, 1, batch);
    if (course->baseline == MG_ANTITHETIC)
        costs.reference = evaluate_perturbed(course, -1, batch);
    else if (course->baseline != MG_NONE)
        costs.reference = course->held.value;
    return costs;
}

void mg_course_end(const mg_course *course, mg_held *held, uint64_t *evaluations) {
    *held = course->held;
    *evaluations = course->evaluations;
}
