/* Unsigned fixed point with 32 bits before and 160 bits after the point: 48 decimal digits.
 *
 * For making tables at the start without a mathematics library. An operation is wrong by at most a few 2^-160, so
 * what the tables need (30 digits, about 2^-100) is met with room for thousands of operations one upon the other. */
#ifndef MG_WIDE_H
#define MG_WIDE_H

#include <stdint.h>

#define MG_WIDE_WORDS 6 /* lowest first; the last is the part before the point */

typedef struct mg_wide {
    uint32_t word[MG_WIDE_WORDS];
} mg_wide;

mg_wide mg_wide_of(uint32_t whole);
mg_wide mg_wide_add(mg_wide a, mg_wide b);
mg_wide mg_wide_sub(mg_wide a, mg_wide b); /* a >= b */
mg_wide mg_wide_mul(mg_wide a, mg_wide b); /* product below 2^32, cut off below 2^-160 */
mg_wide mg_wide_div(mg_wide a, uint32_t b);
mg_wide mg_wide_half(mg_wide a, int times); /* a / 2^times, 0 <= times < 32 */
int mg_wide_less(mg_wide a, mg_wide b);
int mg_wide_is_zero(mg_wide a);

/* floor(a * 2^bits + 1/2), a result below 2^62. */
int64_t mg_wide_round(mg_wide a, int bits);

/* floor(a / b * 2^bits + 1/2) for a <= b < 2^30, bits < 60. */
int64_t mg_wide_ratio(mg_wide a, mg_wide b, int bits);

/* exp(-2^exponent), -30 <= exponent <= 6. */
mg_wide mg_wide_exp_of_minus_power(int exponent);

/* pi. */
mg_wide mg_wide_pi(void);

/* sin(x) and cos(x), 0 <= x < 1. */
void mg_wide_sin_cos(mg_wide x, mg_wide *sine, mg_wide *cosine);

#endif
