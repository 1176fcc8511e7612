/* The board's end of the handshake: a host proves that it knows the secret before anything is a frame (docs/link.md). */
#ifndef MG_HANDSHAKE_H
#define MG_HANDSHAKE_H

#include <stddef.h>
#include <stdint.h>

#define MG_NONCE 32 /* bytes, as many as of a secret and of a proof */
#define MG_HELLO 78 /* bytes of the server's first line */
#define MG_ACCEPT 68    /* bytes of the line that accepts a host */
#define MG_BUSY "busy\n"

typedef struct mg_handshake {
    uint8_t nonce[MG_NONCE];
    uint8_t line[2 * (2 * MG_NONCE + 1)];
    size_t count;
} mg_handshake;

/* Unpredictable bytes. Returns 0 if the system has none. */
int mg_random(uint8_t *to, size_t count);

void mg_to_hex(char *to, const uint8_t *bytes, size_t count);

/* Begin, with a new nonce. Returns 0 if there is none. */
int mg_handshake_begin(mg_handshake *handshake, uint8_t hello[MG_HELLO]);

/* Bytes from the host. 1: it has proven itself, and `ok` is what to say; 0: more has to come; -1: it is to be disconnected. */
int mg_handshake_receive(mg_handshake *handshake, const uint8_t secret[MG_NONCE], const uint8_t *bytes, size_t count,
                        uint8_t ok[MG_ACCEPT]);

#endif
