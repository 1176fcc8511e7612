/* Accepts connections: on a TCP port of the loopback interface, of hosts that know its secret; on a Unix socket, of this user. */
#ifndef MG_LISTENER_H
#define MG_LISTENER_H

#include <poll.h>

#include "secret.h"

#define MG_MOST_PENDING 16 /* connections whose handshake is under way, at most */
#define MG_POLLED (1 + MG_MOST_PENDING) /* descriptors that a listener polls, at most */

typedef struct mg_pending {
    int connection;
    uint64_t until; /* microseconds: when it is ended */
    mg_handshake handshake;
} mg_pending;

typedef struct mg_listener {
    int socket;     /* -1: nothing is listened at */
    int has_secret; /* whether a secret has to be known */
    uint8_t secret[MG_NONCE];
    char file[MG_PATH]; /* of the secret or of the socket; removed in the end */
    mg_pending pending[MG_MOST_PENDING]; /* the oldest first */
    uint32_t n_pending;
} mg_listener;

/* Begin to listen, and print the address. Exit with a message if that cannot be. Port 0: a free one. */
void mg_listen_on_tcp(mg_listener *listener, uint16_t port);
void mg_listen_on_unix(mg_listener *listener, const char *path);

/* What to poll; returns how many descriptors. */
nfds_t mg_listener_poll_set(const mg_listener *listener, struct pollfd wanted[MG_POLLED]);

/* Handle what polling has found, at a time in microseconds. Returns a connection that is accepted, -1: there is none.
 * While a host is connected, another one that could be accepted is answered that the board is busy, and disconnected. */
int mg_listener_accept(mg_listener *listener, const struct pollfd found[MG_POLLED], int occupied, uint64_t now);

/* End all pending connections, and listen no longer. */
void mg_listener_close(mg_listener *listener);

#endif
