/* LEARN: a segment of training, done once for each ticket. */
#include "board.h"
#include "crc.h"
#include "motion.h"
#include "requests.h"
#include "wire.h"

enum { LEARNT_HELD = 1, LEARNT_UPDATED = 2, LEARNT_WINDOW_EMPTY = 4, LEARNT_ANALOG_COST = 8 };

#define MOST_STATE_AREAS 5

/* The state areas that are in use, in their order, as the flags of LEARN say; answers how many. */
static int state_areas(int optimizer, int flags, int number[MOST_STATE_AREAS]) {
    int count = 0;
    number[count++] = MG_AREA_THETA;
    for (int slot = 0; slot < mg_optimizer_slots(optimizer); slot++) number[count++] = MG_AREA_SLOT1 + slot;
    if (flags & MG_LEARN_CONTINUOUS) {
        if (flags & MG_LEARN_WEIGHTED) number[count++] = MG_AREA_ENERGY;
        number[count++] = MG_AREA_GRADIENT;
    } else if (!(flags & MG_LEARN_WINDOW_EMPTY)) {
        number[count++] = MG_AREA_CROSS;
        number[count++] = MG_AREA_ENERGY;
    }
    return count;
}

uint32_t mg_crc_of_state(const mg_board *board, int optimizer, int flags) {
    int number[MOST_STATE_AREAS], count = state_areas(optimizer, flags, number);
    uint32_t crc = mg_crc(NULL, 0);
    for (int i = 0; i < count; i++) crc = mg_crc_more(crc, board->area[number[i]].bytes, board->area[number[i]].size);
    return crc;
}

static int has_negative(const uint8_t *at, uint32_t count, int is_double) {
    for (uint32_t i = 0; i < count; i++)
        if (is_double ? mg_get_double(at + 8 * i) < 0.0 : at[8 * i + 7] & 0x80) return 1;
    return 0;
}

/* Whether the state areas and learning rates hold what training can come to: numbers, and no sum of squares below 0. */
static int holds_numbers(const mg_board *board, const uint8_t *request) {
    int number[MOST_STATE_AREAS], optimizer = request[232], flags = request[233];
    int count = state_areas(optimizer, flags, number), continuous = flags & MG_LEARN_CONTINUOUS;
    int slot_of_squares = mg_optimizer_slot_of_squares(optimizer);
    for (int i = 0; i < count; i++) {
        const uint8_t *at = board->area[number[i]].bytes;
        uint32_t size = board->chip.n_parameters;
        int is_double = continuous || (number[i] != MG_AREA_CROSS && number[i] != MG_AREA_ENERGY);
        int is_squares = slot_of_squares >= 0 && number[i] == MG_AREA_SLOT1 + slot_of_squares;
        if (is_double && !mg_all_finite(at, size)) return 0;
        if ((number[i] == MG_AREA_ENERGY || is_squares) && has_negative(at, size, is_double)) return 0;
    }
    return mg_all_finite(board->area[MG_AREA_ETA].bytes, mg_get32(request + 224));
}

static void read_state(mg_board *board, const mg_block *block, const uint8_t *request) {
    mg_state *state = &board->state;
    state->step = block->first_step;
    state->update = mg_get64(request + 80);
    state->evaluations = 0;
    state->held = block->held;
    for (int i = 0; i < MG_SLOTS; i++) {
        state->moments.slot[i] = (double *)(void *)board->area[MG_AREA_SLOT1 + i].bytes;
        state->moments.scalar[i] = mg_get_double(request + 176 + 8 * i);
    }
    state->cost = mg_get_double(request + 192);
    state->high_passed = mg_get_double(request + 200);
    state->has_cost = (request[233] & MG_LEARN_ANALOG_COST) != 0;
    int continuous = request[233] & MG_LEARN_CONTINUOUS;
    if (continuous || request[233] & MG_LEARN_WINDOW_EMPTY) {
        memset(state->cross, 0, board->area[MG_AREA_CROSS].size);
        if (!continuous || !(request[233] & MG_LEARN_WEIGHTED)) memset(state->energy, 0, board->area[MG_AREA_ENERGY].size);
    }
}

/* Whether the board has what the request depends on; refuses it if not. */
static int has_all(mg_board *board, const mg_frame *frame) {
    const uint8_t *request = frame->payload;
    uint32_t etas = mg_get32(request + 224);
    int32_t differs = 0;
    if (board->dataset_crc == 0 || mg_get32(request + 68) != board->dataset_crc)
        differs = MG_DATASET;
    else if (mg_get32(request + 212) != mg_crc_of_state(board, request[232], request[233]))
        differs = MG_STATE;
    else if (mg_get32(request + 228) != mg_crc(board->area[MG_AREA_ETA].bytes, etas * sizeof(double)))
        differs = MG_ETAS;
    else if (mg_get32(request + 236) != 0)
        differs = MG_GUARD;
    if (differs)
        mg_refuse(board, frame->sequence, MG_MISMATCH, differs);
    else
        board->state_crc = mg_get32(request + 212);
    return !differs;
}

