/* What can be nonideal about a chip; signals, costs and outputs of such a one: docs/chip.md, "Signals" to "Output
 * converter". */
#include "nonideal.h"

#include <string.h>

#include "bits.h"
#include "datapath.h"
#include "noise.h"

#define MOST_STEPS 1099511627776.0 /* 2^40 */

/* --- the catalogue -------------------------------------------------------------------------------------------------- */

enum {
    OF_CELLS = 1,  /* on what is written, held or added to a cell, or that a write interrupts */
    OF_PULSES = 2, /* only of cells that move by pulses */
    WHOLE = 4,     /* a whole number */
};

typedef struct nonideality {
    const char *name;
    double lo, hi;
    int kind;
} nonideality;

/* As `mgdhw_sim.nonidealities` has them, in its order; tests compare the two. A new one is a row there, a row here, and
 * what it does: here, or where the cells are (`mg_strength` by its name). */
static const nonideality CATALOGUE[] = {
    {"dac_offset", -8, 8, OF_CELLS},
    {"dac_gain", -0.5, 0.5, OF_CELLS},
    {"dac_inl", -1024, 1024, OF_CELLS},
    {"cell_gain_std", 0, 0.25, OF_CELLS},
    {"cell_offset_std", 0, 1, OF_CELLS},
    {"stuck", 0, 1, OF_CELLS},
    {"dead", 0, 1, OF_CELLS},
    {"perturbation_std", 0, 0.25, OF_CELLS},
    {"input_noise", 0, 0.125, 0},
    {"read_noise", 0, 1, 0},
    {"ir_row", 0, 0.5, OF_CELLS},
    {"ir_column", 0, 0.5, OF_CELLS},
    {"neuron_std", 0, 1, 0},
    {"midpoint_std", 0, 1, 0},
    {"steepness_std", 0, 1, 0},
    {"amplitude_std", 0, 1, 0},
    {"offset_std", 0, 1, 0},
    {"adc_noise", 0, 1, 0},
    {"adc_inl", -1024, 1024, 0},
    {"cost_noise", 0, 16, 0},
    {"write_noise", 0, 8, OF_CELLS},
    {"w_max", 0, 64, OF_CELLS},
    {"w_min", -64, 0, 0},
    {"dw_min", 0, 8, OF_PULSES},
    {"up_down", -0.9, 0.9, OF_PULSES},
    {"w_max_dtod", 0, 1, OF_PULSES},
    {"w_min_dtod", 0, 1, OF_PULSES},
    {"dw_min_dtod", 0, 1, OF_PULSES},
    {"up_down_dtod", 0, 1, OF_PULSES},
    {"dw_min_std", 0, 8, OF_PULSES},
    {"retention", 0, MOST_STEPS, OF_CELLS},
    {"rest", -64, 64, 0},
    {"drift_nu", 0, 1, OF_CELLS},
    {"drift_nu_dtod", 0, 1, 0},
    {"drift_every", 1, MOST_STEPS, WHOLE},
    {"temperature_std", 0, 100, 0},
    {"temperature_every", 1, MOST_STEPS, WHOLE},
    {"temperature_steepness", -0.01, 0.01, 0},
    {"temperature_midpoint", -0.1, 0.1, 0},
    {"settling", 0, 0.9, OF_CELLS},
    {"endurance", 0, 1e15, OF_CELLS},
    {"endurance_dtod", 0, 1, 0},
};

#define COUNT ((int)(sizeof CATALOGUE / sizeof *CATALOGUE))

static double when_off(int i) { return CATALOGUE[i].lo > 0.0 ? CATALOGUE[i].lo : 0.0; }

static int is_on(const mg_nonidealities *given, int i) {
    return given->strength[i] < when_off(i) || given->strength[i] > when_off(i);
}

void mg_nonidealities_clear(mg_nonidealities *given) {
    given->seed = 0;
    for (int i = 0; i < MG_MOST_NONIDEALITIES; i++) given->strength[i] = i < COUNT ? when_off(i) : 0.0;
}

int mg_nonidealities_count(void) { return COUNT; }

const char *mg_nonideality_name(int i) { return CATALOGUE[i].name; }

int mg_nonideality_of(const char *name) {
    for (int i = 0; i < COUNT; i++)
        if (strcmp(name, CATALOGUE[i].name) == 0) return i;
    return -1;
}

double mg_strength(const mg_nonidealities *given, const char *name) {
    int i = mg_nonideality_of(name);
    return i < 0 ? 0.0 : given->strength[i];
}

int mg_is_nonideal(const mg_nonidealities *given) {
    for (int i = 0; i < COUNT; i++)
        if (is_on(given, i)) return 1;
    return 0;
}

int mg_nonidealities_are_sound(const mg_nonidealities *given) {
    int pulsed = mg_strength(given, "w_max") > 0.0;
    for (int i = 0; i < COUNT; i++) {
        const nonideality *row = &CATALOGUE[i];
        double value = given->strength[i];
        if (!(value >= row->lo && value <= row->hi)) return 0;
        if (row->kind & WHOLE && (double)mg_floor(value) < value) return 0;
        if (row->kind & OF_PULSES && !pulsed && is_on(given, i)) return 0;
    }
    return mg_strength(given, "stuck") + mg_strength(given, "dead") <= 1.0 && pulsed == (mg_strength(given, "w_min") < 0.0);
}

