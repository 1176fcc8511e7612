/* How cells are written, how they age, and what weight they make: docs/chip.md, "Cells". */
#include <string.h>

#include "nonideal.h"
#include "noise.h"

#define OLDEST ((uint64_t)1 << 40)
#define LARGEST_AGE ((1 << 24) - 1)

uint64_t mg_tick_of(const mg_nonideal *own, uint64_t step) { return own->drift_every ? step / own->drift_every : 0; }

void mg_cells_forget(mg_chip *chip) {
    mg_nonideal *own = chip->nonideal;
    for (uint32_t i = 0; i < chip->n_parameters; i++) {
        own->requested[i] = MG_NEVER;
        own->value[i] = 0;
        own->written_tick[i] = own->wear[i] = 0;
    }
    own->written = -1;
    own->is_fresh = 0;
    mg_cells_are_held(chip);
}

void mg_cells_are_held(mg_chip *chip) {
    for (uint32_t i = 0; i < chip->n_parameters; i++) {
        int32_t code = chip->nonideal->requested[i];
        chip->stored[i] = chip->perturbed[i] = (int16_t)(code == MG_NEVER ? 0 : code);
    }
}

/* D(c): what the parameter DAC makes of a code. */
static int64_t converted(const mg_chip *chip, int64_t c) {
    const mg_nonideal *own = chip->nonideal;
    int64_t bow = own->dac_inl - mg_rshift(own->dac_inl * c * c, 2 * (chip->spec.weight_bits - 1));
    int64_t value = mg_times_power(c, MG_CELL_FRACTION) + own->dac_offset + mg_rshift(c * own->dac_gain, 6) + bow;
    return mg_clip(value, -own->limit, own->limit);
}

/* Bit by bit; below 2^32. */
static int64_t whole_root(int64_t square) {
    int64_t root = 0;
    for (int64_t bit = (int64_t)1 << 31; bit > 0; bit >>= 1)
        if ((root | bit) * (root | bit) <= square) root |= bit;
    return root;
}

/* ln(m), 1 <= m <= 2^41, 20 fraction bits. */
static int64_t logarithm(const int64_t *N, uint64_t m) {
    int q = mg_bit_length(m) - 1;
    int64_t u = (int64_t)(q <= 30 ? m << (30 - q) : m >> (q - 30)) - ((int64_t)1 << 30);
    int64_t k = u >> 20, r = u - (k << 20);
    return q * N[MG_EXP_SEGMENTS] + N[k] + mg_rshift((N[k + 1] - N[k]) * r, 20);
}

/* e^-y, 16 fraction bits. */
static int64_t decayed(const uint32_t *Y, int64_t y) {
    int64_t k = y >> 14, r = y - (k << 14);
    return Y[k] + mg_rshift(((int64_t)Y[k + 1] - Y[k]) * r, 14);
}

int64_t mg_cell_at(const mg_chip *chip, uint32_t i, uint64_t tick) {
    const mg_nonideal *own = chip->nonideal;
    if (own->kind[i] == MG_STUCK) return converted(chip, own->stuck[i]);
    int64_t value = own->value[i];
    if (own->drift_every == 0) return value;
    uint64_t written_tick = (uint64_t)own->written_tick[i], age = tick > written_tick ? tick - written_tick : 0;
    if (age > OLDEST) age = OLDEST;
    int64_t y = (int64_t)(age < LARGEST_AGE ? age : LARGEST_AGE) * own->rate;
    if (own->drift) y += mg_rshift(own->drift[i] * logarithm(own->logarithm, 1 + age), 16);
    return own->rest + mg_rshift((value - own->rest) * decayed(own->decay, y < LARGEST_AGE ? y : LARGEST_AGE), 16);
}

/* Cell i after a change of c codes by pulses, and how many it took. */
static int64_t pulsed(mg_chip *chip, uint32_t i, int64_t c, uint64_t tick, int64_t g1, int64_t *count) {
    const mg_nonideal *own = chip->nonideal;
    const mg_pulses *moves = &own->pulses;
    int64_t m = c < 0 ? -c : c, f = own->pulse_unit, v = mg_cell_at(chip, i, tick);
    int64_t lo = -moves->w_min[i], hi = moves->w_max[i], d = c > 0 ? moves->up[i] : moves->down[i];
    if (f > 0) m = (mg_times_power(m, MG_CELL_FRACTION) + f / 2) / f;
    for (int64_t k = 0; k < m; k++) {
        int64_t next = c > 0 ? v + d - mg_rshift(v * moves->slope_up[i], 20) : v - d - mg_rshift(v * moves->slope_down[i], 20);
        v = mg_clip(next, lo, hi);
    }
    *count = m;
    return v + mg_rshift(g1 * ((d * own->pulse_noise * whole_root(mg_times_power(m, 16))) >> 20), 15);
}

