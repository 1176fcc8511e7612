#include "chip.h"

#include <string.h>

#include "bits.h"
#include "nonideal.h"
#include "tables.h"

static int within(int32_t value, int32_t lo, int32_t hi) { return lo <= value && value <= hi; }

static int is_sound(const mg_spec *s) {
    if (!within(s->n_sizes, 2, MG_MAX_SIZES)) return 0;
    int64_t parameters = 0;
    for (int32_t l = 0; l < s->n_sizes; l++) {
        if (!within(s->sizes[l], 1, 1 << 16)) return 0;
        if (l > 0) parameters += (int64_t)s->sizes[l] * (s->sizes[l - 1] + 1);
    }
    return parameters <= (int64_t)1 << 27 && within(s->activation, 0, MG_ACTIVATIONS - 1) &&
           within(s->output_activation, 0, MG_ACTIVATIONS - 1) && within(s->weight_bits, 4, 16) &&
           within(s->weight_log2, -2, 6) && within(s->input_bits, 1, 16) && within(s->input_bipolar, 0, 1) &&
           within(s->signal_bits, 12, 24) && within(s->signal_log2, 0, 6) && within(s->lut_bits, 4, 12) &&
           within(s->output_bits, 4, 16) && within(s->cost, 0, MG_COSTS - 1) && within(s->cost_bits, 4, 20) &&
           within(s->cost_log2, -6, 6);
}

/* Whether a 64-bit accumulator holds every sum, with a bit to spare for rounding. */
static int sums_fit(const mg_chip *chip) {
    const mg_spec *s = &chip->spec;
    int widest = 0, signal = s->signal_bits > s->input_bits ? s->signal_bits : s->input_bits;
    for (uint32_t l = 0; l < chip->n_layers; l++) {
        int bits = mg_bit_length((uint64_t)chip->layer[l].n_in + 1) + s->weight_bits + signal;
        if (bits > widest) widest = bits;
    }
    if (s->cost == MG_MSE) {
        int bits = 2 * s->signal_bits + mg_bit_length(chip->n_outputs);
        if (bits > widest) widest = bits;
    }
    return widest <= 62 && chip->cost_fraction <= 2 * chip->signal_fraction;
}

static void derive_layers(mg_chip *chip) {
    uint32_t parameter = 0, line = 0;
    for (uint32_t l = 0; l < chip->n_layers; l++) {
        mg_layer *layer = &chip->layer[l];
        layer->n_in = (uint32_t)chip->spec.sizes[l];
        layer->n_out = (uint32_t)chip->spec.sizes[l + 1];
        layer->first = parameter;
        layer->first_line = line;
        layer->fraction_in = l == 0 ? chip->input_fraction : chip->signal_fraction;
        /* Signed bits of what it takes in, of a product, and of the sum of n_in + 1 of them. */
        int in = l == 0 ? chip->spec.input_bits + !chip->spec.input_bipolar : chip->spec.signal_bits;
        if (in < layer->fraction_in + 2) in = layer->fraction_in + 2; /* the bias line's 1.0 */
        layer->narrow = in <= 16 && chip->spec.weight_bits + in + mg_bit_length(layer->n_in) <= 32;
        parameter += layer->n_out * (layer->n_in + 1);
        line += layer->n_out + layer->n_in + 1;
    }
    chip->n_parameters = parameter;
}

static void derive_output(mg_chip *chip) {
    const mg_spec *s = &chip->spec;
    int negative = s->output_activation == MG_TANH || s->output_activation == MG_IDENTITY;
    int upper = s->output_activation == MG_LOGISTIC || s->output_activation == MG_TANH ? 0 : s->signal_log2;
    chip->output_fraction = s->output_bits - upper - negative;
    chip->output_lo = negative ? -(1 << (s->output_bits - 1)) : 0;
    chip->output_hi = chip->output_lo + (1 << s->output_bits) - 1;
}

static mg_status take_tables(mg_chip *chip, mg_arena *arena) {
    const mg_spec *s = &chip->spec;
    size_t entries = ((size_t)1 << s->lut_bits) + 1;
    int32_t *hidden = NULL, *last = mg_take(arena, entries, sizeof *last);
    if (last == NULL) return MG_NO_MEMORY;
    mg_curve_table(last, s->output_activation, s->signal_bits, s->signal_log2, s->lut_bits);
    if (chip->n_layers > 1 && s->activation != s->output_activation) {
        hidden = mg_take(arena, entries, sizeof *hidden);
        if (hidden == NULL) return MG_NO_MEMORY;
        mg_curve_table(hidden, s->activation, s->signal_bits, s->signal_log2, s->lut_bits);
    }
    for (uint32_t l = 0; l < chip->n_layers; l++)
        chip->layer[l].curve = hidden != NULL && l + 1 < chip->n_layers ? hidden : last;
    if (s->cost == MG_XENT) {
        uint32_t *exponential = mg_take(arena, MG_EXP_SEGMENTS + 1, sizeof *exponential);
        int64_t *logarithm = mg_take(arena, MG_EXP_SEGMENTS + 1, sizeof *logarithm);
        if (exponential == NULL || logarithm == NULL) return MG_NO_MEMORY;
        mg_exponential_table(exponential, s->signal_log2 + 1 - 10);
        mg_logarithm_table(logarithm, chip->signal_fraction + MG_TARGET_BITS);
        chip->exponential = exponential;
        chip->logarithm = logarithm;
    }
    return MG_OK;
}

