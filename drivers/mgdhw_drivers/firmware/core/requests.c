#include "requests.h"

#include "wire.h"

#define END_OF_STEPS ((uint64_t)1 << 63) /* steps, updates and places in the order of samples are below */
#define MOST_PROBES 0x7FFFFFFFu          /* of PROBE: each may have two values, which are numbered with 32 bits */

static enum mg_code bad_unless(int good) { return good ? MG_FINE : MG_BAD; }

static int is_finite(double value) { return value - value == 0.0; }

int mg_all_finite(const uint8_t *at, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        if (!is_finite(mg_get_double(at + 8 * i))) return 0;
    return 1;
}

enum mg_code mg_check_identify(const uint8_t *p) {
    int take = p[10];
    return bad_unless(take <= 1 && mg_get16(p + 8) >= MG_SMALLEST_PAYLOAD && (!take || mg_get32(p) != 0));
}

enum mg_code mg_check_load(const mg_board *board, const uint8_t *p) {
    uint32_t n = mg_get32(p), n_train = mg_get32(p + 4);
    double scale = mg_get_double(p + 8);
    uint8_t kind = board->area[MG_AREA_DESCRIPTION].bytes[89];
    return bad_unless(n >= 1 && n <= board->chip.capacity && n_train >= 1 && n_train <= n && p[16] == kind &&
                      is_finite(scale) && scale > 0.0);
}

enum mg_code mg_check_set(const uint8_t *p) { return bad_unless(mg_get64(p) < END_OF_STEPS); }

static int is_count(const mg_board *board, uint32_t count) { return count >= 1 && count <= board->config.samples_room; }

enum mg_code mg_check_measure(const mg_board *board, const uint8_t *p) {
    uint32_t count = mg_get32(p + 12);
    return bad_unless(mg_get64(p) < END_OF_STEPS && p[8] <= 2 && is_count(board, count) && count <= MG_MAX_BATCH);
}

enum mg_code mg_check_infer(const mg_board *board, const uint8_t *p) {
    return bad_unless(mg_get64(p) < END_OF_STEPS && is_count(board, mg_get32(p + 8)));
}

enum mg_code mg_check_restore(const mg_board *board, const uint8_t *p) {
    uint32_t size = mg_get32(p);
    if (board->chip.nonideal == NULL) return MG_UNSUPPORTED;
    return bad_unless(size >= 1 && size <= board->area[MG_AREA_CELLS].size);
}

static void read_block(mg_block *block, const uint8_t *p) {
    block->first_step = mg_get64(p);
    block->codes.seed = mg_get64(p + 8);
    block->order.seed = mg_get64(p + 16);
    block->codes.parameter = mg_get_double(p + 24);
    block->held.value = (int64_t)mg_get64(p + 32);
    block->held.step = mg_get64(p + 40);
    block->n_probes = mg_get32(p + 48);
    block->order.n = mg_get32(p + 52);
    block->order.batch = mg_get32(p + 56);
    block->order.tau_x = mg_get32(p + 60);
    block->codes.amplitude = mg_get16(p + 72);
    block->codes.family = p[74];
    block->codes.by_layer = p[75];
    block->baseline = p[76];
    block->held.valid = p[77] & 1;
}

static int is_block(const mg_block *block, uint8_t flags) {
    const mg_order_spec *order = &block->order;
    int good = block->n_probes >= 1 && block->first_step < END_OF_STEPS - block->n_probes;
    good = good && order->n >= 1 && order->batch >= 1 && order->batch <= MG_MAX_BATCH && order->tau_x >= 1;
    if (!good) return 0;
    uint64_t last_batch = (block->first_step + block->n_probes - 1) / order->tau_x;
    good = last_batch + 1 <= (END_OF_STEPS - 1) / order->batch;
    good = good && block->codes.amplitude >= 1 && block->codes.amplitude <= MG_MAX_AMPLITUDE;
    good = good && block->codes.by_layer <= 1 && block->baseline < MG_BASELINES;
    good = good && flags <= 1 && (!block->held.valid || block->held.step < END_OF_STEPS);
    return good && mg_code_parameter_is_good(block->codes.family, block->codes.parameter);
}

static int has_family(const mg_block *block) {
    return block->codes.family < 32 && (mg_code_families() >> block->codes.family & 1u);
}

enum mg_code mg_read_probe(mg_block *block, const uint8_t *p) {
    read_block(block, p);
    if (!is_block(block, p[77]) || block->n_probes > MOST_PROBES) return MG_BAD;
    return has_family(block) ? MG_FINE : MG_UNSUPPORTED;
}

static const double *doubles(const mg_area *area) { return (const double *)(const void *)area->bytes; }

static void read_rule(mg_rule *rule, const mg_block *block, const uint8_t *p, const mg_area *areas) {
    memset(rule, 0, sizeof *rule);
    rule->codes = block->codes;
    rule->order = block->order;
    rule->baseline = block->baseline;
    rule->rounding_seed = mg_get64(p + 88);
    rule->eta = mg_get_double(p + 96);
    rule->scale = mg_get_double(p + 104);
    rule->low = mg_get_double(p + 112);
    rule->high = mg_get_double(p + 120);
    rule->tau_hp = mg_get_double(p + 128);
    rule->update_period = mg_get32(p + 216);
    rule->tau_theta = mg_get32(p + 220);
    rule->etas = mg_get32(p + 224) > 0 ? doubles(&areas[MG_AREA_ETA]) : NULL;
    rule->continuous = (p[233] & MG_LEARN_CONTINUOUS) != 0;
    if (rule->continuous && (p[233] & MG_LEARN_WEIGHTED)) rule->filter_weight = doubles(&areas[MG_AREA_ENERGY]);
    rule->normalise = (p[233] & MG_LEARN_ORIPOV) ? MG_ORIPOV : MG_ENERGY;
    rule->stochastic = (p[233] & MG_LEARN_STOCHASTIC) != 0;
    rule->optimizer.number = p[232];
    for (int i = 0; i < MG_CONSTANTS; i++) rule->optimizer.constant[i] = mg_get_double(p + 136 + 8 * i);
}

/* Updates among a segment's probes. */
static uint64_t updates_of(const mg_block *block, uint64_t period) {
    return (block->first_step % period + block->n_probes) / period;
}

static int is_rule(const mg_board *board, const mg_block *block, const uint8_t *p) {
    uint32_t period = mg_get32(p + 216), tau_theta = mg_get32(p + 220), etas = mg_get32(p + 224);
    int finite = mg_all_finite(p + 96, 14); /* eta ... high_passed */
    if (!finite || period == 0 || tau_theta == 0 || mg_get_double(p + 128) < 0.0) return 0;
    if (mg_get_double(p + 112) > mg_get_double(p + 120)) return 0; /* low, high */
    if (mg_get32(p + 208) == 0 || p[233] > MG_LEARN_ALL) return 0; /* ticket, flags */
    if (mg_get64(p + 80) >= END_OF_STEPS - block->n_probes) return 0;
    return etas == 0 || (etas >= updates_of(block, period) && etas <= board->config.etas_room);
}

enum mg_code mg_read_learn(const mg_board *board, mg_block *block, mg_rule *rule, const uint8_t *p) {
    read_block(block, p);
    if (!is_block(block, p[77]) || !is_rule(board, block, p)) return MG_BAD;
    if (!has_family(block) || !mg_is_optimizer(p[232]) || !board->learns) return MG_UNSUPPORTED;
    read_rule(rule, block, p, board->area);
    return MG_FINE;
}
