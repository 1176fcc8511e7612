#include "handshake.h"

#include <stdio.h>
#include <string.h>

#include "sha256.h"

#define DIGITS (2 * MG_NONCE)

int mg_random(uint8_t *to, size_t count) {
    FILE *source = fopen("/dev/urandom", "rb");
    if (source == NULL) return 0;
    size_t got = fread(to, 1, count, source);
    fclose(source);
    return got == count;
}

void mg_to_hex(char *to, const uint8_t *bytes, size_t count) {
    static const char digit[] = "0123456789abcdef";
    for (size_t i = 0; i < count; i++) {
        to[2 * i] = digit[bytes[i] >> 4];
        to[2 * i + 1] = digit[bytes[i] & 15];
    }
}

static int value_of(uint8_t digit) {
    if (digit >= '0' && digit <= '9') return digit - '0';
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* The proof that an end ("mgdhw host", "mgdhw board") knows the secret, in hexadecimal. */
static void prove(char proof[DIGITS], const uint8_t *secret, const char *end, const uint8_t *ours, const uint8_t *theirs) {
    uint8_t message[16 + 2 * MG_NONCE], digest[MG_DIGEST];
    size_t size = strlen(end);
    memcpy(message, end, size);
    memcpy(message + size, ours, MG_NONCE);
    memcpy(message + size + MG_NONCE, theirs, MG_NONCE);
    mg_hmac_sha256(digest, secret, MG_NONCE, message, size + 2 * MG_NONCE);
    mg_to_hex(proof, digest, sizeof digest);
}

int mg_handshake_begin(mg_handshake *handshake, uint8_t hello[MG_HELLO]) {
    static const char first[] = "mgdhw-link 1 ";
    handshake->count = 0;
    memcpy(hello, first, sizeof first - 1);
    hello[MG_HELLO - 1] = '\n';
    int random = mg_random(handshake->nonce, MG_NONCE);
    mg_to_hex((char *)hello + sizeof first - 1, handshake->nonce, MG_NONCE);
    return random;
}

/* Whether a byte may stand at a place of the answer: digits, a space, digits, a line feed. */
static int is_allowed(uint8_t byte, size_t at) {
    if (at == DIGITS) return byte == ' ';
    return at == 2 * DIGITS + 1 ? byte == '\n' : value_of(byte) >= 0;
}

int mg_handshake_receive(mg_handshake *handshake, const uint8_t secret[MG_NONCE], const uint8_t *bytes, size_t count,
                        uint8_t ok[MG_ACCEPT]) {
    char wanted[DIGITS];
    uint8_t theirs[MG_NONCE], different = 0;
    if (count > sizeof handshake->line - handshake->count) return -1;
    for (size_t i = 0; i < count; i++) {
        if (!is_allowed(bytes[i], handshake->count)) return -1;
        handshake->line[handshake->count++] = bytes[i];
    }
    if (handshake->count < sizeof handshake->line) return 0;
    for (size_t i = 0; i < MG_NONCE; i++)
        theirs[i] = (uint8_t)(value_of(handshake->line[2 * i]) << 4 | value_of(handshake->line[2 * i + 1]));
    prove(wanted, secret, "mgdhw host", handshake->nonce, theirs);
    for (size_t i = 0; i < DIGITS; i++) different |= handshake->line[DIGITS + 1 + i] ^ (uint8_t)wanted[i];
    if (different) return -1;
    memcpy(ok, "ok ", 3);
    prove((char *)ok + 3, secret, "mgdhw board", handshake->nonce, theirs);
    ok[MG_ACCEPT - 1] = '\n';
    return 1;
}
