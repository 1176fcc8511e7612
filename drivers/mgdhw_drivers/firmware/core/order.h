/* The order of training samples: a keyed permutation of each epoch, computed and never remembered. */
#ifndef MG_ORDER_H
#define MG_ORDER_H

#include "status.h"

#include <stdint.h>

#define MG_ORDER_ROUNDS 8
#define MG_MAX_BATCH 65536 /* so that a probe ends */

typedef struct mg_order_spec {
    uint64_t seed;
    uint32_t n;     /* training samples are 0 ... n - 1 */
    uint32_t batch; /* samples of a probe, B */
    uint32_t tau_x; /* probes for which a batch is held */
} mg_order_spec;

/* With the keys of the epoch that was asked for last. */
typedef struct mg_order {
    mg_order_spec spec;
    int bits;
    uint64_t epoch;
    uint32_t add[MG_ORDER_ROUNDS], factor[MG_ORDER_ROUNDS];
} mg_order;

mg_status mg_order_init(mg_order *order, const mg_order_spec *spec);

/* The sample at a position of the stream that runs through epoch after epoch. */
uint32_t mg_order_sample(mg_order *order, uint64_t position);

#endif
