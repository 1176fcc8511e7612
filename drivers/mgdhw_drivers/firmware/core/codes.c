#include "codes.h"

#include "bits.h"
#include "philox.h"

/* A group, the layers that it consists of, and its own step. */
typedef struct turn {
    mg_group group;
    uint32_t layer, layers;
    uint64_t step;
} turn;

static turn turn_of(const mg_codes *codes, uint64_t step) {
    const mg_chip *chip = codes->chip;
    if (!codes->spec.by_layer) {
        turn all = {{0, chip->n_parameters}, 0, chip->n_layers, step};
        return all;
    }
    uint32_t l = (uint32_t)(step % chip->n_layers);
    const mg_layer *layer = &chip->layer[l];
    turn one = {{layer->first, layer->n_out * (layer->n_in + 1)}, l, 1, step / chip->n_layers};
    return one;
}

mg_group mg_codes_group(const mg_codes *codes, uint64_t step) { return turn_of(codes, step).group; }

static void draw_random(const mg_codes *codes, const turn *at, int16_t *out) {
    int32_t a = codes->spec.amplitude;
    mg_words words;
    mg_words_at(&words, codes->spec.seed, MG_STREAM_CODES, at->step);
    uint32_t i = at->group.first, end = i + at->group.size;
    while (i < end) { /* a word at a time */
        uint32_t bits = mg_word(&words, i / 32) >> (i % 32), stop = (i / 32 + 1) * 32;
        for (; i < end && i < stop; i++, bits >>= 1) *out++ = (int16_t)((bits & 1u) ? a : -a);
    }
}

static void draw_sequential(const mg_codes *codes, const turn *at, int16_t *out) {
    uint32_t chosen = (uint32_t)(at->step % at->group.size);
    for (uint32_t g = 0; g < at->group.size; g++) out[g] = (int16_t)(g == chosen ? codes->spec.amplitude : 0);
}

static uint32_t threshold_of(const mg_codes *codes) { return (uint32_t)mg_floor(codes->spec.parameter * 32768.0); }

static void draw_sparse(const mg_codes *codes, const turn *at, int16_t *out) {
    int32_t a = codes->spec.amplitude;
    uint32_t threshold = threshold_of(codes);
    mg_words words;
    mg_words_at(&words, codes->spec.seed, MG_STREAM_CODES, at->step);
    for (uint32_t g = 0; g < at->group.size; g++) {
        uint32_t i = at->group.first + g, field = mg_word(&words, i / 2) >> (16 * (i % 2)) & 0xFFFFu;
        out[g] = (int16_t)((field & 0x7FFFu) >= threshold ? 0 : (field >> 15) ? a : -a);
    }
}

static uint32_t parity(uint32_t v) {
    v ^= v >> 16;
    v ^= v >> 8;
    v ^= v >> 4;
    return 0x6996u >> (v & 15u) & 1u;
}

static void draw_walsh(const mg_codes *codes, const turn *at, int16_t *out) {
    int32_t a = codes->spec.amplitude;
    uint64_t period = (uint64_t)1 << mg_bit_length(at->group.size);
    uint32_t phase = (uint32_t)(at->step % period);
    mg_words words;
    mg_words_at(&words, codes->spec.seed, MG_STREAM_CODES, at->step / period);
    for (uint32_t g = 0; g < at->group.size; g++) {
        uint32_t sign = parity((g + 1) & phase) ^ mg_bit(&words, at->group.first + g);
        out[g] = (int16_t)(sign ? a : -a);
    }
}

/* S[k] from the first quarter of the turn. */
static int32_t sine_at(const int16_t *quarter, uint32_t k) {
    uint32_t half = k % 2048;
    int32_t value = quarter[half <= 1024 ? half : 2048 - half];
    return k < 2048 ? value : -value;
}

static void draw_sinusoidal(const mg_codes *codes, const turn *at, int16_t *out) {
    uint64_t period = (uint64_t)1 << mg_bit_length(4 * ((uint64_t)at->group.size + 1) - 1);
    uint32_t t = (uint32_t)(at->step % period), unit = (uint32_t)(((uint64_t)1 << 32) / period);
    mg_words words;
    mg_words_at(&words, codes->spec.seed, MG_STREAM_CODES, 0);
    for (uint32_t g = 0; g < at->group.size; g++) {
        uint32_t frequency = (uint32_t)(period / 8) + 1 + g;
        uint32_t phase = t * frequency * unit + mg_word(&words, at->group.first + g); /* modulo 2^32 */
        out[g] = (int16_t)mg_rshift((int64_t)codes->spec.amplitude * sine_at(codes->sine, phase >> 20), 15);
    }
}

