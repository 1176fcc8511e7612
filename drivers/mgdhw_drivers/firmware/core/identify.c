/* IDENTIFY: who is there, and who takes the board. */
#include <string.h>

#include "board.h"
#include "snapshot.h"
#include "wire.h"

uint32_t mg_uptime_ms(const mg_board *board) {
    return (uint32_t)((board->hal->microseconds(board->hal->self) - board->started) / 1000u);
}

void mg_identify(mg_board *board, uint32_t sequence, const uint8_t *request) {
    uint32_t session = mg_get32(request), payload = mg_get16(request + 8);
    uint8_t take = request[10], *answer = mg_payload(board);
    uint8_t mode = board->mode;
    board->host_payload = payload < board->config.max_payload ? payload : board->config.max_payload;
    if (take) {
        mg_end_operation(board);
        int is_other = session != board->session;
        if (is_other) board->ticket = 0;
        if (board->chip.nonideal && is_other) mg_cells_forget(&board->chip);
        if (mode == MG_SAFE || is_other) board->chip.now = 0; /* the write that follows says what time it is */
        board->session = session;
        board->dead_man_ms = mg_get32(request + 4);
        board->mode = MG_READY;
    }
    mg_put32(answer, board->config.boot);
    mg_put16(answer + 4, board->config.max_payload);
    answer[6] = (uint8_t)board->config.window;
    answer[7] = mode;
    answer[8] = mode == MG_READY ? 0 : board->reason;
    memset(answer + 9, 0, 3);
    mg_put32(answer + 12, board->area[MG_AREA_DESCRIPTION].size);
    mg_put32(answer + 16, board->description_crc);
    mg_put32(answer + 20, board->dataset_crc);
    mg_put32(answer + 24, board->theta_crc);
    mg_put32(answer + 28, board->state_crc);
    mg_put32(answer + 32, board->ticket);
    mg_put32(answer + 36, mg_uptime_ms(board));
    mg_send(board, MG_IDENTIFY | 0x80u, sequence, 40);
}