int mg_nonidealities_write_exactly(const mg_nonidealities *given) {
    for (int i = 0; i < COUNT; i++)
        if (CATALOGUE[i].kind & OF_CELLS && is_on(given, i)) return 0;
    return 1;
}

/* --- signals --------------------------------------------------------------------------------------------------------- */

/* Noise of a row of n places, each row beginning with a block of eight draws of its own. */
typedef struct row_noise {
    mg_noise noise;
    int64_t size;
    uint64_t first;
} row_noise;

static row_noise row_of(const mg_nonideal *own, uint32_t stream, int64_t size, const mg_measurement *at,
                        uint32_t layer, uint32_t n, uint32_t row) {
    row_noise of;
    mg_noise_at(&of.noise, own->nonidealities.seed, stream, layer, at->part, at->step);
    of.size = size;
    of.first = (uint64_t)row * 8 * ((n + 7) / 8);
    return of;
}

static int64_t place(row_noise *of, uint32_t j) { return mg_scaled(&of->noise, of->size, of->first + j); }

static void take_inputs(mg_chip *chip, const mg_measurement *at, uint32_t sample, uint32_t row, int32_t *x) {
    const mg_nonideal *own = chip->nonideal;
    int64_t full = ((int64_t)1 << (chip->spec.input_bits + own->fine_input_bits)) - 1;
    row_noise noise = row_of(own, MG_STREAM_INPUTS, own->input_size, at, 0, chip->n_inputs, row);
    mg_unpack_inputs(chip, sample, x);
    for (uint32_t i = 0; i < chip->n_inputs; i++)
        x[i] = (int32_t)mg_clip(mg_times_power(x[i], own->fine_input_bits) + place(&noise, i), -full, full);
}

/* A neuron of its own, from its noisy pre-activation to its activation. */
static int32_t fire(const mg_chip *chip, const mg_layer *layer, uint32_t neuron, int64_t z) {
    const mg_nonideal *own = chip->nonideal;
    const mg_neurons *neurons = &own->neurons;
    int bits = chip->spec.signal_bits;
    int64_t steepness = neurons->steepness[neuron] + own->steepness_shift;
    z = mg_sat(z, bits) - neurons->midpoint[neuron] - own->midpoint_shift;
    z = mg_sat(mg_rshift(z * mg_clip(steepness, 0, 8191), 12), bits);
    int64_t h = mg_bend(chip, layer->curve, (int32_t)z);
    return (int32_t)mg_sat(mg_rshift(h * neurons->amplitude[neuron], 12) + neurons->offset[neuron], bits);
}

int32_t *mg_settled(mg_chip *chip, const mg_measurement *at, uint32_t sample, uint32_t row) {
    const mg_nonideal *own = chip->nonideal;
    int32_t *x = chip->signals[0], *h = chip->signals[1];
    uint32_t neuron = 0;
    take_inputs(chip, at, sample, row, x);
    for (uint32_t l = 0; l < chip->n_layers; l++) {
        const mg_layer *layer = &chip->layer[l];
        const int32_t *w = at->weights + layer->first, *b = w + (size_t)layer->n_out * layer->n_in;
        int fraction = layer->fraction_in + (l == 0 ? own->fine_input_bits : 0);
        int shift = fraction + own->fine_fraction - chip->signal_fraction;
        row_noise noise = row_of(own, MG_STREAM_READS, own->read_size, at, l, layer->n_out, row);
        for (uint32_t j = 0; j < layer->n_out; j++) {
            int64_t a = mg_times_power(b[j], fraction);
            for (uint32_t i = 0; i < layer->n_in; i++) a += (int64_t)w[i] * x[i];
            w += layer->n_in;
            h[j] = fire(chip, layer, neuron++, mg_rshift(a, shift) + place(&noise, j));
        }
        int32_t *spare = x;
        x = h;
        h = spare;
    }
    return x;
}

int64_t mg_noisy_cost(mg_chip *chip, const mg_measurement *at, const int32_t *signals, uint32_t sample, uint32_t row) {
    const mg_nonideal *own = chip->nonideal;
    row_noise noise = row_of(own, MG_STREAM_COSTS, own->cost_size, at, 0, 1, row);
    int64_t cost = mg_cost_code(chip, signals, chip->targets + (size_t)sample * chip->n_outputs);
    return mg_clip(cost + place(&noise, 0), 0, ((int64_t)1 << chip->spec.cost_bits) - 1);
}

void mg_noisy_outputs(mg_chip *chip, const mg_measurement *at, int32_t *signals, uint32_t row) {
    const mg_nonideal *own = chip->nonideal;
    row_noise noise = row_of(own, MG_STREAM_ADC, own->adc_size, at, 0, chip->n_outputs, row);
    int64_t lo = chip->output_lo, hi = chip->output_hi, bow = own->adc_bow;
    for (uint32_t j = 0; j < chip->n_outputs; j++) {
        int64_t seen = mg_rshift(signals[j] + place(&noise, j), chip->signal_fraction - chip->output_fraction);
        int64_t y = mg_clip(seen, lo, hi), q = 2 * y - (lo + hi + 1);
        y += mg_rshift(bow - mg_rshift(bow * q * q, 2 * chip->spec.output_bits), 8);
        signals[j] = (int32_t)mg_clip(y, lo, hi);
    }
}
