/* Integer arithmetic that docs/chip.md names in its section "Notation".
 *
 * `>>` of a negative number is the arithmetic shift; C99 leaves that to the compiler, and every one that this core is
 * built with documents it so. Nothing negative is ever shifted to the left. */
#ifndef MG_BITS_H
#define MG_BITS_H

#include <stdint.h>

static inline int64_t mg_clip(int64_t a, int64_t lo, int64_t hi) { return a < lo ? lo : a > hi ? hi : a; }

/* a * 2^n, exact; the caller knows that it fits. */
static inline int64_t mg_times_power(int64_t a, int n) { return a * (int64_t)((uint64_t)1 << n); }

/* a / 2^n, rounded half up; exact for n <= 0. */
static inline int64_t mg_rshift(int64_t a, int n) {
    return n > 0 ? (a + (int64_t)((uint64_t)1 << (n - 1))) >> n : mg_times_power(a, -n);
}

/* To a signed number of `bits` bits. */
static inline int64_t mg_sat(int64_t a, int bits) {
    int64_t half = (int64_t)1 << (bits - 1);
    return mg_clip(a, -half, half - 1);
}

/* 2^n as a double, exactly, -1022 <= n <= 1023. */
double mg_power(int n);

/* Largest integer <= v, for |v| < 2^62. */
int64_t mg_floor(double v);

/* A converter from a real value to a code of F fraction bits, lo ... hi. Not a number is converted to lo. */
int32_t mg_dac(double value, int fraction_bits, int32_t lo, int32_t hi);

/* Bits of a: 0 for 0, 1 for 1, 3 for 4. */
int mg_bit_length(uint64_t a);

#endif
