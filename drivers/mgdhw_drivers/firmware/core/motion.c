#include "motion.h"

#include <string.h>

#include "bits.h"
#include "nonideal.h"

mg_status mg_motion_init(mg_chip *chip, const mg_limits *limits, const mg_hal *clock) {
    int fine = limits->max_slew == 0.0 || limits->max_slew >= 1.0;
    if (!fine || !(limits->max_stress >= 0.0) || limits->slew_interval_us > MG_LONGEST_INTERVAL_US) return MG_BAD_LIMITS;
    chip->limits = *limits;
    chip->clock = clock;
    chip->largest_step = limits->max_slew < 65536.0 ? (int32_t)limits->max_slew : 65536; /* codes are 16 bits */
    chip->moved_at = clock->microseconds(clock->self);
    return MG_OK;
}

int mg_may_move(const mg_chip *chip) {
    if (chip->limits.slew_interval_us == 0) return 1;
    return chip->clock->microseconds(chip->clock->self) - chip->moved_at >= chip->limits.slew_interval_us;
}

int mg_is_paced(const mg_chip *chip) { return chip->hardware != NULL && chip->limits.slew_interval_us > 0; }

static void note_move(mg_chip *chip) {
    if (chip->limits.slew_interval_us > 0) chip->moved_at = chip->clock->microseconds(chip->clock->self);
}

void mg_chip_apply(mg_chip *chip, const int16_t *codes) {
    int moved = 0;
    if (chip->hardware == NULL) return;
    for (uint32_t i = 0; i < chip->n_parameters; i++) {
        if (codes[i] == chip->applied[i]) continue;
        while (!moved && !mg_may_move(chip)) chip->clock->watchdog(chip->clock->self);
        moved = 1;
        chip->hardware->set_parameter(chip->hardware->self, i, codes[i]);
        chip->applied[i] = codes[i];
    }
    if (moved) note_move(chip);
}

/* A simulated chip's cells remember what they do: nothing has to move for it to be safe. */
static int stays(const mg_chip *chip, const int16_t *codes) {
    return codes == NULL && chip->nonideal != NULL && chip->hardware == NULL;
}

mg_status mg_motion_begin(mg_chip *chip, const int16_t *codes) {
    int32_t largest = 0;
    if (stays(chip, codes)) return MG_OK;
    for (uint32_t i = 0; i < chip->n_parameters; i++) {
        int32_t code = codes ? codes[i] : 0, change = code - chip->stored[i];
        if (code < chip->code_lo || code > chip->code_hi) {
            chip->violation = (int32_t)i;
            return MG_OUT_OF_RANGE;
        }
        if (change < 0) change = -change;
        if (change > largest) largest = change;
    }
    if (codes && chip->limits.max_stress > 0.0 && chip->stress + largest > chip->limits.max_stress) {
        chip->violation = MG_STRESSED;
        return MG_OUT_OF_RANGE;
    }
    chip->stress += largest;
    return MG_OK;
}

/* The next point, from where the hardware is: perhaps at a perturbation. Answers whether it is the last one. */
static int next_point(mg_chip *chip, const int16_t *codes) {
    const int16_t *at = chip->hardware ? chip->applied : chip->stored;
    int32_t most = chip->largest_step;
    int there = 1;
    for (uint32_t i = 0; i < chip->n_parameters; i++) {
        int32_t code = codes ? codes[i] : 0;
        int16_t point = (int16_t)mg_clip(code, at[i] - most, at[i] + most);
        there &= point == code;
        chip->stored[i] = point;
    }
    return there;
}

int mg_motion_step(mg_chip *chip, const int16_t *codes, uint64_t step) {
    size_t bytes = (size_t)chip->n_parameters * sizeof *chip->stored;
    int there = 1;
    if (stays(chip, codes)) return 1;
    if (chip->largest_step > 0)
        there = next_point(chip, codes);
    else if (codes)
        memcpy(chip->stored, codes, bytes);
    else
        memset(chip->stored, 0, bytes);
    memcpy(chip->perturbed, chip->stored, bytes);
    if (chip->hardware)
        mg_chip_apply(chip, chip->stored);
    else
        note_move(chip);
    if (codes && chip->nonideal) mg_cells_write(chip, chip->stored, step);
    if (step > chip->now) chip->now = step;
    return there;
}

mg_status mg_check_amplitude(mg_chip *chip, const int16_t *codes, int32_t amplitude) {
    int64_t lo = (int64_t)chip->code_lo + amplitude, hi = (int64_t)chip->code_hi - amplitude;
    if (chip->largest_step > 0 && 2 * amplitude > chip->largest_step) {
        chip->violation = MG_SWINGS_TOO_FAR;
        return MG_OUT_OF_RANGE;
    }
    for (uint32_t i = 0; i < chip->n_parameters; i++) {
        if (codes[i] >= lo && codes[i] <= hi) continue;
        chip->violation = (int32_t)i;
        return MG_OUT_OF_RANGE;
    }
    return MG_OK;
}
