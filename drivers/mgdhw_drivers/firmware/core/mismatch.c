/* What is drawn once for a nonideal chip, and its numbers: docs/chip.md, "Mismatch". */
#include "nonideal.h"
#include "noise.h"
#include "tables.h"

#define UNIT 32768      /* 1.0 of a gain */
#define NEURON_UNIT 4096 /* 1.0 of a steepness and of an amplitude */
#define LARGEST_AGE ((1 << 24) - 1)

enum quantity {
    DEFECT,
    GAIN,
    OFFSET,
    PERTURBATION,
    W_MAX,
    W_MIN,
    DW_MIN,
    UP_DOWN,
    DRIFT,
    ENDURANCE,
    MIDPOINT,
    STEEPNESS,
    AMPLITUDE,
    NEURON_OFFSET
};

/* A quantity as it is drawn, one index after the other. */
typedef struct source {
    mg_noise noise;
    int64_t size;
} source;

static source source_of(const mg_nonideal *own, enum quantity quantity, double sigma) {
    source from;
    mg_noise_at(&from.noise, own->nonidealities.seed, MG_STREAM_MISMATCH, quantity, 0, 0);
    from.size = mg_noise_size(sigma);
    return from;
}

static int64_t draw(source *from, uint32_t n) { return mg_scaled(&from->noise, from->size, n); }

/* About a base; the source has a sigma of 2^15 times the relative one. */
static int64_t spread(source *from, int64_t base, uint32_t n) { return base + mg_rshift(base * draw(from, n), 15); }

static double strength(const mg_nonideal *own, const char *name) { return mg_strength(&own->nonidealities, name); }

static source relative(const mg_nonideal *own, enum quantity quantity, const char *name) {
    return source_of(own, quantity, strength(own, name) * UNIT);
}

/* Kinds, and codes of the stuck. */
static void draw_defects(mg_chip *chip) {
    mg_nonideal *own = chip->nonideal;
    int64_t stuck = mg_fix(strength(own, "stuck"), 65536.0), dead = mg_fix(strength(own, "dead"), 65536.0);
    mg_words words;
    mg_words_at(&words, own->nonidealities.seed, MG_STREAM_MISMATCH + (DEFECT << 8), 0);
    for (uint32_t n = 0; n < chip->n_parameters; n++) {
        uint32_t word = mg_word(&words, n), low = word & 0xFFFFu, high = word >> 16;
        own->kind[n] = low < stuck ? MG_STUCK : low < stuck + dead ? MG_DEAD : MG_LIVES;
        if (own->stuck) own->stuck[n] = (int16_t)((int32_t)((high << chip->spec.weight_bits) >> 16) + chip->code_lo);
    }
}

/* What the wires take of the weight of the cell of row j and input i. */
static int64_t lost(const mg_nonideal *own, const mg_layer *layer, uint32_t j, uint32_t i) {
    int64_t row = mg_fix(strength(own, "ir_row"), UNIT), column = mg_fix(strength(own, "ir_column"), UNIT);
    return row * (2 * (int64_t)i + 1) / (2 * ((int64_t)layer->n_in + 1)) +
           column * (2 * (int64_t)j + 1) / (2 * (int64_t)layer->n_out);
}

static void draw_weights(mg_chip *chip) {
    mg_nonideal *own = chip->nonideal;
    source gain = relative(own, GAIN, "cell_gain_std"), change = relative(own, PERTURBATION, "perturbation_std");
    source offset = source_of(own, OFFSET, strength(own, "cell_offset_std") * mg_power(own->fine_fraction));
    for (uint32_t l = 0; l < chip->n_layers; l++) {
        const mg_layer *layer = &chip->layer[l];
        uint32_t weights = layer->n_out * layer->n_in;
        for (uint32_t g = 0; g < weights + layer->n_out; g++) {
            uint32_t n = layer->first + g;
            uint32_t j = g < weights ? g / layer->n_in : g - weights, i = g < weights ? g % layer->n_in : layer->n_in;
            int64_t k = mg_clip(UNIT + draw(&gain, n), 0, 2 * UNIT - 1);
            k = own->kind[n] == MG_DEAD ? 0 : mg_rshift(k * (UNIT - lost(own, layer, j, i)), 15);
            int64_t m = mg_rshift(k * mg_clip(UNIT + draw(&change, n), 0, 2 * UNIT - 1), 15);
            own->gain[n] = (int32_t)k;
            own->offset[n] = own->kind[n] == MG_DEAD ? 0 : (int32_t)draw(&offset, n);
            own->perturbation[n] = own->kind[n] == MG_LIVES ? (int32_t)m : 0;
        }
    }
}

