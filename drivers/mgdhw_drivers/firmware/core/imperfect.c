/* Signals, costs and outputs of an imperfect chip: docs/chip.md, "Signals" to "Output converter". */
#include "imperfect.h"

#include "datapath.h"
#include "noise.h"

/* Noise of a row of n places, each row beginning with a block of eight draws of its own. */
typedef struct row_noise {
    mg_noise noise;
    int64_t size;
    uint64_t first;
} row_noise;

static row_noise row_of(const mg_imperfect *own, uint32_t stream, int64_t size, const mg_measurement *at,
                        uint32_t layer, uint32_t n, uint32_t row) {
    row_noise of;
    mg_noise_at(&of.noise, own->effects.seed, stream, layer, at->part, at->step);
    of.size = size;
    of.first = (uint64_t)row * 8 * ((n + 7) / 8);
    return of;
}

static int64_t place(row_noise *of, uint32_t j) { return mg_scaled(&of->noise, of->size, of->first + j); }

static void take_inputs(mg_chip *chip, const mg_measurement *at, uint32_t sample, uint32_t row, int32_t *x) {
    const mg_imperfect *own = chip->imperfect;
    int64_t full = ((int64_t)1 << (chip->spec.input_bits + own->fine_input_bits)) - 1;
    row_noise noise = row_of(own, MG_STREAM_INPUTS, own->input_size, at, 0, chip->n_inputs, row);
    mg_unpack_inputs(chip, sample, x);
    for (uint32_t i = 0; i < chip->n_inputs; i++)
        x[i] = (int32_t)mg_clip(mg_times_power(x[i], own->fine_input_bits) + place(&noise, i), -full, full);
}

/* A neuron of its own, from its noisy pre-activation to its activation. */
static int32_t fire(const mg_chip *chip, const mg_layer *layer, uint32_t neuron, int64_t z) {
    const mg_imperfect *own = chip->imperfect;
    const mg_neurons *neurons = &own->neurons;
    int bits = chip->spec.signal_bits;
    int64_t steepness = neurons->steepness[neuron] + own->steepness_shift;
    z = mg_sat(z, bits) - neurons->midpoint[neuron] - own->midpoint_shift;
    z = mg_sat(mg_rshift(z * mg_clip(steepness, 0, 8191), 12), bits);
    int64_t h = mg_bend(chip, layer->curve, (int32_t)z);
    return (int32_t)mg_sat(mg_rshift(h * neurons->amplitude[neuron], 12) + neurons->offset[neuron], bits);
}

int32_t *mg_settled(mg_chip *chip, const mg_measurement *at, uint32_t sample, uint32_t row) {
    const mg_imperfect *own = chip->imperfect;
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
    const mg_imperfect *own = chip->imperfect;
    row_noise noise = row_of(own, MG_STREAM_COSTS, own->cost_size, at, 0, 1, row);
    int64_t cost = mg_cost_code(chip, signals, chip->targets + (size_t)sample * chip->n_outputs);
    return mg_clip(cost + place(&noise, 0), 0, ((int64_t)1 << chip->spec.cost_bits) - 1);
}

void mg_noisy_outputs(mg_chip *chip, const mg_measurement *at, int32_t *signals, uint32_t row) {
    const mg_imperfect *own = chip->imperfect;
    row_noise noise = row_of(own, MG_STREAM_ADC, own->adc_size, at, 0, chip->n_outputs, row);
    int64_t lo = chip->output_lo, hi = chip->output_hi, bow = own->adc_bow;
    for (uint32_t j = 0; j < chip->n_outputs; j++) {
        int64_t seen = mg_rshift(signals[j] + place(&noise, j), chip->signal_fraction - chip->output_fraction);
        int64_t y = mg_clip(seen, lo, hi), q = 2 * y - (lo + hi + 1);
        y += mg_rshift(bow - mg_rshift(bow * q * q, 2 * chip->spec.output_bits), 8);
        signals[j] = (int32_t)mg_clip(y, lo, hi);
    }
}
