#include "philox.h"

void mg_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

void mg_words_at(mg_words *words, uint64_t seed, uint32_t stream, uint64_t step) {
    words->key[0] = (uint32_t)seed;
    words->key[1] = (uint32_t)(seed >> 32);
    words->step[0] = (uint32_t)step;
    words->step[1] = (uint32_t)(step >> 32);
    words->stream = stream;
    words->block = UINT32_MAX; /* none is drawn yet; indices stay far below 4 * UINT32_MAX */
}

void mg_words_draw(mg_words *words, uint32_t block) {
    uint32_t counter[4] = {words->step[0], words->step[1], block, words->stream};
    mg_philox(counter, words->key, words->word);
    words->block = block;
}
