/* Prints how much memory the core takes from its port for the chip it is compiled for: make memory CHIP=... */
#include <stdio.h>
#include <stdlib.h>

#include "board.h"
#include "chip_options.h"

static uint64_t no_time(void *self) {
    (void)self;
    return 0;
}

static size_t needed(int32_t learns, uint32_t samples) {
    static const mg_spec spec = MG_SPEC;
    static mg_board board;
    const mg_config config = {MG_MAX_PAYLOAD, 3, 64, 64, samples, 1, learns, 0, MG_LIMITS, "Cortex-M3 (mps2-an385)"};
    const mg_hal hal = {NULL, NULL, NULL, no_time, NULL};
    mg_arena arena = {malloc(1 << 24), 1 << 24, 0};
    if (mg_board_init(&board, &config, &spec, NULL, &hal, &arena) != MG_OK) exit(1);
    free(arena.start);
    return arena.used;
}

int main(void) {
    size_t without = needed(0, 0);
    printf("blocks %zu bytes, training too %zu, a sample %zu\n", without, needed(1, 0), (needed(0, 800) - without) / 800);
    return 0;
}
