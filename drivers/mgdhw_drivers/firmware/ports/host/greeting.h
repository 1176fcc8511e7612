/* The board's end of the greeting: a host proves that it knows the secret before anything is a frame (docs/link.md). */
#ifndef MG_GREETING_H
#define MG_GREETING_H

#include <stddef.h>
#include <stdint.h>

#define MG_NONCE 32 /* bytes, as many as of a secret and of a proof */
#define MG_HELLO 78 /* bytes of the line that greets */
#define MG_LET_IN 68    /* bytes of the line that lets in */
#define MG_BUSY "busy\n"

typedef struct mg_greeting {
    uint8_t nonce[MG_NONCE];
    uint8_t line[2 * (2 * MG_NONCE + 1)];
    size_t count;
} mg_greeting;

/* Bytes that nobody can foresee. Answers 0 if the system has none. */
int mg_random(uint8_t *to, size_t count);

void mg_to_hex(char *to, const uint8_t *bytes, size_t count);

/* Begin, with a new nonce. Answers 0 if there is none. */
int mg_greeting_begin(mg_greeting *greeting, uint8_t hello[MG_HELLO]);

/* Bytes from the host. 1: it has proven itself, and `ok` is what to say; 0: more has to come; -1: it is to be sent away. */
int mg_greeting_receive(mg_greeting *greeting, const uint8_t secret[MG_NONCE], const uint8_t *bytes, size_t count,
                        uint8_t ok[MG_LET_IN]);

#endif
