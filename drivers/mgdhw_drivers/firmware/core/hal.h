/* What a board gives the core: a line, a clock, a watchdog and, if the chip is real, its converters. */
#ifndef MG_HAL_H
#define MG_HAL_H

#include <stdint.h>

/* A chip's converters. Codes are those of docs/chip.md; calls come one at a time and may take their time. */
typedef struct mg_hardware {
    void *self;
    void (*set_parameter)(void *self, uint32_t i, int32_t code);
    void (*apply_input)(void *self, uint32_t i, int32_t code);
    void (*trigger)(void *self); /* returns when the signals have settled and the outputs are converted */
    int32_t (*read_output)(void *self, uint32_t j);
} mg_hardware;

/* The rest of the board. */
typedef struct mg_hal {
    void *self;
    /* Bytes that have come, at most `room`, without waiting; 0: none; -1: the peer is gone. */
    int32_t (*read)(void *self, uint8_t *to, uint32_t room);
    /* Send bytes; waits until the line has taken them. Meanwhile nobody looks at the dead-man, so a port whose peer may
     * stop reading waits for a few seconds at most; then the peer is gone. */
    void (*write)(void *self, const uint8_t *bytes, uint32_t count);
    /* Since some moment; never goes back. */
    uint64_t (*microseconds)(void *self);
    /* Called at least every few milliseconds unless a probe takes longer. */
    void (*watchdog)(void *self);
} mg_hal;

#endif