static void draw_rank1(const mg_codes *codes, const turn *at, int16_t *out) {
    int32_t a = codes->spec.amplitude;
    mg_words rows, columns; /* two, so that walking along both draws no block twice */
    mg_words_at(&rows, codes->spec.seed, MG_STREAM_CODES, at->step);
    mg_words_at(&columns, codes->spec.seed, MG_STREAM_CODES, at->step);
    for (uint32_t l = at->layer; l < at->layer + at->layers; l++) {
        const mg_layer *layer = &codes->chip->layer[l];
        uint32_t first_column = layer->first_line + layer->n_out;
        uint32_t bias = mg_bit(&columns, first_column + layer->n_in);
        int16_t *biases = out + (size_t)layer->n_out * layer->n_in;
        for (uint32_t j = 0; j < layer->n_out; j++) {
            uint32_t row = mg_bit(&rows, layer->first_line + j);
            for (uint32_t i = 0; i < layer->n_in; i++)
                *out++ = (int16_t)(row == mg_bit(&columns, first_column + i) ? a : -a);
            biases[j] = (int16_t)(row == bias ? a : -a);
        }
        out = biases + layer->n_out;
    }
}

/* --- the mean of a squared perturbation, where it is not the amplitude's square ------------------------------------ */

static double square_of(const mg_codes *codes) { return (double)codes->spec.amplitude * (double)codes->spec.amplitude; }

static double mean_sequential(const mg_codes *codes, uint32_t n) { return square_of(codes) / (double)n; }

static double mean_sparse(const mg_codes *codes, uint32_t n) {
    (void)n;
    return square_of(codes) * (double)threshold_of(codes) / 32768.0;
}

static double mean_sinusoidal(const mg_codes *codes, uint32_t n) {
    int64_t sum = 0;
    (void)n;
    for (uint32_t k = 0; k < 4096; k++) {
        int64_t code = mg_rshift((int64_t)codes->spec.amplitude * sine_at(codes->sine, k), 15);
        sum += code * code;
    }
    return (double)sum / 4096.0;
}

/* --- the families -------------------------------------------------------------------------------------------------- */

static int is_density(double parameter) { return parameter >= 1.0 / 32768.0 && parameter <= 1.0; }

typedef struct family {
    void (*draw)(const mg_codes *codes, const turn *at, int16_t *out);
    double (*mean_square)(const mg_codes *codes, uint32_t group_size); /* NULL: the amplitude's square */
    int (*is_good)(double parameter);                                  /* NULL: it has none */
    int needs_sine;
} family;

/* By their numbers on the link, `link_number` in `mgdhw.codes`: a new one is a function above, and a line here. */
static const family FAMILY[] = {
    {draw_random, NULL, NULL, 0},
    {draw_sequential, mean_sequential, NULL, 0},
    {draw_sparse, mean_sparse, is_density, 0},
    {draw_walsh, NULL, NULL, 0},
    {draw_sinusoidal, mean_sinusoidal, NULL, 1},
    {draw_rank1, NULL, NULL, 0},
};

#define FAMILIES ((int32_t)(sizeof FAMILY / sizeof *FAMILY))

uint32_t mg_code_families(void) { return (1u << FAMILIES) - 1; }

int mg_code_parameter_is_good(int32_t number, double parameter) {
    if (number < 0 || number >= FAMILIES || FAMILY[number].is_good == NULL) return 1;
    return FAMILY[number].is_good(parameter);
}

mg_status mg_codes_init(mg_codes *codes, const mg_code_spec *spec, const mg_chip *chip, const int16_t *sine) {
    if (spec->family < 0 || spec->family >= FAMILIES) return MG_BAD_BLOCK;
    if (spec->amplitude < 1 || spec->amplitude > MG_MAX_AMPLITUDE) return MG_BAD_BLOCK;
    if (FAMILY[spec->family].needs_sine && sine == NULL) return MG_BAD_BLOCK;
    if (!mg_code_parameter_is_good(spec->family, spec->parameter)) return MG_BAD_BLOCK;
    codes->spec = *spec;
    codes->chip = chip;
    codes->sine = sine;
    return MG_OK;
}

double mg_codes_mean_square(const mg_codes *codes, uint32_t group_size) {
    const family *own = &FAMILY[codes->spec.family];
    return own->mean_square == NULL ? square_of(codes) : own->mean_square(codes, group_size);
}

mg_group mg_codes_draw(const mg_codes *codes, uint64_t step, int16_t *out) {
    turn at = turn_of(codes, step);
    FAMILY[codes->spec.family].draw(codes, &at, out);
    return at.group;
}
