#include "board.h"

#include "crc.h"
#include "motion.h"
#include "requests.h"
#include "snapshot.h"
#include "tables.h"
#include "wire.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "areas are little-endian numbers as they lie in memory"
#endif

/* --- memory -------------------------------------------------------------------------------------------------------- */

static void set_area(mg_board *board, int number, void *bytes, size_t size, int readable, int writable) {
    mg_area area = {bytes, bytes == NULL ? 0 : (uint32_t)size, (uint8_t)readable, (uint8_t)writable};
    board->area[number] = area;
}

static void set_areas(mg_board *board, void *requested, void *held, void *samples, void *etas) {
    mg_chip *chip = &board->chip;
    mg_state *state = &board->state;
    size_t doubles = chip->n_parameters * sizeof(double);
    size_t parameters = chip->nonideal ? doubles : chip->n_parameters * sizeof(int16_t);
    set_area(board, MG_AREA_REQUESTED, requested, parameters, 1, 1);
    set_area(board, MG_AREA_HELD, held, parameters, 1, 0);
    set_area(board, MG_AREA_SAMPLES, samples, board->config.samples_room * sizeof(uint32_t), 0, 1);
    set_area(board, MG_AREA_INPUTS, chip->inputs, (size_t)chip->capacity * chip->n_inputs * chip->input_bytes, 0, 1);
    set_area(board, MG_AREA_TARGETS, chip->targets, (size_t)chip->capacity * chip->n_outputs * sizeof(int16_t), 0, 1);
    if (!board->learns) return;
    set_area(board, MG_AREA_ETA, etas, board->config.etas_room * sizeof(double), 0, 1);
    set_area(board, MG_AREA_THETA, state->theta, doubles, 1, 1);
    set_area(board, MG_AREA_SLOT1, state->moments.slot[0], doubles, 1, 1);
    set_area(board, MG_AREA_SLOT2, state->moments.slot[1], doubles, 1, 1);
    set_area(board, MG_AREA_CROSS, state->cross, doubles, 1, 1);
    set_area(board, MG_AREA_ENERGY, state->energy, doubles, 1, 1);
    set_area(board, MG_AREA_GRADIENT, state->filtered, doubles, 1, 1);
}

mg_status mg_board_init(mg_board *board, const mg_config *config, const mg_spec *spec, const mg_hardware *hardware,
                        const mg_hal *hal, mg_arena *arena) {
    memset(board, 0, sizeof *board);
    board->config = *config;
    board->hal = hal;
    mg_status status = mg_chip_init(&board->chip, spec, hardware, arena);
    if (status != MG_OK) return status;
    status = mg_motion_init(&board->chip, &config->limits, hal);
    if (status != MG_OK) return status;
    uint32_t payload = config->max_payload, p = board->chip.n_parameters;
    uint8_t *in = mg_take(arena, payload + MG_OVERHEAD, 1);
    board->raw = mg_take(arena, payload + MG_OVERHEAD, 1);
    board->values.bytes = mg_take(arena, payload, 1);
    board->stuffed = mg_take(arena, MG_STUFFED(payload), 1);
    board->code = mg_take(arena, p, sizeof *board->code);
    board->sine = mg_take(arena, 1025, sizeof *board->sine);
    int remembers = board->chip.nonideal != NULL;
    void *requested = mg_take(arena, p, remembers ? sizeof(double) : sizeof(int16_t)), *etas = NULL;
    void *held = remembers ? mg_take(arena, p, sizeof(double)) : board->chip.stored;
    uint32_t remembered = remembers ? mg_cells_size(&board->chip) : 0;
    void *cells = remembers ? mg_take(arena, remembered, 1) : NULL;
    void *samples = mg_take(arena, config->samples_room, sizeof(uint32_t));
    int missing = !in || !board->raw || !board->values.bytes || !board->stuffed || !board->code || !board->sine;
    if (missing || !requested || !held || !samples)
        return MG_NO_MEMORY;
    if (remembers && cells == NULL) return MG_NO_MEMORY;
    mg_sine_table(board->sine);
    mg_reader_init(&board->reader, in, payload);
    board->learns = config->learns;
    if (board->learns) {
        status = mg_state_init(&board->state, p, 1, arena);
        etas = mg_take(arena, config->etas_room, sizeof(double));
        if (status != MG_OK || etas == NULL) return MG_NO_MEMORY;
    }
    uint8_t *description = mg_take(arena, MG_DESCRIPTION_ROOM, 1);
    if (description == NULL) return MG_NO_MEMORY;
    mg_chip_take_samples(&board->chip, arena, config->most_samples);
    set_areas(board, requested, held, samples, etas);
    set_area(board, MG_AREA_CELLS, cells, remembered, 1, 1);
    set_area(board, MG_AREA_DESCRIPTION, description, MG_DESCRIPTION_ROOM, 1, 0);
    mg_describe(board);
    board->host_payload = MG_SMALLEST_PAYLOAD;
    board->reason = config->crashed ? MG_CRASHED : MG_STARTED;
    board->started = board->last_heard = hal->microseconds(hal->self);
    return MG_OK;
}

