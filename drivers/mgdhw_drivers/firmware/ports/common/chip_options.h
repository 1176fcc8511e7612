/* The chip that a board is built for, from the compiler's command line: make mps2 CHIP="-DMG_LAYERS=2,2,1 ...".
 * Names are those of docs/chip.md; ranges are exponents of two. */
#ifndef MG_CHIP_OPTIONS_H
#define MG_CHIP_OPTIONS_H

#include "board.h"

#ifndef MG_LAYERS
#define MG_LAYERS 2, 3, 1
#endif
#ifndef MG_ACTIVATION
#define MG_ACTIVATION MG_LOGISTIC
#endif
#ifndef MG_OUTPUT_ACTIVATION
#define MG_OUTPUT_ACTIVATION MG_ACTIVATION
#endif
#ifndef MG_WEIGHT_BITS
#define MG_WEIGHT_BITS 8
#endif
#ifndef MG_WEIGHT_LOG2
#define MG_WEIGHT_LOG2 3
#endif
#ifndef MG_INPUT_BITS
#define MG_INPUT_BITS 8
#endif
#ifndef MG_INPUT_BIPOLAR
#define MG_INPUT_BIPOLAR 0
#endif
#ifndef MG_SIGNAL_BITS
#define MG_SIGNAL_BITS 16
#endif
#ifndef MG_SIGNAL_LOG2
#define MG_SIGNAL_LOG2 3
#endif
#ifndef MG_LUT_BITS
#define MG_LUT_BITS 8
#endif
#ifndef MG_OUTPUT_BITS
#define MG_OUTPUT_BITS 8
#endif
#ifndef MG_COST
#define MG_COST MG_MSE
#endif
#ifndef MG_COST_BITS
#define MG_COST_BITS 12
#endif
#ifndef MG_COST_LOG2
#define MG_COST_LOG2 0
#endif
#ifndef MG_MAX_SLEW
#define MG_MAX_SLEW 0 /* limits on how parameters move, in codes and microseconds; 0: none */
#endif
#ifndef MG_MAX_STRESS
#define MG_MAX_STRESS 0
#endif
#ifndef MG_SLEW_INTERVAL_US
#define MG_SLEW_INTERVAL_US 0
#endif
#ifndef MG_MOST_SAMPLES
#define MG_MOST_SAMPLES 4096
#endif
#ifndef MG_MEMORY
#define MG_MEMORY (48 * 1024)
#endif
#ifndef MG_MAX_PAYLOAD
#define MG_MAX_PAYLOAD 512 /* at 115,200 baud it takes 45 ms */
#endif

#define MG_LIMITS {MG_MAX_SLEW, MG_MAX_STRESS, MG_SLEW_INTERVAL_US}

#define MG_SPEC                                                                                                       \
    {(int32_t)(sizeof((int32_t[]){MG_LAYERS}) / sizeof(int32_t)), {MG_LAYERS}, MG_ACTIVATION, MG_OUTPUT_ACTIVATION,   \
     MG_WEIGHT_BITS, MG_WEIGHT_LOG2, MG_INPUT_BITS, MG_INPUT_BIPOLAR, MG_SIGNAL_BITS, MG_SIGNAL_LOG2, MG_LUT_BITS,    \
     MG_OUTPUT_BITS, MG_COST, MG_COST_BITS, MG_COST_LOG2, NULL}

#endif
