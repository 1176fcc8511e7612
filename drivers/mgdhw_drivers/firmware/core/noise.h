/* Gaussian noise in integers: a table looked up with random bits. docs/chip.md, "Noise". */
#ifndef MG_NOISE_H
#define MG_NOISE_H

#include "bits.h"
#include "philox.h"

/* The draws of one (seed, stream, step, layer, part). */
typedef struct mg_noise {
    mg_words words;
    mg_words tails; /* second words, of draws far out */
} mg_noise;

void mg_noise_at(mg_noise *noise, uint64_t seed, uint32_t stream, uint32_t layer, uint32_t part, uint64_t step);

/* Draw n: an integer of standard deviation 4096. n is below 2^33. */
int32_t mg_gaussian(mg_noise *noise, uint64_t n);

/* floor(a * s + 1/2). */
static inline int64_t mg_fix(double a, double s) { return mg_floor(a * s + 0.5); }

/* The strength that stands for a standard deviation, which is below 2^40. */
static inline int64_t mg_noise_size(double sigma) { return mg_fix(sigma, 8.0); }

/* Draw n with a strength. */
static inline int64_t mg_scaled(mg_noise *noise, int64_t size, uint64_t n) {
    return size == 0 ? 0 : mg_rshift(mg_gaussian(noise, n) * size, 15);
}

#endif
