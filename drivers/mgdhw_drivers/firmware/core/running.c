/* Giving up the operation that runs. */
#include "board.h"
#include "motion.h"

void mg_forget_operation(mg_board *board) {
    if (board->operation.type == MG_LEARN) {
        board->state_crc = 0;
        board->theta_crc = 0;
    }
    board->operation.type = 0;
}

void mg_end_operation(mg_board *board) {
    if (board->operation.type == 0) return;
    mg_forget_operation(board);
    mg_chip_apply(&board->chip, board->chip.stored);
}