void mg_cells_write(mg_chip *chip, const int16_t *codes, uint64_t step) {
    mg_nonideal *own = chip->nonideal;
    uint64_t tick = mg_tick_of(own, step);
    mg_noise noise;
    mg_noise_at(&noise, own->nonidealities.seed, MG_STREAM_WRITES, 0, 0, step);
    for (uint32_t i = 0; i < chip->n_parameters; i++) {
        int64_t before = own->requested[i] == MG_NEVER ? 0 : own->requested[i], count = 1, value;
        if (codes[i] == own->requested[i]) continue;
        own->requested[i] = codes[i];
        own->written = (int64_t)step;
        own->is_fresh = 0;
        if (own->kind[i] != MG_LIVES || (own->endurance && own->wear[i] >= own->endurance[i])) continue;
        int64_t added = mg_scaled(&noise, own->write_size, 2 * (uint64_t)i);
        if (own->pulses.w_max) {
            int64_t g1 = own->pulse_noise ? mg_gaussian(&noise, 2 * (uint64_t)i + 1) : 0;
            value = pulsed(chip, i, codes[i] - before, tick, g1, &count) + added;
            value = mg_clip(value, -own->pulses.w_min[i], own->pulses.w_max[i]);
        } else {
            value = mg_clip(converted(chip, codes[i]) + added, -own->limit, own->limit);
        }
        own->value[i] = (int32_t)value;
        own->written_tick[i] = (int64_t)tick;
        own->wear[i] = (int64_t)((uint64_t)own->wear[i] + (uint64_t)count);
    }
}

static int32_t fine_weight(const mg_chip *chip, uint32_t i, uint64_t tick) {
    const mg_nonideal *own = chip->nonideal;
    int64_t fine = mg_rshift(mg_cell_at(chip, i, tick), MG_CELL_FRACTION - own->fine_bits);
    return (int32_t)mg_sat(mg_rshift(fine * own->gain[i], 15) + own->offset[i], own->weight_bits);
}

/* What the temperature does at a step: nothing at number 0. */
static void take_temperature(mg_nonideal *own, uint64_t number) {
    own->temperature = number;
    own->midpoint_shift = own->steepness_shift = 0;
    if (number == 0) return;
    mg_noise noise;
    mg_noise_at(&noise, own->nonidealities.seed, MG_STREAM_TEMPERATURE, 0, 0, number);
    int64_t kelvin = mg_scaled(&noise, own->kelvin_size, 0);
    own->midpoint_shift = mg_rshift(kelvin * own->midpoint_per_kelvin, 16);
    own->steepness_shift = mg_rshift(kelvin * own->steepness_per_kelvin, 16);
}

static uint64_t temperature_of(const mg_nonideal *own, uint64_t step) {
    return own->temperature_every ? step / own->temperature_every : 0;
}

int mg_nonideal_is_alike(const mg_nonideal *own, uint64_t step, uint64_t other) {
    return mg_tick_of(own, step) == mg_tick_of(own, other) && temperature_of(own, step) == temperature_of(own, other);
}

void mg_nonideal_come_to(mg_chip *chip, uint64_t step) {
    mg_nonideal *own = chip->nonideal;
    uint64_t tick = mg_tick_of(own, step), number = temperature_of(own, step);
    if (number != own->temperature) take_temperature(own, number);
    if (own->is_fresh && tick == own->tick) return;
    for (uint32_t i = 0; i < chip->n_parameters; i++) own->weights[i] = fine_weight(chip, i, tick);
    own->tick = tick;
    own->is_fresh = 1;
}

const int32_t *mg_nonideal_vary(mg_chip *chip, int which, int sign, const int16_t *code, uint32_t first,
                                 uint32_t size) {
    const mg_nonideal *own = chip->nonideal;
    int32_t *varied = own->varied[which];
    memcpy(varied, own->weights, chip->n_parameters * sizeof *varied);
    for (uint32_t g = 0; g < size; g++) {
        uint32_t i = first + g;
        int64_t change = sign * code[g], size_of_it = mg_times_power(change < 0 ? -change : change, own->fine_bits);
        int64_t added = mg_rshift(size_of_it * own->perturbation[i], 15);
        varied[i] = (int32_t)mg_sat(own->weights[i] + (change < 0 ? -added : added), own->weight_bits);
    }
    return varied;
}

void mg_cells_read(const mg_chip *chip, int64_t *cells, int32_t *weights) {
    uint64_t tick = mg_tick_of(chip->nonideal, chip->now);
    for (uint32_t i = 0; i < chip->n_parameters; i++) {
        cells[i] = mg_cell_at(chip, i, tick);
        weights[i] = fine_weight(chip, i, tick);
    }
}
