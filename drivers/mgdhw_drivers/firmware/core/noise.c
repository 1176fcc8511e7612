#include "noise.h"

#include "noise_tables.h"

void mg_noise_at(mg_noise *noise, uint64_t seed, uint32_t stream, uint32_t layer, uint32_t part, uint64_t step) {
    uint32_t where = layer << 8 | part << 16;
    mg_words_at(&noise->words, seed, stream + where, step);
    mg_words_at(&noise->tails, seed, MG_STREAM_TAILS + where + (stream << 24), step);
}

/* In the middle of one of the 256 equal parts of a piece. */
static int32_t between(const int16_t *border, uint32_t k, uint32_t part) {
    int32_t low = border[k], high = border[k + 1];
    return low + (int32_t)mg_rshift((int64_t)(high - low) * (2 * (int32_t)part + 1), 9);
}

/* A magnitude far out, by a second word: its leading one says which halving of the probability that is left. */
static int32_t far_out(uint32_t word) {
    if (word == 0) word = 1;
    uint32_t zeros = 32u - (uint32_t)mg_bit_length(word);
    uint32_t after = (uint32_t)((uint64_t)word << (zeros + 1));
    return between(mg_noise_far, 16 * (31 - zeros) + (after >> 28), after >> 20 & 255u);
}

int32_t mg_gaussian(mg_noise *noise, uint64_t n) {
    uint32_t field = mg_word(&noise->words, (uint32_t)(n / 2)) >> (16 * (n % 2)) & 0xFFFFu;
    uint32_t k = field >> 8 & 127u, r = field & 255u;
    int32_t magnitude;
    if (k < 127)
        magnitude = between(mg_noise_borders, k, r);
    else if (r < MG_NOISE_RARE)
        magnitude = mg_noise_rare[r];
    else
        magnitude = far_out(mg_word(&noise->tails, (uint32_t)n));
    return field >> 15 ? -magnitude : magnitude;
}