static void draw_pulses(mg_chip *chip) {
    mg_nonideal *own = chip->nonideal;
    const mg_pulses *to = &own->pulses;
    double unit = mg_power(chip->weight_fraction + MG_CELL_FRACTION);
    source above = relative(own, W_MAX, "w_max_dtod"), below = relative(own, W_MIN, "w_min_dtod");
    source step = relative(own, DW_MIN, "dw_min_dtod"), bias = relative(own, UP_DOWN, "up_down_dtod");
    int64_t w_max = mg_fix(strength(own, "w_max"), unit), w_min = mg_fix(-strength(own, "w_min"), unit);
    int64_t dw_min = own->pulse_unit > 0 ? own->pulse_unit : 1 << MG_CELL_FRACTION;
    int64_t up_down = mg_fix(strength(own, "up_down"), UNIT);
    for (uint32_t n = 0; n < chip->n_parameters; n++) {
        int64_t d = mg_clip(spread(&step, dw_min, n), 1, 1 << MG_CELL_FRACTION);
        int64_t beta = mg_clip(up_down + draw(&bias, n), 1 - UNIT, UNIT - 1);
        int64_t up = mg_rshift(d * (UNIT + beta), 15), down = mg_rshift(d * (UNIT - beta), 15);
        to->w_max[n] = (int32_t)mg_clip(spread(&above, w_max, n), 1 << MG_CELL_FRACTION, own->limit);
        to->w_min[n] = (int32_t)mg_clip(spread(&below, w_min, n), 1 << MG_CELL_FRACTION, own->limit);
        to->up[n] = up > 1 ? (int32_t)up : 1;
        to->down[n] = down > 1 ? (int32_t)down : 1;
        to->slope_up[n] = (int32_t)(((int64_t)to->up[n] << 20) / to->w_max[n]);
        to->slope_down[n] = (int32_t)(((int64_t)to->down[n] << 20) / to->w_min[n]);
    }
}

static void draw_ageing(mg_chip *chip) {
    mg_nonideal *own = chip->nonideal;
    source drift = relative(own, DRIFT, "drift_nu_dtod"), wear = relative(own, ENDURANCE, "endurance_dtod");
    int64_t nu = mg_fix(strength(own, "drift_nu"), 65536.0), e = mg_fix(strength(own, "endurance"), 1.0);
    for (uint32_t n = 0; n < chip->n_parameters; n++) {
        if (own->drift) own->drift[n] = (int32_t)mg_clip(spread(&drift, nu, n), 0, 65536);
        if (!own->endurance) continue;
        int64_t r = UNIT + draw(&wear, n), writes = (e >> 15) * r + (((e & (UNIT - 1)) * r) >> 15);
        own->endurance[n] = writes > 1 ? writes : 1;
    }
}

static void draw_neurons(mg_chip *chip, uint32_t count) {
    mg_nonideal *own = chip->nonideal;
    double signal = mg_power(chip->signal_fraction);
    const double scale[] = {signal, NEURON_UNIT, NEURON_UNIT, signal};
    int32_t *const to[] = {own->neurons.midpoint, own->neurons.steepness, own->neurons.amplitude, own->neurons.offset};
    const char *const spreads[] = {"midpoint_std", "steepness_std", "amplitude_std", "offset_std"};
    for (int q = 0; q < 4; q++) {
        double sigma = strength(own, spreads[q]);
        if (!(sigma > 0.0)) sigma = strength(own, "neuron_std");
        source from = source_of(own, (enum quantity)(MIDPOINT + q), sigma * scale[q]);
        int relative_one = q == 1 || q == 2;
        for (uint32_t n = 0; n < count; n++) {
            int64_t drawn = draw(&from, n);
            to[q][n] = (int32_t)(relative_one ? mg_clip(NEURON_UNIT + drawn, 0, 2 * NEURON_UNIT - 1) : drawn);
        }
    }
}

