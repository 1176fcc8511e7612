/* The operations but LEARN: LOAD, SET, MEASURE, INFER, PROBE. */
#include "bits.h"
#include "board.h"
#include "crc.h"
#include "measure.h"
#include "motion.h"
#include "requests.h"
#include "wire.h"

/* --- values -------------------------------------------------------------------------------------------------------- */

enum { KIND_U16, KIND_U32, KIND_I64, KIND_F64, KIND_I16, KIND_I32 };

void mg_values_begin(mg_board *board, uint8_t type, uint32_t sequence, uint64_t largest, int is_signed) {
    mg_values *values = &board->values;
    values->type = type;
    values->sequence = sequence;
    values->first = values->count = 0;
    values->room = board->host_payload - 8;
    if (is_signed) {
        values->kind = KIND_I32;
        values->width = 4;
        if (largest <= 0x7FFF) {
            values->kind = KIND_I16;
            values->width = 2;
        }
        return;
    }
    values->kind = largest <= 0xFFFF ? KIND_U16 : largest <= 0xFFFFFFFF ? KIND_U32 : KIND_I64;
    values->width = largest <= 0xFFFF ? 2 : largest <= 0xFFFFFFFF ? 4 : 8;
}

static void send_values(mg_board *board, int last) {
    mg_values *values = &board->values;
    uint8_t *payload = mg_payload(board);
    mg_put32(payload, values->first);
    mg_put16(payload + 4, values->count);
    payload[6] = values->kind;
    payload[7] = (uint8_t)last;
    memcpy(payload + 8, values->bytes, values->count * values->width);
    mg_send(board, values->type | 0x80u, values->sequence, 8 + values->count * values->width);
    values->first += values->count;
    values->count = 0;
}

void mg_values_add(mg_board *board, int64_t value) {
    mg_values *values = &board->values;
    if ((values->count + 1) * values->width > values->room) send_values(board, 0);
    uint8_t *at = values->bytes + values->count * values->width;
    if (values->width == 2) mg_put16(at, (uint32_t)value);
    if (values->width == 4) mg_put32(at, (uint32_t)value);
    if (values->width == 8) mg_put64(at, (uint64_t)value);
    values->count++;
}

void mg_values_end(mg_board *board) { send_values(board, 1); }

static int refused(mg_board *board, const mg_frame *frame, enum mg_code code) {
    if (code != MG_FINE) mg_refuse(board, frame->sequence, code, 0);
    return code != MG_FINE;
}

/* --- what requests depend on --------------------------------------------------------------------------------------- */

int mg_depends(mg_board *board, const mg_frame *frame, uint32_t theta_crc, uint32_t dataset_crc) {
    /* 0 stands for nothing, and nothing depends on that. */
    int32_t differs = theta_crc == 0 || theta_crc != board->theta_crc         ? MG_PARAMETERS
                      : dataset_crc == 0 || dataset_crc != board->dataset_crc ? MG_DATASET
                                                                              : 0;
    if (differs) mg_refuse(board, frame->sequence, MG_MISMATCH, differs);
    return !differs;
}

/* The samples that a request names; NULL, and the request is refused, if they aren't to be had. */
static const uint32_t *named_samples(mg_board *board, const mg_frame *frame, uint32_t count, uint32_t crc) {
    const uint32_t *samples = (const uint32_t *)(const void *)board->area[MG_AREA_SAMPLES].bytes;
    if (mg_crc(samples, count * sizeof *samples) != crc) {
        mg_refuse(board, frame->sequence, MG_MISMATCH, MG_SAMPLES);
        return NULL;
    }
    for (uint32_t i = 0; i < count; i++)
        if (samples[i] >= board->chip.n_samples) {
            mg_refuse(board, frame->sequence, MG_BAD, 0);
            return NULL;
        }
    return samples;
}

static uint64_t largest_cost(const mg_board *board, uint32_t batch) {
    return (uint64_t)batch << board->chip.spec.cost_bits;
}

/* --- the operations ------------------------------------------------------------------------------------------------ */

