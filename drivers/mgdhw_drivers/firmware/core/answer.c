/* Answers and refusals: how they are made and sent. */
#include "board.h"
#include "wire.h"

void mg_send(mg_board *board, uint8_t type, uint32_t sequence, uint32_t size) {
    uint32_t count = mg_frame_write(board->stuffed, board->raw, size, type, sequence);
    board->frames_out++;
    board->hal->write(board->hal->self, board->stuffed, count);
}

void mg_answer(mg_board *board, const mg_frame *request, uint32_t size) {
    mg_send(board, request->type | 0x80u, request->sequence, size);
}

uint32_t mg_put_trouble(mg_board *board, enum mg_code code, int32_t value, const char *text) {
    uint8_t *payload = mg_payload(board);
    uint32_t size = 8;
    mg_put16(payload, code);
    mg_put16(payload + 2, 0);
    mg_put32(payload + 4, (uint32_t)value);
    while (*text && size < 8 + 120) payload[size++] = (uint8_t)*text++;
    return size;
}

void mg_refuse(mg_board *board, uint32_t sequence, enum mg_code code, int32_t value) {
    mg_send(board, MG_ERROR, sequence, mg_put_trouble(board, code, value, ""));
}

void mg_refuse_status(mg_board *board, uint32_t sequence, mg_status status) {
    if (status == MG_OUT_OF_RANGE)
        mg_refuse(board, sequence, MG_LIMIT, board->chip.violation);
    else
        mg_refuse(board, sequence, MG_BAD, 0);
}
