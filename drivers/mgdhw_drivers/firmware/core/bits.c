#include "bits.h"

#include <string.h>

double mg_power(int n) {
    uint64_t pattern = (uint64_t)(n + 1023) << 52;
    double value;
    memcpy(&value, &pattern, sizeof value);
    return value;
}

int64_t mg_floor(double v) {
    int64_t whole = (int64_t)v;
    return (double)whole > v ? whole - 1 : whole;
}

int32_t mg_dac(double value, int fraction_bits, int32_t lo, int32_t hi) {
    double v = value * mg_power(fraction_bits) + 0.5;
    if (!(v > (double)lo)) return lo;
    if (v >= (double)hi) return hi;
    return (int32_t)mg_floor(v);
}

int mg_bit_length(uint64_t a) {
    int bits = 0;
    for (; a > 0; a >>= 1) bits++;
    return bits;
}