static int inputs_are_codes(const mg_chip *chip, uint32_t n_samples) {
    size_t count = (size_t)n_samples * chip->n_inputs;
    for (size_t i = 0; i < count; i++) {
        const uint8_t *at = chip->inputs + i * chip->input_bytes;
        int32_t code = chip->input_bytes == 1 ? at[0] : mg_get16(at);
        if (chip->spec.input_bipolar) code = (int16_t)code;
        if (code < chip->input_lo || code > chip->input_hi) return 0;
    }
    return 1;
}

static void load(mg_board *board, const mg_frame *frame) {
    const uint8_t *request = frame->payload;
    mg_chip *chip = &board->chip;
    uint32_t n = mg_get32(request), crc = mg_get32(request + 20);
    if (refused(board, frame, mg_check_load(board, request))) return;
    uint32_t found = mg_crc(chip->inputs, (size_t)n * chip->n_inputs * chip->input_bytes);
    found = mg_crc_more(found, chip->targets, (size_t)n * chip->n_outputs * sizeof *chip->targets);
    found = mg_crc_more(found, request, 20);
    if (found != crc) {
        mg_refuse(board, frame->sequence, MG_MISMATCH, MG_DATASET);
        return;
    }
    if (!inputs_are_codes(chip, n)) {
        mg_refuse(board, frame->sequence, MG_BAD, 0);
        return;
    }
    mg_chip_loaded(chip, n);
    board->dataset_crc = crc;
    mg_answer(board, frame, 0);
}

static void begin(mg_board *board, const mg_frame *frame, uint64_t step, uint64_t count) {
    mg_operation operation = {frame->type, frame->sequence, step, count, 0, 0, NULL};
    board->operation = operation;
}

/* One step on the way to what was asked for, if it is time; the answer when it is there. */
static void move(mg_board *board) {
    mg_operation *operation = &board->operation;
    const mg_area *requested = &board->area[MG_AREA_REQUESTED], *held = &board->area[MG_AREA_HELD];
    if (!mg_may_move(&board->chip) || !mg_motion_step(&board->chip, operation->codes, operation->step)) return;
    operation->type = 0;
    board->theta_crc = mg_crc(requested->bytes, requested->size);
    board->sets++;
    mg_refresh_held(board);
    uint8_t *answer = mg_payload(board);
    mg_put32(answer, board->theta_crc);
    mg_put32(answer + 4, mg_crc(held->bytes, held->size));
    mg_send(board, MG_SET | 0x80u, operation->sequence, 8);
}

static void set(mg_board *board, const mg_frame *frame) {
    const mg_area *requested = &board->area[MG_AREA_REQUESTED];
    if (refused(board, frame, mg_check_set(frame->payload))) return;
    if (mg_crc(requested->bytes, requested->size) != mg_get32(frame->payload + 8)) {
        mg_refuse(board, frame->sequence, MG_MISMATCH, MG_PARAMETERS);
        return;
    }
    const int16_t *codes = mg_requested_codes(board);
    if (codes == NULL || mg_motion_begin(&board->chip, codes) != MG_OK) {
        mg_refuse_status(board, frame->sequence, MG_OUT_OF_RANGE);
        return;
    }
    board->theta_crc = 0; /* until it is there */
    begin(board, frame, mg_get64(frame->payload), 0);
    board->operation.codes = codes;
    move(board);
}

static void measure(mg_board *board, const mg_frame *frame) {
    const uint8_t *request = frame->payload;
    uint32_t count = mg_get32(request + 12);
    if (refused(board, frame, mg_check_measure(board, request))) return;
    if (!mg_depends(board, frame, mg_get32(request + 20), mg_get32(request + 24))) return;
    const uint32_t *samples = named_samples(board, frame, count, mg_get32(request + 16));
    if (samples == NULL) return;
    int64_t sum = 0;
    for (uint32_t i = 0; i < count; i++)
        sum += mg_measured_cost(&board->chip, samples[i], mg_get64(request), request[8], i);
    board->evaluations++;
    mg_values_begin(board, frame->type, frame->sequence, largest_cost(board, count), 0);
    mg_values_add(board, sum);
    mg_values_end(board);
}