void mg_start_learn(mg_board *board, const mg_frame *frame) {
    const uint8_t *request = frame->payload;
    uint32_t ticket = mg_get32(request + 208);
    mg_operation *operation = &board->operation;
    mg_block block;
    mg_rule rule;
    if (operation->type == MG_LEARN && operation->ticket == ticket) {
        operation->sequence = frame->sequence;
        return;
    }
    mg_end_operation(board);
    if (ticket != 0 && ticket == board->ticket) {
        memcpy(mg_payload(board), board->answer, MG_LEARN_BYTES);
        mg_answer(board, frame, MG_LEARN_BYTES);
        return;
    }
    enum mg_code code = mg_read_learn(board, &block, &rule, request);
    if (code != MG_FINE) {
        mg_refuse(board, frame->sequence, code, 0);
        return;
    }
    if (!has_all(board, frame)) return;
    if (block.order.n > board->chip.n_samples || !holds_numbers(board, request)) {
        mg_refuse(board, frame->sequence, MG_BAD, 0);
        return;
    }
    read_state(board, &block, request);
    mg_status status = mg_learn_begin(&board->work.learner, &board->chip, &rule, &board->state, block.n_probes,
                                      board->sine, board->code);
    if (status != MG_OK) {
        mg_refuse_status(board, frame->sequence, status);
        return;
    }
    mg_operation learn = {MG_LEARN, frame->sequence, block.first_step, block.n_probes, 0, ticket, NULL};
    *operation = learn;
    board->theta_crc = board->state_crc = 0;
}

/* What the chip holds; of a nonideal one the parameters that it was asked for last become those requested. */
static uint32_t crc_of_held(mg_board *board) {
    const mg_area *held = &board->area[MG_AREA_HELD];
    if (board->chip.nonideal) mg_learn_written(&board->work.learner, (double *)(void *)board->area[MG_AREA_REQUESTED].bytes);
    mg_refresh_held(board);
    return mg_crc(held->bytes, held->size);
}

static void put_answer(mg_board *board) {
    const mg_learner *learner = &board->work.learner;
    const mg_state *state = &board->state;
    const mg_rule *rule = &learner->rule;
    uint8_t *answer = board->answer;
    int window_empty = rule->continuous || state->step % rule->update_period == 0;
    int flags = (rule->continuous ? MG_LEARN_CONTINUOUS : 0) | (rule->filter_weight ? MG_LEARN_WEIGHTED : 0) |
                (window_empty ? MG_LEARN_WINDOW_EMPTY : 0);
    uint64_t probes = board->operation.left;
    board->state_crc = mg_crc_of_state(board, rule->optimizer.number, flags);
    uint32_t held_crc = crc_of_held(board);
    board->theta_crc = board->chip.nonideal ? mg_crc(board->area[MG_AREA_REQUESTED].bytes, board->area[MG_AREA_REQUESTED].size) : held_crc;
    memset(answer, 0, MG_LEARN_BYTES);
    mg_put64(answer, state->step);
    mg_put64(answer + 8, state->update);
    mg_put64(answer + 16, state->evaluations);
    mg_put64(answer + 24, (uint64_t)state->held.value);
    mg_put64(answer + 32, state->held.step);
    mg_put_double(answer + 40, (double)learner->total / (double)probes);
    mg_put_double(answer + 48, learner->last.eta);
    mg_put_double(answer + 56, learner->last.gradient_norm);
    for (int i = 0; i < MG_SLOTS; i++) mg_put_double(answer + 64 + 8 * i, state->moments.scalar[i]);
    mg_put_double(answer + 80, state->cost);
    mg_put_double(answer + 88, state->high_passed);
    mg_put32(answer + 96, board->operation.ticket);
    mg_put32(answer + 100, board->state_crc);
    mg_put32(answer + 104, board->theta_crc);
    mg_put32(answer + 108, held_crc);
    answer[112] = (uint8_t)((state->held.valid ? LEARNT_HELD : 0) | (learner->last.valid ? LEARNT_UPDATED : 0) |
                            (window_empty ? LEARNT_WINDOW_EMPTY : 0) | (state->has_cost ? LEARNT_ANALOG_COST : 0));
}

void mg_run_learn(mg_board *board, uint64_t until) {
    mg_learner *learner = &board->work.learner;
    mg_operation *operation = &board->operation;
    mg_status status;
    do status = mg_learn_some(learner, 1);
    while (status == MG_OK && !mg_learn_is_done(learner) && mg_may_move(&board->chip) &&
           board->hal->microseconds(board->hal->self) < until);
    if (status != MG_OK) {
        uint32_t sequence = operation->sequence;
        int32_t violation = board->chip.violation;
        mg_board_make_safe(board, MG_LIMITED);
        mg_refuse(board, sequence, MG_LIMIT, violation);
        return;
    }
    if (!mg_learn_is_done(learner) || !mg_may_move(&board->chip)) return;
    mg_chip_apply(&board->chip, board->chip.stored);
    put_answer(board);
    board->ticket = operation->ticket;
    board->evaluations += board->state.evaluations;
    operation->type = 0;
    memcpy(mg_payload(board), board->answer, MG_LEARN_BYTES);
    mg_send(board, MG_LEARN | 0x80u, operation->sequence, MG_LEARN_BYTES);
}
