#include "order.h"

#include "bits.h"
#include "philox.h"

static void take_keys(mg_order *order, uint64_t epoch) {
    mg_words words;
    mg_words_at(&words, order->spec.seed, MG_STREAM_ORDER, epoch);
    for (uint32_t r = 0; r < MG_ORDER_ROUNDS; r++) order->add[r] = mg_word(&words, r);
    for (uint32_t r = 0; r < MG_ORDER_ROUNDS; r++) order->factor[r] = mg_word(&words, MG_ORDER_ROUNDS + r) | 1u;
    order->epoch = epoch;
}

mg_status mg_order_init(mg_order *order, const mg_order_spec *spec) {
    if (spec->n < 1 || spec->n > (uint32_t)1 << 31 || spec->batch < 1 || spec->batch > MG_MAX_BATCH || spec->tau_x < 1) return MG_BAD_BLOCK;
    order->spec = *spec;
    order->bits = mg_bit_length(spec->n - 1);
    if (order->bits < 1) order->bits = 1;
    take_keys(order, 0);
    return MG_OK;
}

uint32_t mg_order_sample(mg_order *order, uint64_t position) {
    uint64_t epoch = position / order->spec.n;
    uint32_t mask = (uint32_t)(((uint64_t)1 << order->bits) - 1), x = (uint32_t)(position % order->spec.n);
    int fold = (order->bits + 1) / 2;
    if (epoch != order->epoch) take_keys(order, epoch);
    do {
        for (int r = 0; r < MG_ORDER_ROUNDS; r++) {
            x = ((x + order->add[r]) * order->factor[r]) & mask;
            x ^= x >> fold;
        }
    } while (x >= order->spec.n);
    return x;
}
