/* What the board says of itself: area DESCRIPTION. */
#include "bits.h"
#include "board.h"
#include "crc.h"
#include "nonideal.h"
#include "philox.h"
#include "wire.h"

#define HEAD 168

enum { PROBE = 1, MEASURE = 2, LEARN = 4, DETERMINISTIC = 8, EXACT_WRITES = 16, SNAPSHOT = 32 };

typedef struct text {
    uint8_t *at;
    uint32_t size, room;
} text;

static void put_text(text *to, const char *from) {
    while (*from && to->size < to->room) to->at[to->size++] = (uint8_t)*from++;
}

static void put_number(text *to, int32_t value) {
    char digits[12];
    int at = sizeof digits - 1;
    uint32_t rest = value < 0 ? 0u - (uint32_t)value : (uint32_t)value;
    digits[at] = 0;
    do digits[--at] = (char)('0' + rest % 10);
    while ((rest /= 10) > 0);
    if (value < 0) digits[--at] = '-';
    put_text(to, digits + at);
}

/* A hash of seed and strengths: they are too many to be written out. */
static void put_nonidealities(text *to, const mg_nonidealities *nonidealities) {
    uint32_t hash[4] = {0, 0, 0, 0};
    for (int i = -1; i < mg_nonidealities_count(); i++) {
        uint32_t key[2];
        memcpy(key, i < 0 ? (const void *)&nonidealities->seed : (const void *)&nonidealities->strength[i], sizeof key);
        mg_philox(hash, key, hash);
    }
    for (int i = 0; i < 4; i++) {
        put_text(to, i ? "," : " ");
        put_number(to, (int32_t)hash[i]);
    }
}

/* Everything that decides an answer, so that chips that differ are called differently. */
static void put_identity(text *to, const mg_board *board) {
    const mg_spec *s = &board->chip.spec;
    const int32_t numbers[] = {s->activation,    s->output_activation, s->weight_bits, s->weight_log2, s->input_bits,
                               s->input_bipolar, s->signal_bits,       s->signal_log2, s->lut_bits,    s->output_bits,
                               s->cost,          s->cost_bits,         s->cost_log2};
    put_text(to, board->chip.hardware ? "hardware" : "core");
    for (int32_t l = 0; l < s->n_sizes; l++) {
        put_text(to, l ? "-" : " ");
        put_number(to, s->sizes[l]);
    }
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        put_text(to, i ? "," : " ");
        put_number(to, numbers[i]);
    }
    if (board->chip.nonideal) put_nonidealities(to, &board->chip.nonideal->nonidealities);
}

void mg_describe(mg_board *board) {
    const mg_chip *chip = &board->chip;
    mg_area *area = &board->area[MG_AREA_DESCRIPTION];
    uint8_t *d = area->bytes;
    double lsb = mg_power(-chip->weight_fraction);
    uint32_t families = mg_code_families(), optimizers = mg_optimizers();
    uint32_t capabilities = PROBE | MEASURE;
    if (!chip->nonideal || mg_nonidealities_write_exactly(&chip->nonideal->nonidealities)) capabilities |= EXACT_WRITES;
    if (chip->nonideal) capabilities |= SNAPSHOT;
    if (board->learns) capabilities |= LEARN;
    if (chip->hardware == NULL) capabilities |= DETERMINISTIC;
    mg_put32(d, capabilities);
    mg_put32(d + 4, families | 1u << 8 | (board->learns ? optimizers << 16 | 15u << 24 : 0u));
    mg_put32(d + 8, chip->n_parameters);
    mg_put32(d + 12, chip->n_inputs);
    mg_put32(d + 16, chip->n_outputs);
    mg_put32(d + 20, (uint32_t)chip->spec.n_sizes);
    mg_put_double(d + 24, chip->code_lo * lsb);
    mg_put_double(d + 32, chip->code_hi * lsb);
    mg_put_double(d + 40, lsb);
    mg_put_double(d + 48, mg_power(-chip->cost_fraction));
    mg_put_double(d + 56, mg_power(-chip->output_fraction));
    mg_put_double(d + 64, chip->limits.max_slew);
    mg_put_double(d + 72, chip->limits.max_stress);
    mg_put32(d + 80, (uint32_t)chip->input_lo);
    mg_put32(d + 84, (uint32_t)chip->input_hi);
    d[88] = (uint8_t)chip->input_fraction;
    d[89] = chip->input_bytes == 1 ? 0 : chip->spec.input_bipolar ? 2 : 1;
    d[90] = chip->nonideal != NULL;
    d[91] = (uint8_t)chip->spec.cost;

    text texts = {d, HEAD, MG_DESCRIPTION_ROOM};
    for (int32_t l = 0; l < chip->spec.n_sizes; l++, texts.size += 4)
        mg_put32(d + texts.size, (uint32_t)chip->spec.sizes[l]);
    uint32_t model = texts.size;
    put_text(&texts, board->config.model);
    uint32_t identity = texts.size;
    put_identity(&texts, board);
    mg_put16(d + 94, identity - model);
    mg_put16(d + 96, texts.size - identity);
    mg_put16(d + 98, (chip->limits.slew_interval_us + 99) / 100);
    area->size = texts.size;
    for (int i = 0; i < MG_AREAS; i++) mg_put32(d + 104 + 4 * i, board->area[i].size);
    board->description_crc = mg_crc(d, area->size);
}
