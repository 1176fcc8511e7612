/* A simulated chip: what it is, what it holds, and the memory it works in. Defined by docs/chip.md. */
#ifndef MG_CHIP_H
#define MG_CHIP_H

#include "arena.h"
#include "nonidealities.h"
#include "hal.h"
#include "status.h"

#define MG_MAX_SIZES 17      /* n_0 ... n_L: up to 16 layers */
#define MG_TARGET_BITS 12    /* fraction bits of a target */
#define MG_EXP_SEGMENTS 1024 /* segments of the exponential and of the logarithm */

/* Each with its name in docs/chip.md. */
#define MG_FOR_EACH_ACTIVATION(DO) \
    DO(MG_LOGISTIC, "logistic") DO(MG_TANH, "tanh") DO(MG_RELU, "relu") DO(MG_IDENTITY, "identity")
#define MG_FOR_EACH_COST(DO) DO(MG_MSE, "mse") DO(MG_XENT, "xent")
#define MG_NUMBER(number, name) number,

enum mg_activation { MG_FOR_EACH_ACTIVATION(MG_NUMBER) MG_ACTIVATIONS };
enum mg_cost_kind { MG_FOR_EACH_COST(MG_NUMBER) MG_COSTS };

/* The numbers that describe a chip; ranges as exponents of two. */
typedef struct mg_spec {
    int32_t n_sizes;
    int32_t sizes[MG_MAX_SIZES];
    int32_t activation, output_activation;
    int32_t weight_bits, weight_log2;
    int32_t input_bits, input_bipolar;
    int32_t signal_bits, signal_log2;
    int32_t lut_bits;
    int32_t output_bits;
    int32_t cost, cost_bits, cost_log2;
    const mg_nonidealities *nonidealities; /* NULL: an ideal chip */
} mg_spec;

typedef struct mg_layer {
    uint32_t n_in, n_out;
    uint32_t first;      /* its first parameter in theta: n_out * n_in weights, then n_out biases */
    uint32_t first_line; /* of its n_out row lines and n_in + 1 column lines among the network's */
    int fraction_in;     /* fraction bits of what it takes in */
    int narrow;          /* it takes in 16-bit numbers, and 32 bits hold its sums */
    const int32_t *curve;
} mg_layer;

/* How parameters may move, beside the converters' ranges; in parameter codes, 0: no limit. */
typedef struct mg_limits {
    double max_slew;           /* largest change of a parameter at once */
    double max_stress;         /* largest sum of the largest changes of all SETs and updates */
    uint32_t slew_interval_us; /* least time between two changes */
} mg_limits;

typedef struct mg_chip {
    mg_spec spec;
    uint32_t n_layers, n_parameters, n_inputs, n_outputs;
    mg_layer layer[MG_MAX_SIZES - 1];
    int weight_fraction, input_fraction, signal_fraction, cost_fraction, output_fraction;
    int32_t code_lo, code_hi, input_lo, input_hi, output_lo, output_hi;
    int64_t mean_divisor; /* D of the cost unit mse */
    const uint32_t *exponential; /* E, N of the cost unit xent; else NULL */
    const int64_t *logarithm;

    int16_t *stored;    /* (P,) parameter codes that were written */
    int16_t *perturbed; /* (P,) the same plus or minus a perturbation; equal to stored between probes */
    int32_t *signals[2];
    int16_t *narrow; /* what a narrow layer takes in */

    struct mg_nonideal *nonideal; /* NULL: it is ideal */
    uint64_t now;                   /* step that it has come to */

    const mg_hardware *hardware; /* the chip itself, if it is more than this simulation; else NULL */
    int16_t *applied;            /* (P,) what was last set on the hardware */

    mg_limits limits;
    int32_t largest_step; /* max_slew in whole codes; 0: no limit */
    const mg_hal *clock;  /* that the least time is kept by; NULL: there is none */
    uint64_t moved_at;    /* microseconds */
    double stress;        /* since the start */
    int32_t violation;    /* index of the parameter that a limit was violated by, or enum mg_violation */

    uint32_t n_samples, capacity; /* samples loaded, and room for them */
    uint32_t input_bytes;         /* of one input code: 1 (u8) or 2 (u16; i16 if bipolar), lowest first */
    uint8_t *inputs;              /* (capacity, n_inputs) */
    int16_t *targets;             /* (capacity, n_outputs) */
} mg_chip;

/* Derive everything from the spec, make the tables and take the memory, but for the samples'. Without `hardware`
 * (NULL) the chip is simulated. */
mg_status mg_chip_init(mg_chip *chip, const mg_spec *spec, const mg_hardware *hardware, mg_arena *arena);

/* Take all memory that is left for samples, at most `most` of them. */
void mg_chip_take_samples(mg_chip *chip, mg_arena *arena, uint32_t most);

/* Store one sample's codes. The indices are within the capacity and the sizes, the codes within their converters. */
void mg_chip_set_input(mg_chip *chip, uint32_t sample, uint32_t i, int32_t code);
void mg_chip_set_target(mg_chip *chip, uint32_t sample, uint32_t j, int32_t code);

/* Samples 0 ... n - 1 may be asked for from now on. */
void mg_chip_loaded(mg_chip *chip, uint32_t n);

/* The (P,) codes that it holds. */
const int16_t *mg_chip_stored(const mg_chip *chip);

/* Codes of real values. */
int32_t mg_chip_parameter_code(const mg_chip *chip, double theta);
int32_t mg_chip_input_code(const mg_chip *chip, double value);
int32_t mg_chip_target_code(double value);

#endif
