/* A board whose chip is nonideal: parameters travel as values, since what cells hold lies between codes, and what the
 * cells remember can be had and given back. */
#include "bits.h"
#include "board.h"
#include "crc.h"
#include "requests.h"
#include "snapshot.h"
#include "wire.h"

void mg_refresh_held(mg_board *board) {
    const mg_chip *chip = &board->chip;
    if (!chip->nonideal) return;
    double *held = (double *)(void *)board->area[MG_AREA_HELD].bytes;
    double unit = mg_power(-chip->weight_fraction - MG_CELL_FRACTION);
    uint64_t tick = mg_tick_of(chip->nonideal, chip->now);
    for (uint32_t i = 0; i < chip->n_parameters; i++) held[i] = (double)mg_cell_at(chip, i, tick) * unit;
}

const int16_t *mg_requested_codes(mg_board *board) {
    mg_chip *chip = &board->chip;
    const uint8_t *requested = board->area[MG_AREA_REQUESTED].bytes;
    if (!chip->nonideal) return (const int16_t *)(const void *)requested;
    const double *theta = (const double *)(const void *)requested;
    for (uint32_t i = 0; i < chip->n_parameters; i++) {
        if (!mg_is_parameter(chip, theta[i])) {
            chip->violation = (int32_t)i;
            return NULL;
        }
        board->code[i] = (int16_t)mg_chip_parameter_code(chip, theta[i]);
    }
    return board->code;
}

void mg_snapshot(mg_board *board, const mg_frame *frame) {
    const mg_area *cells = &board->area[MG_AREA_CELLS];
    uint8_t *answer = mg_payload(board);
    mg_cells_pack(&board->chip, cells->bytes);
    mg_put32(answer, cells->size);
    mg_put32(answer + 4, mg_crc(cells->bytes, cells->size));
    mg_answer(board, frame, 8);
}

void mg_restore(mg_board *board, const mg_frame *frame) {
    const mg_area *cells = &board->area[MG_AREA_CELLS];
    uint32_t size = mg_get32(frame->payload);
    enum mg_code code = mg_check_restore(board, frame->payload);
    if (code != MG_FINE) {
        mg_refuse(board, frame->sequence, code, 0);
        return;
    }
    if (mg_crc(cells->bytes, size) != mg_get32(frame->payload + 4)) {
        mg_refuse(board, frame->sequence, MG_MISMATCH, MG_CELLS);
        return;
    }
    if (!mg_cells_unpack(&board->chip, cells->bytes, size)) {
        mg_refuse(board, frame->sequence, MG_BAD, 0);
        return;
    }
    board->chip.now = 0; /* the write that follows says what time it is */
    mg_answer(board, frame, 0);
}
