/* Philox4x32-10, the counter-based generator that every random bit comes from (Salmon et al., SC'11).
 * A word is a function of (seed, stream, step, index): nothing is remembered but the last four words. */
#ifndef MG_PHILOX_H
#define MG_PHILOX_H

#include <stdint.h>

enum mg_stream {
    MG_STREAM_CODES = 1,
    MG_STREAM_ORDER = 2,
    MG_STREAM_ROUNDING = 6,
    MG_STREAM_MISMATCH = 7,
    MG_STREAM_WRITES = 8,
    MG_STREAM_INPUTS = 9,
    MG_STREAM_READS = 10,
    MG_STREAM_COSTS = 11,
    MG_STREAM_ADC = 12,
    MG_STREAM_TEMPERATURE = 13,
    MG_STREAM_TAILS = 14
};

void mg_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/* The words of one step of one stream, with the block that was drawn last. */
typedef struct mg_words {
    uint32_t key[2];
    uint32_t step[2];
    uint32_t stream;
    uint32_t block;
    uint32_t word[4];
} mg_words;

void mg_words_at(mg_words *words, uint64_t seed, uint32_t stream, uint64_t step);
void mg_words_draw(mg_words *words, uint32_t block);

static inline uint32_t mg_word(mg_words *words, uint32_t i) {
    if (i / 4 != words->block) mg_words_draw(words, i / 4);
    return words->word[i % 4];
}

static inline uint32_t mg_bit(mg_words *words, uint32_t i) { return mg_word(words, i / 32) >> (i % 32) & 1u; }

#endif
