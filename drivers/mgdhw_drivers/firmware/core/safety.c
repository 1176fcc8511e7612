/* The way to the safe state, and the requests that wait until it has come to its end. */
#include <string.h>

#include "board.h"
#include "motion.h"

static void answer_who_waits(mg_board *board) {
    if (board->safe.waits) {
        board->safe.waits = 0;
        mg_send(board, MG_GO_SAFE | 0x80u, board->safe.sequence, 0);
    }
    if (board->identify.waits) {
        board->identify.waits = 0;
        mg_identify(board, board->identify.sequence, board->identify.payload);
    }
}

int mg_board_rest(mg_board *board) {
    if (!board->resting || !mg_may_move(&board->chip)) return board->resting;
    board->resting = !mg_motion_step(&board->chip, NULL, 0);
    if (!board->resting) answer_who_waits(board);
    return board->resting;
}

void mg_board_make_safe(mg_board *board, enum mg_reason reason) {
    mg_forget_operation(board);
    board->theta_crc = 0;
    board->mode = MG_SAFE;
    board->reason = (uint8_t)reason;
    if (!board->resting) {
        mg_motion_begin(&board->chip, NULL);
        board->resting = 1;
    }
    mg_board_rest(board);
}

void mg_board_fault(mg_board *board, int32_t code, const char *text) {
    mg_board_make_safe(board, MG_FAULTED);
    mg_send(board, MG_FAULT, 0, mg_put_trouble(board, MG_HARDWARE, code, text));
}

void mg_ask_for_safe(mg_board *board, const mg_frame *frame) {
    board->identify.waits = 0; /* whoever asked for it has thought better of it */
    board->safe.waits = 1;
    board->safe.sequence = frame->sequence;
    mg_board_make_safe(board, MG_ASKED);
}

void mg_ask_who(mg_board *board, const mg_frame *frame) {
    if (!board->resting || frame->payload[10] == 0) {
        mg_identify(board, frame->sequence, frame->payload);
        return;
    }
    board->identify.waits = 1;
    board->identify.sequence = frame->sequence;
    memcpy(board->identify.payload, frame->payload, sizeof board->identify.payload);
}

void mg_forget_who_waits(mg_board *board) { board->safe.waits = board->identify.waits = 0; }

uint32_t mg_who_waits(const mg_board *board) {
    if (board->identify.waits) return board->identify.sequence;
    return board->safe.waits ? board->safe.sequence : 0;
}
