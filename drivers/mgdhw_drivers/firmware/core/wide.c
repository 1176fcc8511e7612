#include "wide.h"

#include <string.h>

mg_wide mg_wide_of(uint32_t whole) {
    mg_wide a;
    memset(&a, 0, sizeof a);
    a.word[MG_WIDE_WORDS - 1] = whole;
    return a;
}

mg_wide mg_wide_add(mg_wide a, mg_wide b) {
    uint64_t carry = 0;
    for (int i = 0; i < MG_WIDE_WORDS; i++) {
        carry += (uint64_t)a.word[i] + b.word[i];
        a.word[i] = (uint32_t)carry;
        carry >>= 32;
    }
    return a;
}

mg_wide mg_wide_sub(mg_wide a, mg_wide b) {
    uint64_t borrow = 0;
    for (int i = 0; i < MG_WIDE_WORDS; i++) {
        uint64_t difference = (uint64_t)a.word[i] - b.word[i] - borrow;
        a.word[i] = (uint32_t)difference;
        borrow = difference >> 63;
    }
    return a;
}

mg_wide mg_wide_mul(mg_wide a, mg_wide b) {
    uint32_t product[2 * MG_WIDE_WORDS] = {0};
    for (int i = 0; i < MG_WIDE_WORDS; i++) {
        uint64_t carry = 0;
        for (int j = 0; j < MG_WIDE_WORDS; j++) {
            carry += (uint64_t)a.word[i] * b.word[j] + product[i + j];
            product[i + j] = (uint32_t)carry;
            carry >>= 32;
        }
        product[i + MG_WIDE_WORDS] = (uint32_t)carry;
    }
    mg_wide result;
    memcpy(result.word, product + MG_WIDE_WORDS - 1, sizeof result.word);
    return result;
}

mg_wide mg_wide_div(mg_wide a, uint32_t b) {
    uint64_t rest = 0;
    for (int i = MG_WIDE_WORDS - 1; i >= 0; i--) {
        rest = rest << 32 | a.word[i];
        a.word[i] = (uint32_t)(rest / b);
        rest %= b;
    }
    return a;
}

mg_wide mg_wide_half(mg_wide a, int times) {
    if (times == 0) return a;
    for (int i = 0; i < MG_WIDE_WORDS; i++) {
        uint32_t above = i + 1 < MG_WIDE_WORDS ? a.word[i + 1] : 0;
        a.word[i] = a.word[i] >> times | above << (32 - times);
    }
    return a;
}

int mg_wide_less(mg_wide a, mg_wide b) {
    for (int i = MG_WIDE_WORDS - 1; i >= 0; i--)
        if (a.word[i] != b.word[i]) return a.word[i] < b.word[i];
    return 0;
}

int mg_wide_is_zero(mg_wide a) {
    uint32_t any = 0;
    for (int i = 0; i < MG_WIDE_WORDS; i++) any |= a.word[i];
    return any == 0;
}

int64_t mg_wide_round(mg_wide a, int bits) {
    uint64_t twice = 0; /* floor(a * 2^(bits + 1)) */
    int taken = bits + 1;
    for (int i = MG_WIDE_WORDS - 1;; i--) {
        if (i == MG_WIDE_WORDS - 1) {
            twice = a.word[i];
            continue;
        }
        int take = taken < 32 ? taken : 32;
        twice = twice << take | (uint64_t)a.word[i] >> (32 - take);
        taken -= take;
        if (taken == 0) break;
    }
    return (int64_t)((twice + 1) >> 1);
}

int64_t mg_wide_ratio(mg_wide a, mg_wide b, int bits) {
    uint64_t twice = 0; /* floor(a / b * 2^(bits + 1)), bit by bit */
    if (!mg_wide_less(a, b)) {
        twice = 1;
        a = mg_wide_sub(a, b);
    }
    for (int i = 0; i < bits + 1; i++) {
        a = mg_wide_add(a, a);
        twice <<= 1;
        if (!mg_wide_less(a, b)) {
            a = mg_wide_sub(a, b);
            twice |= 1;
        }
    }
    return (int64_t)((twice + 1) >> 1);
}

mg_wide mg_wide_exp_of_minus_power(int exponent) {
    /* The series at 2^-12 or below, where it is short and each term is less than the one before, then squared. */
    int squarings = exponent > -12 ? exponent + 12 : 0;
    mg_wide x = mg_wide_half(mg_wide_of(1), squarings > 0 ? 12 : -exponent);
    mg_wide term = mg_wide_of(1), even = term, odd = mg_wide_of(0);
    for (uint32_t n = 1; !mg_wide_is_zero(term); n++) {
        term = mg_wide_div(mg_wide_mul(term, x), n);
        if (n % 2)
            odd = mg_wide_add(odd, term);
        else
            even = mg_wide_add(even, term);
    }
    mg_wide result = mg_wide_sub(even, odd);
    for (; squarings > 0; squarings--) result = mg_wide_mul(result, result);
    return result;
}

/* atan(1 / n) by its series. */
static mg_wide arctangent_of_inverse(uint32_t n) {
    mg_wide power = mg_wide_div(mg_wide_of(1), n), plus = power, minus = mg_wide_of(0);
    for (uint32_t k = 3; !mg_wide_is_zero(power); k += 2) {
        power = mg_wide_div(power, n * n);
        if (k % 4 == 3)
            minus = mg_wide_add(minus, mg_wide_div(power, k));
        else
            plus = mg_wide_add(plus, mg_wide_div(power, k));
    }
    return mg_wide_sub(plus, minus);
}

mg_wide mg_wide_pi(void) { /* Machin (1706) */
    mg_wide sixteen = mg_wide_mul(mg_wide_of(16), arctangent_of_inverse(5));
    return mg_wide_sub(sixteen, mg_wide_mul(mg_wide_of(4), arctangent_of_inverse(239)));
}

void mg_wide_sin_cos(mg_wide x, mg_wide *sine, mg_wide *cosine) {
    mg_wide part[4]; /* sums of the terms of exp(ix), by the power of i that they carry */
    mg_wide term = mg_wide_of(1);
    for (int i = 0; i < 4; i++) part[i] = mg_wide_of(0);
    part[0] = term;
    for (uint32_t n = 1; !mg_wide_is_zero(term); n++) {
        term = mg_wide_div(mg_wide_mul(term, x), n);
        part[n % 4] = mg_wide_add(part[n % 4], term);
    }
    *cosine = mg_wide_sub(part[0], part[2]);
    *sine = mg_wide_sub(part[1], part[3]);
}
