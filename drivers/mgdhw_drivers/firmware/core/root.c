#include "root.h"

#include <stdint.h>
#include <string.h>

#define FRACTION 52
#define BIAS 1023

double mg_root_of_integers(double v) {
    uint64_t pattern;
    memcpy(&pattern, &v, sizeof pattern);
    if (!(v > 0.0)) return v == 0.0 ? v : (v - v) / 0.0; /* zero keeps its sign */
    int exponent = (int)(pattern >> FRACTION);
    if (exponent == 2 * BIAS + 1) return v; /* infinity; not a number was caught above */
    uint64_t mantissa = pattern & (((uint64_t)1 << FRACTION) - 1);
    if (exponent == 0) { /* subnormal: make it look like the others */
        exponent = 1;
        while (mantissa >> FRACTION == 0) {
            mantissa <<= 1;
            exponent--;
        }
    }
    mantissa |= (uint64_t)1 << FRACTION;
    exponent -= BIAS;
    if (exponent % 2 != 0) { /* v = mantissa 2^(exponent - 52) with an even exponent */
        mantissa <<= 1;
        exponent--;
    }
    /* The root has 53 bits before rounding and one more to round by; bit by bit, two of the radicand for one of it. */
    uint64_t root = 0, rest = 0;
    int taken = 54; /* of the radicand's bits; it is below 2^54, followed by zeros */
    for (int i = 0; i < 54; i++) {
        uint64_t next = taken > 0 ? mantissa >> (taken - 2) & 3u : 0;
        taken -= 2;
        rest = rest << 2 | next;
        root <<= 1;
        uint64_t trial = root << 1 | 1u;
        if (rest >= trial) {
            rest -= trial;
            root |= 1u;
        }
    }
    /* A root of 53 bits is never exactly halfway, so the last bit alone decides. */
    uint64_t rounded = (root >> 1) + (root & 1u);
    pattern = ((uint64_t)(exponent / 2 + BIAS) << FRACTION) + (rounded - ((uint64_t)1 << FRACTION));
    memcpy(&v, &pattern, sizeof v);
    return v;
}