/* All that needs no draws. */
static void take_numbers(mg_chip *chip) {
    mg_nonideal *own = chip->nonideal;
    double unit = mg_power(chip->weight_fraction + MG_CELL_FRACTION), signal = mg_power(chip->signal_fraction);
    double every = strength(own, "drift_every"), retention = strength(own, "retention");
    own->drift_every = retention > 0.0 || strength(own, "drift_nu") > 0.0 ? (uint64_t)mg_floor(every) : 0;
    if (strength(own, "temperature_std") > 0.0)
        own->temperature_every = (uint64_t)mg_floor(strength(own, "temperature_every"));
    if (retention > 0.0) own->rate = every / retention < 16.0 ? mg_fix(every / retention, 1048576.0) : LARGEST_AGE;
    if (own->rate > LARGEST_AGE) own->rate = LARGEST_AGE;
    own->rest = mg_clip(mg_fix(strength(own, "rest"), unit), -own->limit, own->limit);
    own->residue = mg_fix(strength(own, "settling"), UNIT);
    own->dac_offset = mg_fix(strength(own, "dac_offset"), unit);
    own->dac_gain = mg_fix(strength(own, "dac_gain"), 1048576.0);
    own->dac_inl = mg_fix(strength(own, "dac_inl"), mg_power(MG_CELL_FRACTION));
    own->pulse_unit = mg_fix(strength(own, "dw_min"), unit);
    own->pulse_noise = mg_fix(strength(own, "dw_min_std"), UNIT);
    own->write_size = mg_noise_size(strength(own, "write_noise") * unit);
    own->input_size =
        mg_noise_size(strength(own, "input_noise") * mg_power(chip->input_fraction + own->fine_input_bits));
    own->read_size = mg_noise_size(strength(own, "read_noise") * signal);
    own->cost_size = mg_noise_size(strength(own, "cost_noise") * mg_power(chip->cost_fraction));
    own->adc_size = mg_noise_size(strength(own, "adc_noise") * signal);
    own->kelvin_size = mg_noise_size(256.0 * strength(own, "temperature_std"));
    own->adc_bow = mg_fix(strength(own, "adc_inl"), 256.0);
    own->midpoint_per_kelvin =
        mg_fix(strength(own, "temperature_midpoint"), mg_power(chip->signal_fraction + 8));
    own->steepness_per_kelvin = mg_fix(strength(own, "temperature_steepness"), 1048576.0);
}

/* Whether a chip of these sizes can have such nonidealities. */
static int is_possible(const mg_chip *chip) {
    const mg_nonideal *own = chip->nonideal;
    double dw_min = strength(own, "dw_min"), lsb = mg_power(-chip->weight_fraction);
    int signal = chip->spec.signal_bits, input = chip->spec.input_bits + own->fine_input_bits;
    for (uint32_t l = 0; l < chip->n_layers; l++) {
        int bits = mg_bit_length((uint64_t)chip->layer[l].n_in + 1) + own->weight_bits;
        if (bits + (signal > input ? signal : input) > 62) return 0;
    }
    if (strength(own, "w_max") <= 0.0) return 1;
    return chip->spec.weight_bits <= 10 && (dw_min <= 0.0 || (dw_min >= lsb / 8.0 && dw_min <= lsb));
}

/* Piece after piece; `missing` says whether one was not to be had. */
static void *piece(mg_arena *arena, size_t count, size_t size, int *missing) {
    void *taken = mg_take(arena, count, size);
    if (taken == NULL) *missing = 1;
    return taken;
}

