/* Quantiles of the Gaussian that noise is made of: docs/chip.md, "Noise". */
#ifndef MG_NOISE_TABLES_H
#define MG_NOISE_TABLES_H

#include <stdint.h>

#define MG_NOISE_RARE 240

extern const int16_t mg_noise_borders[128]; /* L: ends of the straight pieces */
extern const int16_t mg_noise_rare[MG_NOISE_RARE]; /* T: middles of cells beyond the last piece */
extern const int16_t mg_noise_far[513]; /* U: borders of the last cells, towards zero */

#endif
