/* From inputs to outputs and costs: the crossbar, the curves, the output converter and the cost unit. */
#ifndef MG_DATAPATH_H
#define MG_DATAPATH_H

#include "chip.h"

/* (n_inputs,) input codes of a loaded sample. */
void mg_unpack_inputs(const mg_chip *chip, uint32_t sample, int32_t *x);

/* One neuron's curve, interpolated within a segment. */
int32_t mg_bend(const mg_chip *chip, const int32_t *curve, int32_t z);

/* Signals of the last layer, (n_outputs,), for (P,) parameter codes and a loaded sample. Valid until the next call. */
const int32_t *mg_signals(mg_chip *chip, const int16_t *codes, uint32_t sample);

/* Code of an output's signal. */
int32_t mg_output_code(const mg_chip *chip, int32_t signal);

/* Cost code of a sample, from the signals of the last layer and the sample's targets. */
int64_t mg_cost_code(const mg_chip *chip, const int32_t *signals, const int16_t *targets);

/* Cost code of a loaded sample for (P,) parameter codes. */
int64_t mg_sample_cost(mg_chip *chip, const int16_t *codes, uint32_t sample);

#endif
