/* Numbers in messages: little-endian, at any address. */
#ifndef MG_WIRE_H
#define MG_WIRE_H

#include <stdint.h>
#include <string.h>

static inline uint16_t mg_get16(const uint8_t *at) { return (uint16_t)(at[0] | at[1] << 8); }

static inline uint32_t mg_get32(const uint8_t *at) { return mg_get16(at) | (uint32_t)mg_get16(at + 2) << 16; }

static inline uint64_t mg_get64(const uint8_t *at) { return mg_get32(at) | (uint64_t)mg_get32(at + 4) << 32; }

static inline double mg_get_double(const uint8_t *at) {
    uint64_t pattern = mg_get64(at);
    double value;
    memcpy(&value, &pattern, sizeof value);
    return value;
}

static inline void mg_put16(uint8_t *at, uint32_t value) {
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
}

static inline void mg_put32(uint8_t *at, uint32_t value) {
    mg_put16(at, value);
    mg_put16(at + 2, value >> 16);
}

static inline void mg_put64(uint8_t *at, uint64_t value) {
    mg_put32(at, (uint32_t)value);
    mg_put32(at + 4, (uint32_t)(value >> 32));
}

static inline void mg_put_double(uint8_t *at, double value) {
    uint64_t pattern;
    memcpy(&pattern, &value, sizeof pattern);
    mg_put64(at, pattern);
}

#endif
