#include "datapath.h"

#include "bits.h"
#include "nonideal.h"
#include "motion.h"

void mg_unpack_inputs(const mg_chip *chip, uint32_t sample, int32_t *x) {
    uint32_t n = chip->n_inputs;
    const uint8_t *row = chip->inputs + (size_t)sample * n * chip->input_bytes;
    if (chip->input_bytes == 1) {
        for (uint32_t i = 0; i < n; i++) x[i] = row[i];
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t code = row[2 * i] | (uint32_t)row[2 * i + 1] << 8;
        x[i] = chip->spec.input_bipolar ? (int16_t)code : (int32_t)code;
    }
}

int32_t mg_bend(const mg_chip *chip, const int32_t *curve, int32_t z) {
    int bits = chip->spec.signal_bits - chip->spec.lut_bits;
    int32_t p = z + ((int32_t)1 << (chip->spec.signal_bits - 1));
    int32_t k = p >> bits, r = p - (k << bits);
    return (int32_t)(curve[k] + mg_rshift((int64_t)(curve[k + 1] - curve[k]) * r, bits));
}

/* The same asked of the hardware: its output codes as signals. */
static const int32_t *measured_signals(mg_chip *chip, const int16_t *codes, const int32_t *x, int32_t *h) {
    const mg_hardware *hardware = chip->hardware;
    mg_chip_apply(chip, codes);
    for (uint32_t i = 0; i < chip->n_inputs; i++) hardware->apply_input(hardware->self, i, x[i]);
    hardware->trigger(hardware->self);
    for (uint32_t j = 0; j < chip->n_outputs; j++) {
        int64_t code = mg_clip(hardware->read_output(hardware->self, j), chip->output_lo, chip->output_hi);
        int64_t signal = mg_rshift(code, chip->output_fraction - chip->signal_fraction);
        h[j] = (int32_t)mg_sat(signal, chip->spec.signal_bits);
    }
    return h;
}

/* One neuron's products. */
static int64_t wide_sum(const int16_t *w, const int32_t *x, uint32_t n) {
    int64_t sum = 0;
    for (uint32_t i = 0; i < n; i++) sum += (int64_t)w[i] * x[i];
    return sum;
}

static int32_t narrow_sum(const int16_t *w, const int16_t *x, uint32_t n) {
    int32_t sum = 0;
    for (uint32_t i = 0; i < n; i++) sum += w[i] * x[i];
    return sum;
}

const int32_t *mg_signals(mg_chip *chip, const int16_t *codes, uint32_t sample) {
    int32_t *x = chip->signals[0], *h = chip->signals[1];
    mg_unpack_inputs(chip, sample, x);
    if (chip->hardware != NULL) return measured_signals(chip, codes, x, h);
    for (uint32_t l = 0; l < chip->n_layers; l++) {
        const mg_layer *layer = &chip->layer[l];
        const int16_t *w = codes + layer->first, *b = w + (size_t)layer->n_out * layer->n_in;
        int shift = layer->fraction_in + chip->weight_fraction - chip->signal_fraction;
        if (layer->narrow)
            for (uint32_t i = 0; i < layer->n_in; i++) chip->narrow[i] = (int16_t)x[i];
        for (uint32_t j = 0; j < layer->n_out; j++) {
            int64_t a = mg_times_power(b[j], layer->fraction_in);
            a += layer->narrow ? narrow_sum(w, chip->narrow, layer->n_in) : wide_sum(w, x, layer->n_in);
            w += layer->n_in;
            h[j] = mg_bend(chip, layer->curve, (int32_t)mg_sat(mg_rshift(a, shift), chip->spec.signal_bits));
        }
        int32_t *spare = x;
        x = h;
        h = spare;
    }
    return x;
}

int32_t mg_output_code(const mg_chip *chip, int32_t signal) {
    int64_t code = mg_rshift(signal, chip->signal_fraction - chip->output_fraction);
    return (int32_t)mg_clip(code, chip->output_lo, chip->output_hi);
}

static int64_t mean_square(const mg_chip *chip, const int32_t *h, const int16_t *t) {
    int64_t sum = 0;
    for (uint32_t j = 0; j < chip->n_outputs; j++) {
        int64_t e = h[j] - mg_rshift(t[j], MG_TARGET_BITS - chip->signal_fraction);
        sum += e * e;
    }
    return (sum + chip->mean_divisor / 2) / chip->mean_divisor;
}

static int64_t cross_entropy(const mg_chip *chip, const int32_t *h, const int16_t *t) {
    const uint32_t *E = chip->exponential;
    const int64_t *N = chip->logarithm;
    int wide = chip->spec.signal_bits - 10, fraction = chip->signal_fraction + MG_TARGET_BITS;
    int64_t m = h[0], s = 0, correct = 0;
    for (uint32_t j = 0; j < chip->n_outputs; j++) {
        if (h[j] > m) m = h[j];
        correct += (int64_t)t[j] * h[j];
    }
    for (uint32_t j = 0; j < chip->n_outputs; j++) {
        int64_t d = m - h[j], k = d >> wide, r = d - (k << wide);
        s += E[k] + mg_rshift(((int64_t)E[k + 1] - E[k]) * r, wide);
    }
    int q = mg_bit_length((uint64_t)s) - 1;
    int64_t u = (q <= 30 ? s << (30 - q) : s >> (q - 30)) - ((int64_t)1 << 30);
    int64_t k = u >> 20, r = u - (k << 20);
    int64_t log = (q - 16) * N[MG_EXP_SEGMENTS] + N[k] + mg_rshift((N[k + 1] - N[k]) * r, 20);
    return mg_rshift(mg_times_power(m, MG_TARGET_BITS) + log - correct, fraction - chip->cost_fraction);
}

int64_t mg_cost_code(const mg_chip *chip, const int32_t *signals, const int16_t *targets) {
    int64_t cost =
        chip->spec.cost == MG_MSE ? mean_square(chip, signals, targets) : cross_entropy(chip, signals, targets);
    return mg_clip(cost, 0, ((int64_t)1 << chip->spec.cost_bits) - 1);
}

int64_t mg_sample_cost(mg_chip *chip, const int16_t *codes, uint32_t sample) {
    const int32_t *signals = mg_signals(chip, codes, sample);
    return mg_cost_code(chip, signals, chip->targets + (size_t)sample * chip->n_outputs);
}
