/* The line to the host that is connected, over a socket or a pseudo-terminal, as the core wants one. */
#ifndef MG_LINE_H
#define MG_LINE_H

#include "board.h"

#define MG_LINE_BUFFER 65536

typedef struct mg_line {
    int peer;     /* -1: nobody */
    int hangs_up; /* whether a host that says nothing for too long is disconnected; not on a pty */
    int lost;     /* the peer has gone, and the core does not know it yet */
    int taken;    /* it has taken the board into operation */
    uint64_t since;       /* microseconds: when it connected */
    uint32_t trips;       /* of the dead-man timer, as far as they are known here */
    uint32_t write_timeout_ms; /* of a host that doesn't read */
    uint8_t buffer[MG_LINE_BUFFER];
    uint32_t first, count;
} mg_line;

/* Nobody is connected yet. */
void mg_line_init(mg_line *line);

/* A pseudo-terminal; prints its address. Exits with a message if there is none. */
void mg_line_on_pty(mg_line *line);

/* A host has connected, by a socket that doesn't block. */
void mg_line_connect(mg_line *line, int peer);

/* The host has disconnected, or is to be disconnected. */
void mg_line_drop(mg_line *line);

/* Whether a host is connected. One that has left without having been noticed is dropped. */
int mg_line_is_connected(mg_line *line);

/* After the core has read the line: drop a host whose dead-man or idle time is over. */
void mg_line_check_timeouts(mg_line *line, const mg_board *board);

/* The core's view of it. */
int32_t mg_line_read(void *self, uint8_t *to, uint32_t room);
void mg_line_write(void *self, const uint8_t *bytes, uint32_t count);
uint64_t mg_microseconds(void *self);

#endif