mg_status mg_chip_init(mg_chip *chip, const mg_spec *spec, const mg_hardware *hardware, mg_arena *arena) {
    memset(chip, 0, sizeof *chip);
    chip->hardware = hardware;
    if (!is_sound(spec)) return MG_BAD_CHIP;
    const mg_spec *s = &chip->spec;
    chip->spec = *spec;
    chip->n_layers = (uint32_t)s->n_sizes - 1;
    chip->n_inputs = (uint32_t)s->sizes[0];
    chip->n_outputs = (uint32_t)s->sizes[chip->n_layers];
    chip->weight_fraction = s->weight_bits - 1 - s->weight_log2;
    chip->input_fraction = s->input_bits - s->input_bipolar;
    chip->signal_fraction = s->signal_bits - 1 - s->signal_log2;
    chip->cost_fraction = s->cost_bits - s->cost_log2;
    derive_layers(chip);
    derive_output(chip);
    if (!sums_fit(chip)) return MG_BAD_CHIP;
    chip->code_lo = -(1 << (s->weight_bits - 1));
    chip->code_hi = -chip->code_lo - 1;
    chip->input_lo = s->input_bipolar ? -(1 << (s->input_bits - 1)) : 0;
    chip->input_hi = chip->input_lo + (1 << s->input_bits) - 1;
    chip->input_bytes = s->input_bits <= 8 && !s->input_bipolar ? 1 : 2;
    chip->mean_divisor = mg_times_power((int64_t)chip->n_outputs, 2 * chip->signal_fraction - chip->cost_fraction);

    uint32_t widest = 0;
    for (int32_t l = 0; l < s->n_sizes; l++)
        if ((uint32_t)s->sizes[l] > widest) widest = (uint32_t)s->sizes[l];
    chip->stored = mg_take(arena, chip->n_parameters, sizeof *chip->stored);
    chip->perturbed = mg_take(arena, chip->n_parameters, sizeof *chip->perturbed);
    chip->signals[0] = mg_take(arena, widest, sizeof *chip->signals[0]);
    chip->signals[1] = mg_take(arena, widest, sizeof *chip->signals[1]);
    chip->narrow = mg_take(arena, widest, sizeof *chip->narrow);
    if (hardware != NULL) {
        chip->applied = mg_take(arena, chip->n_parameters, sizeof *chip->applied);
        if (chip->applied == NULL) return MG_NO_MEMORY;
        for (uint32_t i = 0; i < chip->n_parameters; i++) hardware->set_parameter(hardware->self, i, 0);
    }
    if (!chip->stored || !chip->perturbed || !chip->signals[0] || !chip->signals[1] || !chip->narrow)
        return MG_NO_MEMORY;
    mg_status status = take_tables(chip, arena);
    if (status != MG_OK || s->nonidealities == NULL || !mg_is_nonideal(s->nonidealities)) return status;
    return mg_nonideal_init(chip, s->nonidealities, arena);
}

void mg_chip_take_samples(mg_chip *chip, mg_arena *arena, uint32_t most) {
    size_t input = (size_t)chip->n_inputs * chip->input_bytes, target = (size_t)chip->n_outputs * sizeof(int16_t);
    size_t room = mg_left(arena);
    size_t fit = room < 16 ? 0 : (room - 16) / (input + target); /* 16: both pieces are rounded up to 8 bytes */
    chip->capacity = fit < most ? (uint32_t)fit : most;
    chip->inputs = mg_take(arena, chip->capacity, input);
    chip->targets = mg_take(arena, chip->capacity, target);
    chip->n_samples = 0;
}

void mg_chip_set_input(mg_chip *chip, uint32_t sample, uint32_t i, int32_t code) {
    size_t at = ((size_t)sample * chip->n_inputs + i) * chip->input_bytes;
    chip->inputs[at] = (uint8_t)code;
    if (chip->input_bytes == 2) chip->inputs[at + 1] = (uint8_t)((uint32_t)code >> 8);
}

void mg_chip_set_target(mg_chip *chip, uint32_t sample, uint32_t j, int32_t code) {
    chip->targets[(size_t)sample * chip->n_outputs + j] = (int16_t)code;
}

void mg_chip_loaded(mg_chip *chip, uint32_t n) { chip->n_samples = n < chip->capacity ? n : chip->capacity; }

const int16_t *mg_chip_stored(const mg_chip *chip) { return chip->stored; }

int32_t mg_chip_parameter_code(const mg_chip *chip, double theta) {
    return mg_dac(theta, chip->weight_fraction, chip->code_lo, chip->code_hi);
}

int32_t mg_chip_input_code(const mg_chip *chip, double value) {
    return mg_dac(value, chip->input_fraction, chip->input_lo, chip->input_hi);
}

int32_t mg_chip_target_code(double value) { return mg_dac(value, MG_TARGET_BITS, -(1 << 15), (1 << 15) - 1); }