/* --- requests that are no operations ------------------------------------------------------------------------------- */

static uint64_t evaluations_running(const mg_board *board) {
    switch (board->operation.type) {
        case MG_PROBE: return board->work.course.evaluations;
        case MG_LEARN: return board->state.evaluations;
        case MG_INFER: return board->operation.sample;
        default: return 0;
    }
}

static void ping(mg_board *board, const mg_frame *frame) {
    uint8_t *answer = mg_payload(board);
    mg_put32(answer, board->operation.type == 0 ? mg_who_waits(board) : board->operation.sequence);
    mg_put32(answer + 4, (uint32_t)evaluations_running(board));
    answer[8] = board->mode;
    answer[9] = board->mode == MG_READY ? 0 : board->reason;
    mg_put16(answer + 10, 0);
    mg_answer(board, frame, 12);
}

static void statistics(mg_board *board, const mg_frame *frame) {
    uint8_t *answer = mg_payload(board);
    mg_put32(answer, board->reader.frames);
    mg_put32(answer + 4, board->frames_out);
    mg_put32(answer + 8, board->reader.bad_crc);
    mg_put32(answer + 12, board->reader.bad_frames);
    mg_put32(answer + 16, board->dead_man_trips);
    mg_put32(answer + 20, mg_uptime_ms(board));
    mg_put64(answer + 24, board->evaluations);
    mg_put64(answer + 32, board->sets);
    mg_answer(board, frame, 40);
}

static int lies_within(const mg_area *area, uint32_t offset, uint32_t length) {
    return offset <= area->size && length <= area->size - offset;
}

static void read_area(mg_board *board, const mg_frame *frame) {
    uint32_t number = frame->payload[0], offset = mg_get32(frame->payload + 4), length = mg_get32(frame->payload + 8);
    uint8_t *answer = mg_payload(board);
    int good = number < MG_AREAS && length <= board->host_payload - 8;
    if (!good || !board->area[number].readable || !lies_within(&board->area[number], offset, length)) {
        mg_refuse(board, frame->sequence, MG_BAD, 0);
        return;
    }
    if (number == MG_AREA_HELD) mg_refresh_held(board);
    mg_put32(answer, number);
    mg_put32(answer + 4, offset);
    if (length > 0) memcpy(answer + 8, board->area[number].bytes + offset, length); /* an empty area has no address */
    mg_answer(board, frame, 8 + length);
}

static void write_area(mg_board *board, const mg_frame *frame) {
    uint32_t number = frame->payload[0], offset = mg_get32(frame->payload + 4), length = frame->size - 8;
    int good = number < MG_AREAS && length > 0;
    if (!good || !board->area[number].writable || !lies_within(&board->area[number], offset, length)) {
        mg_refuse(board, frame->sequence, MG_BAD, 0);
        return;
    }
    memcpy(board->area[number].bytes + offset, frame->payload + 8, length);
    if (number == MG_AREA_INPUTS || number == MG_AREA_TARGETS) {
        board->dataset_crc = 0;
        mg_chip_loaded(&board->chip, 0);
    }
    if (number >= MG_AREA_THETA && number <= MG_AREA_GRADIENT) board->state_crc = board->ticket = 0;
    mg_answer(board, frame, 0);
}

/* --- dispatch ------------------------------------------------------------------------------------------------------ */

