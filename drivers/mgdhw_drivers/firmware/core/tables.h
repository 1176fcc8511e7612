/* The chip's tables, rounded half up from more than 30 correct digits, made at the start (see wide.h). */
#ifndef MG_TABLES_H
#define MG_TABLES_H

#include "chip.h"

/* (2^lut_bits + 1,) signals at the borders of the segments of [-2^signal_log2, 2^signal_log2). */
void mg_curve_table(int32_t *table, int activation, int signal_bits, int signal_log2, int lut_bits);

/* (1025,) exp(-k * 2^exponent) with 16 fraction bits. */
void mg_exponential_table(uint32_t *table, int exponent);

/* (1025,) ln(1 + k / 1024). */
void mg_logarithm_table(int64_t *table, int fraction_bits);

/* (1025,) 32767 sin(2 pi k / 4096) of the first quarter of a turn. */
void mg_sine_table(int16_t *table);

#endif
