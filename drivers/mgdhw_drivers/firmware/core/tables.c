#include "tables.h"

#include "bits.h"
#include "wide.h"

void mg_curve_table(int32_t *table, int activation, int signal_bits, int signal_log2, int lut_bits) {
    int fraction = signal_bits - 1 - signal_log2;
    int32_t middle = (int32_t)1 << (lut_bits - 1), top = ((int32_t)1 << (signal_bits - 1)) - 1;
    int32_t segment = (int32_t)1 << (signal_bits - lut_bits);
    if (activation == MG_RELU || activation == MG_IDENTITY) { /* exact: z has as many fraction bits as the table */
        for (int32_t j = -middle; j <= middle; j++) {
            int32_t value = activation == MG_RELU && j < 0 ? 0 : j * segment;
            table[middle + j] = value < top ? value : top;
        }
        return;
    }
    /* Borders are |j| segments of 2^(signal_log2 + 1 - lut_bits) from 0, so u = exp(-|z|), or exp(-2 |z|), is a power
     * of one number. logistic: 1 / (1 + u) and u / (1 + u); tanh: +- (1 - u) / (1 + u). */
    int doubled = activation == MG_TANH;
    mg_wide base = mg_wide_exp_of_minus_power(signal_log2 + 1 - lut_bits + doubled), u = mg_wide_of(1);
    for (int32_t j = 0; j <= middle; j++) {
        mg_wide below = mg_wide_add(mg_wide_of(1), u);
        int32_t upper, lower;
        if (doubled) {
            upper = (int32_t)mg_wide_ratio(mg_wide_sub(mg_wide_of(1), u), below, fraction);
            lower = -upper; /* no value but 0 lies halfway between two integers, so both halves round alike */
        } else {
            upper = (int32_t)mg_wide_ratio(mg_wide_of(1), below, fraction);
            lower = (int32_t)mg_wide_ratio(u, below, fraction);
        }
        table[middle + j] = upper < top ? upper : top;
        table[middle - j] = lower < top ? lower : top;
        u = mg_wide_mul(u, base);
    }
}

void mg_exponential_table(uint32_t *table, int exponent) {
    mg_wide base = mg_wide_exp_of_minus_power(exponent), u = mg_wide_of(1);
    for (int k = 0; k <= MG_EXP_SEGMENTS; k++) {
        table[k] = (uint32_t)mg_wide_round(u, 16);
        u = mg_wide_mul(u, base);
    }
}

void mg_logarithm_table(int64_t *table, int fraction_bits) {
    /* ln((n + 1) / n) = 2 (1/m + 1/(3 m^3) + 1/(5 m^5) + ...), m = 2 n + 1 */
    mg_wide sum = mg_wide_of(0);
    for (uint32_t k = 0;; k++) {
        table[k] = mg_wide_round(sum, fraction_bits);
        if (k == MG_EXP_SEGMENTS) break;
        uint32_t m = 2 * (MG_EXP_SEGMENTS + k) + 1;
        mg_wide power = mg_wide_div(mg_wide_of(2), m);
        for (uint32_t i = 1; !mg_wide_is_zero(power); i += 2) {
            sum = mg_wide_add(sum, mg_wide_div(power, i));
            power = mg_wide_div(power, m * m);
        }
    }
}

void mg_sine_table(int16_t *table) {
    mg_wide sine_step, cosine_step;
    mg_wide_sin_cos(mg_wide_half(mg_wide_pi(), 11), &sine_step, &cosine_step);
    mg_wide sine = mg_wide_of(0), cosine = mg_wide_of(1), full = mg_wide_of(32767);
    for (int k = 0; k < 1024; k++) { /* one angle after the other; both stay positive within the quarter */
        table[k] = (int16_t)mg_wide_round(mg_wide_mul(sine, full), 0);
        mg_wide next = mg_wide_add(mg_wide_mul(sine, cosine_step), mg_wide_mul(cosine, sine_step));
        cosine = mg_wide_mul(cosine, cosine_step);
        mg_wide back = mg_wide_mul(sine, sine_step);
        cosine = mg_wide_less(cosine, back) ? mg_wide_of(0) : mg_wide_sub(cosine, back);
        sine = next;
    }
    table[1024] = 32767;
}