static int is_operation(uint8_t type) { return type >= MG_LOAD && type <= MG_RESTORE; }

static int size_is_right(const mg_frame *frame) {
    static const uint16_t size[] = {[MG_IDENTIFY] = 12, [MG_READ] = 12, [MG_LOAD] = 24,   [MG_SET] = 16,
                                    [MG_MEASURE] = 32,  [MG_INFER] = 24, [MG_PROBE] = 80, [MG_LEARN] = 240,
                                    [MG_RESTORE] = 8};
    return frame->type == MG_WRITE ? frame->size >= 8 : frame->size == size[frame->type];
}

static int may_in_safe(const mg_frame *frame) {
    if (frame->type == MG_READ)
        return frame->payload[0] == MG_AREA_DESCRIPTION || frame->payload[0] == MG_AREA_LIMITS;
    return frame->type <= MG_STATISTICS;
}

static void handle(mg_board *board, const mg_frame *frame) {
    board->last_heard = board->hal->microseconds(board->hal->self);
    if (frame->version != MG_VERSION) {
        mg_refuse(board, frame->sequence, MG_OTHER_VERSION, MG_VERSION);
        return;
    }
    if (frame->type < MG_IDENTIFY || frame->type > MG_RESTORE) {
        mg_refuse(board, frame->sequence, MG_UNKNOWN, frame->type);
        return;
    }
    if (is_operation(frame->type)) {
        if (frame->sequence == board->last_operation) return; /* the line has said it twice */
        board->last_operation = frame->sequence;
    }
    int bad = !size_is_right(frame) || (frame->type == MG_IDENTIFY && mg_check_identify(frame->payload) != MG_FINE);
    if (bad) {
        mg_refuse(board, frame->sequence, MG_BAD, 0);
        return;
    }
    if (board->mode == MG_SAFE && !may_in_safe(frame)) {
        mg_refuse(board, frame->sequence, MG_IS_SAFE, board->reason);
        return;
    }
    int asks_only = frame->type == MG_PING || (frame->type == MG_IDENTIFY && frame->payload[10] == 0);
    if (!asks_only && frame->type != MG_LEARN && frame->type != MG_GO_SAFE) mg_end_operation(board);
    switch (frame->type) {
        case MG_IDENTIFY: mg_ask_who(board, frame); break;
        case MG_PING: ping(board, frame); break;
        case MG_GO_SAFE: mg_ask_for_safe(board, frame); break;
        case MG_STATISTICS: statistics(board, frame); break;
        case MG_READ: read_area(board, frame); break;
        case MG_WRITE: write_area(board, frame); break;
        case MG_LEARN: mg_start_learn(board, frame); break;
        default: mg_start_operation(board, frame); break;
    }
}

void mg_board_receive(mg_board *board, const uint8_t *bytes, uint32_t count) {
    mg_frame frame;
    for (uint32_t i = 0; i < count; i++)
        if (mg_reader_feed(&board->reader, bytes[i], &frame)) handle(board, &frame);
}

static void watch_dead_man(mg_board *board, uint64_t now) {
    if (board->mode == MG_SAFE || board->dead_man_ms == 0) return;
    if (now - board->last_heard < (uint64_t)board->dead_man_ms * 1000u) return;
    board->dead_man_trips++;
    mg_board_make_safe(board, MG_DEAD_MAN);
}

int mg_board_poll(mg_board *board) {
    const mg_hal *hal = board->hal;
    uint8_t bytes[256];
    int32_t count = hal->read(hal->self, bytes, sizeof bytes);
    hal->watchdog(hal->self);
    if (count > 0) mg_board_receive(board, bytes, (uint32_t)count);
    if (count < 0) {
        mg_reader_reset(&board->reader);
        mg_forget_who_waits(board);
        if (board->mode != MG_SAFE) mg_board_make_safe(board, MG_LINK_LOST);
    }
    uint64_t now = hal->microseconds(hal->self);
    watch_dead_man(board, now);
    if (board->operation.type == MG_LEARN)
        mg_run_learn(board, now + MG_SLICE_US);
    else if (board->operation.type != 0)
        mg_run_operation(board, now + MG_SLICE_US);
    return mg_board_rest(board) || count > 0 || board->operation.type != 0;
}
