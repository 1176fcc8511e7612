/* Where hosts come in: a TCP port of the loopback interface, to those who know its secret, or a Unix socket, to this user. */
#ifndef MG_DOOR_H
#define MG_DOOR_H

#include <poll.h>

#include "secret.h"

#define MG_WAITING 16             /* connections that are being greeted, at most */
#define MG_WATCHED (1 + MG_WAITING) /* descriptors that a door waits for, at most */

typedef struct mg_guest {
    int connection;
    uint64_t until; /* microseconds: when it is ended */
    mg_greeting greeting;
} mg_guest;

typedef struct mg_door {
    int listener; /* -1: there is no door */
    int greets;   /* whether a secret has to be known */
    uint8_t secret[MG_NONCE];
    char file[MG_PATH]; /* of the secret or of the socket; removed in the end */
    mg_guest waiting[MG_WAITING]; /* the oldest first */
    uint32_t n_waiting;
} mg_door;

/* Begin to listen, and print the address. Exit with a message if that cannot be. Port 0: a free one. */
void mg_door_on_tcp(mg_door *door, uint16_t port);
void mg_door_on_unix(mg_door *door, const char *path);

/* What to poll; answers how many descriptors. */
nfds_t mg_door_watch(const mg_door *door, struct pollfd wanted[MG_WATCHED]);

/* See to what polling has found, at a time in microseconds. Answers a connection that may come in, -1: there is none.
 * While somebody is in, whoever else could come in is told so, and sent away. */
int mg_door_look(mg_door *door, const struct pollfd found[MG_WATCHED], int occupied, uint64_t now);

/* End all that wait, and listen no longer. */
void mg_door_close(mg_door *door);

#endif