static int32_t *numbers(mg_arena *arena, size_t count, int *missing) {
    return piece(arena, count, sizeof(int32_t), missing);
}

static mg_status take_memory(mg_chip *chip, uint32_t neurons, mg_arena *arena) {
    mg_nonideal *own = chip->nonideal;
    uint32_t p = chip->n_parameters;
    int missing = 0;
    own->kind = piece(arena, p, 1, &missing);
    if (strength(own, "stuck") > 0.0) own->stuck = piece(arena, p, sizeof *own->stuck, &missing);
    if (strength(own, "drift_nu") > 0.0) own->drift = numbers(arena, p, &missing);
    if (strength(own, "endurance") > 0.0) own->endurance = piece(arena, p, sizeof *own->endurance, &missing);
    int32_t **const always[] = {&own->gain,  &own->offset,  &own->perturbation, &own->requested,
                                &own->value, &own->weights, &own->varied[0],    &own->varied[1]};
    int32_t **const pulses[] = {&own->pulses.w_max, &own->pulses.w_min,    &own->pulses.up,
                                &own->pulses.down,  &own->pulses.slope_up, &own->pulses.slope_down};
    int32_t **const of_neurons[] = {&own->neurons.midpoint, &own->neurons.steepness, &own->neurons.amplitude,
                                    &own->neurons.offset};
    for (size_t i = 0; i < sizeof always / sizeof always[0]; i++) *always[i] = numbers(arena, p, &missing);
    if (strength(own, "w_max") > 0.0)
        for (size_t i = 0; i < sizeof pulses / sizeof pulses[0]; i++) *pulses[i] = numbers(arena, p, &missing);
    for (size_t i = 0; i < 4; i++) *of_neurons[i] = numbers(arena, neurons, &missing);
    own->written_tick = piece(arena, p, sizeof *own->written_tick, &missing);
    own->wear = piece(arena, p, sizeof *own->wear, &missing);
    own->left = numbers(arena, chip->n_outputs, &missing);
    if (own->drift_every > 0) {
        uint32_t *decay = piece(arena, MG_EXP_SEGMENTS + 1, sizeof *decay, &missing);
        if (decay) mg_exponential_table(decay, -6);
        own->decay = decay;
    }
    if (own->drift) {
        int64_t *logarithm = piece(arena, MG_EXP_SEGMENTS + 1, sizeof *logarithm, &missing);
        if (logarithm) mg_logarithm_table(logarithm, 20);
        own->logarithm = logarithm;
    }
    return missing ? MG_NO_MEMORY : MG_OK;
}

mg_status mg_nonideal_init(mg_chip *chip, const mg_nonidealities *nonidealities, mg_arena *arena) {
    if (!mg_nonidealities_are_sound(nonidealities) || chip->hardware != NULL) return MG_BAD_CHIP;
    mg_nonideal *own = chip->nonideal = mg_take(arena, 1, sizeof *own);
    if (own == NULL) return MG_NO_MEMORY;
    uint32_t neurons = 0;
    for (uint32_t l = 0; l < chip->n_layers; l++) neurons += chip->layer[l].n_out;
    own->nonidealities = *nonidealities;
    own->fine_bits = chip->spec.weight_bits < 11 ? 12 - chip->spec.weight_bits : 1;
    own->fine_input_bits = chip->spec.input_bits < 11 ? 11 - chip->spec.input_bits : 0;
    own->fine_fraction = chip->weight_fraction + own->fine_bits;
    own->weight_bits = chip->spec.weight_bits + own->fine_bits + 1;
    own->limit = (int32_t)1 << (chip->spec.weight_bits + 13);
    if (!is_possible(chip)) return MG_BAD_CHIP;
    take_numbers(chip);
    mg_status status = take_memory(chip, neurons, arena);
    if (status != MG_OK) return status;
    draw_defects(chip);
    draw_weights(chip);
    if (own->pulses.w_max) draw_pulses(chip);
    draw_ageing(chip);
    draw_neurons(chip, neurons);
    mg_cells_forget(chip);
    return MG_OK;
}
