/* A nonideal chip: what differs from cell to cell, what the cells remember, and how signals come about.
 * Defined by the second part of docs/chip.md. Only a chip that has nonidealities takes this memory. */
#ifndef MG_NONIDEAL_H
#define MG_NONIDEAL_H

#include "chip.h"

#define MG_CELL_FRACTION 14 /* fraction bits that a cell has more than a parameter code */
#define MG_NEVER (-2147483647 - 1) /* the code that a cell was asked for that was never written */

enum mg_part { MG_BASELINE_PART, MG_PLUS_PART, MG_MINUS_PART, MG_INFER_PART };

enum mg_cell_kind { MG_LIVES, MG_STUCK, MG_DEAD };

/* How cells move by pulses: bounds, step at zero up and down, and its slopes. */
typedef struct mg_pulses {
    int32_t *w_max, *w_min, *up, *down, *slope_up, *slope_down;
} mg_pulses;

/* (sum of n_1 ... n_L,) what each neuron is like, first layer first. */
typedef struct mg_neurons {
    int32_t *midpoint, *steepness, *amplitude, *offset;
} mg_neurons;

/* When and as what a measurement is made, and the (P,) fine weights of it: what its noise is keyed by. */
typedef struct mg_measurement {
    const int32_t *weights;
    uint64_t step;
    uint32_t part;
} mg_measurement;

typedef struct mg_nonideal {
    mg_nonidealities nonidealities;
    int fine_bits, fine_input_bits; /* E, G */
    int fine_fraction, weight_bits; /* of fine weights */
    int32_t limit;                  /* H */
    uint64_t drift_every, temperature_every; /* in steps; 0: the cells don't age, the temperature doesn't change */

    /* Drawn once. */
    uint8_t *kind;       /* (P,) enum mg_cell_kind */
    int16_t *stuck;      /* (P,) codes of the cells that are stuck; NULL if none can be */
    int32_t *gain, *offset, *perturbation; /* (P,) */
    mg_pulses pulses;    /* only of cells that move by pulses */
    int32_t *drift;      /* (P,) or NULL */
    int64_t *endurance;  /* (P,) or NULL */
    mg_neurons neurons;
    const uint32_t *decay; /* Y and N, of cells that age */
    const int64_t *logarithm;
    int64_t rate, rest, residue; /* rho, R, epsilon */
    int64_t dac_offset, dac_gain, dac_inl, pulse_unit, pulse_noise;
    int64_t write_size, input_size, read_size, cost_size, adc_size, kelvin_size; /* strengths of noise */
    int64_t adc_bow;
    int64_t midpoint_per_kelvin, steepness_per_kelvin;

    /* What the cells remember. */
    int32_t *requested, *value; /* (P,) */
    int64_t *written_tick, *wear;
    int64_t written; /* step of the last write that changed anything */

    /* As it is at the step that the chip was brought to last. */
    uint64_t tick, temperature;
    int32_t is_fresh; /* `weights` are those of `tick` and of what the cells remember */
    int64_t midpoint_shift, steepness_shift;
    int32_t *weights;   /* (P,) fine weights */
    int32_t *varied[2]; /* (P,) the same with a perturbation: of a measurement, and of the one before it */
    int32_t *left;      /* (n_outputs,) where the outputs were going before */
} mg_nonideal;

/* Take the memory and draw what is drawn once; what the chip is otherwise is known. */
mg_status mg_nonideal_init(mg_chip *chip, const mg_nonidealities *nonidealities, mg_arena *arena);

/* Cells as when the chip was made. */
void mg_cells_forget(mg_chip *chip);

/* The chip holds what the cells remember that they were asked for. */
void mg_cells_are_held(mg_chip *chip);

/* Write (P,) codes at a step. */
void mg_cells_write(mg_chip *chip, const int16_t *codes, uint64_t step);

/* What cell i holds at a tick, in cell units. */
int64_t mg_cell_at(const mg_chip *chip, uint32_t i, uint64_t tick);

/* (P,) what cells hold now, and the fine weights that they make. */
void mg_cells_read(const mg_chip *chip, int64_t *cells, int32_t *weights);

/* Number of the tick that a step belongs to. */
uint64_t mg_tick_of(const mg_nonideal *own, uint64_t step);

/* Weights and neurons as they are at a step. */
void mg_nonideal_come_to(mg_chip *chip, uint64_t step);

/* Whether two steps see the same weights and neurons, if nothing is written between them. */
int mg_nonideal_is_alike(const mg_nonideal *own, uint64_t step, uint64_t other);

/* Weights at the step that the chip was brought to, plus (sign 1) or minus (-1) (size,) perturbation codes of
 * parameters first ..., into `varied[which]`. */
const int32_t *mg_nonideal_vary(mg_chip *chip, int which, int sign, const int16_t *code, uint32_t first,
                                 uint32_t size);

/* (n_outputs,) settled signals of the last layer, for a sample in a row of a measurement. Valid until the next call. */
int32_t *mg_settled(mg_chip *chip, const mg_measurement *at, uint32_t sample, uint32_t row);

/* Cost code with its noise. */
int64_t mg_noisy_cost(mg_chip *chip, const mg_measurement *at, const int32_t *signals, uint32_t sample, uint32_t row);

/* Make (n_outputs,) signals output codes, with the converter's noise and bow. */
void mg_noisy_outputs(mg_chip *chip, const mg_measurement *at, int32_t *signals, uint32_t row);

#endif
