/* What a chip is asked for, be it ideal or not. */
#ifndef MG_MEASURE_H
#define MG_MEASURE_H

#include "chip.h"

/* (n_outputs,) output codes of a loaded sample, as the chip is at a step. Valid until the next call. */
const int32_t *mg_outputs(mg_chip *chip, uint32_t sample, uint64_t step);

/* Cost code of a loaded sample with the parameters as they are, as row `row` of an evaluation (enum mg_part) at a
 * step. */
int64_t mg_measured_cost(mg_chip *chip, uint32_t sample, uint64_t step, uint32_t part, uint32_t row);

#endif