static void infer(mg_board *board, const mg_frame *frame) {
    const uint8_t *request = frame->payload;
    uint32_t count = mg_get32(request + 8);
    if (refused(board, frame, mg_check_infer(board, request))) return;
    if (!mg_depends(board, frame, mg_get32(request + 16), mg_get32(request + 20))) return;
    if (named_samples(board, frame, count, mg_get32(request + 12)) == NULL) return;
    int is_signed = board->chip.output_lo < 0;
    mg_values_begin(board, frame->type, frame->sequence, (uint64_t)board->chip.output_hi, is_signed);
    begin(board, frame, mg_get64(request), count);
}

static void probe(mg_board *board, const mg_frame *frame) {
    mg_block block;
    mg_chip *chip = &board->chip;
    if (refused(board, frame, mg_read_probe(&block, frame->payload))) return;
    if (!mg_depends(board, frame, mg_get32(frame->payload + 64), mg_get32(frame->payload + 68))) return;
    mg_status status = block.order.n > chip->n_samples ? MG_NO_SAMPLE : MG_OK;
    if (status == MG_OK) status = mg_check_amplitude(chip, chip->stored, block.codes.amplitude);
    if (status == MG_OK)
        status = mg_course_begin(&board->work.course, chip, &block.codes, &block.order, block.baseline, &block.held,
                                 block.first_step, board->sine, board->code);
    if (status != MG_OK) {
        mg_refuse_status(board, frame->sequence, status);
        return;
    }
    mg_values_begin(board, frame->type, frame->sequence, largest_cost(board, block.order.batch), 0);
    begin(board, frame, block.first_step, block.n_probes);
}

void mg_start_operation(mg_board *board, const mg_frame *frame) {
    int remembers = board->chip.nonideal != NULL;
    switch (remembers || frame->type < MG_SNAPSHOT ? frame->type : 0) {
        case MG_LOAD: load(board, frame); break;
        case MG_SET: set(board, frame); break;
        case MG_MEASURE: measure(board, frame); break;
        case MG_INFER: infer(board, frame); break;
        case MG_PROBE: probe(board, frame); break;
        case MG_SNAPSHOT: mg_snapshot(board, frame); break;
        case MG_RESTORE: mg_restore(board, frame); break;
        default: mg_refuse(board, frame->sequence, MG_UNSUPPORTED, frame->type); break;
    }
}

/* --- what runs ----------------------------------------------------------------------------------------------------- */

static void infer_one(mg_board *board) {
    const uint32_t *samples = (const uint32_t *)(const void *)board->area[MG_AREA_SAMPLES].bytes;
    mg_operation *operation = &board->operation;
    const int32_t *codes = mg_outputs(&board->chip, samples[operation->sample++], operation->step);
    for (uint32_t j = 0; j < board->chip.n_outputs; j++) mg_values_add(board, codes[j]);
}

/* Answers whether the probe is complete. */
static int probe_one(mg_board *board) {
    mg_course *course = &board->work.course;
    mg_costs costs;
    if (!mg_course_go_on(course, board->operation.step, &costs)) return 0;
    if (costs.measured) mg_values_add(board, course->held.value);
    mg_values_add(board, costs.perturbed);
    if (course->baseline == MG_ANTITHETIC) mg_values_add(board, costs.reference);
    return 1;
}

/* Values until the clock says `until`, or the hardware has to wait. */
static void run_values(mg_board *board, uint64_t until) {
    mg_operation *operation = &board->operation;
    while (operation->left > 0 && mg_may_move(&board->chip)) {
        int complete = 1;
        if (operation->type == MG_INFER)
            infer_one(board);
        else
            operation->step += complete = probe_one(board);
        operation->left -= complete;
        if (board->hal->microseconds(board->hal->self) >= until) break;
    }
    if (operation->left > 0 || !mg_may_move(&board->chip)) return;
    if (operation->type == MG_PROBE) board->evaluations += board->work.course.evaluations;
    operation->type = 0;
    mg_chip_apply(&board->chip, board->chip.stored);
    mg_values_end(board);
}

void mg_run_operation(mg_board *board, uint64_t until) {
    if (board->operation.type == MG_SET)
        move(board);
    else
        run_values(board, until);
}
