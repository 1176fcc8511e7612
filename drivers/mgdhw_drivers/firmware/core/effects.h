/* What is imperfect about a chip: strengths of its effects. docs/chip.md, "An imperfect chip". */
#ifndef MG_EFFECTS_H
#define MG_EFFECTS_H

#include <stdint.h>

/* In the units of docs/chip.md; 0 is none of it, but for the two periods, which are 1 or more. */
enum mg_effect {
    MG_FX_DAC_OFFSET,
    MG_FX_DAC_GAIN,
    MG_FX_DAC_INL,
    MG_FX_CELL_GAIN_STD,
    MG_FX_CELL_OFFSET_STD,
    MG_FX_STUCK,
    MG_FX_DEAD,
    MG_FX_PERTURBATION_STD,
    MG_FX_INPUT_NOISE,
    MG_FX_READ_NOISE,
    MG_FX_IR_ROW,
    MG_FX_IR_COLUMN,
    MG_FX_NEURON_STD,
    MG_FX_MIDPOINT_STD,
    MG_FX_STEEPNESS_STD,
    MG_FX_AMPLITUDE_STD,
    MG_FX_OFFSET_STD,
    MG_FX_ADC_NOISE,
    MG_FX_ADC_INL,
    MG_FX_COST_NOISE,
    MG_FX_WRITE_NOISE,
    MG_FX_W_MAX,
    MG_FX_W_MIN,
    MG_FX_DW_MIN,
    MG_FX_UP_DOWN,
    MG_FX_W_MAX_DTOD,
    MG_FX_W_MIN_DTOD,
    MG_FX_DW_MIN_DTOD,
    MG_FX_UP_DOWN_DTOD,
    MG_FX_DW_MIN_STD,
    MG_FX_RETENTION,
    MG_FX_REST,
    MG_FX_DRIFT_NU,
    MG_FX_DRIFT_NU_DTOD,
    MG_FX_DRIFT_EVERY,
    MG_FX_TEMPERATURE_STD,
    MG_FX_TEMPERATURE_EVERY,
    MG_FX_TEMPERATURE_STEEPNESS,
    MG_FX_TEMPERATURE_MIDPOINT,
    MG_FX_SETTLING,
    MG_FX_ENDURANCE,
    MG_FX_ENDURANCE_DTOD,
    MG_EFFECTS
};

typedef struct mg_effects {
    uint64_t seed; /* which chip of its kind it is */
    double strength[MG_EFFECTS];
} mg_effects;

/* All off. */
void mg_effects_clear(mg_effects *effects);

/* Number of the effect with a name, -1 if there is none. */
int mg_effect_of(const char *name);

/* Whether any differs from what it is on an ideal chip. */
int mg_effects_any(const mg_effects *effects);

/* Whether each is within its range, and they make sense together. */
int mg_effects_are_sound(const mg_effects *effects);

/* Whether a perturbed parameter that is written is as good as one that is added: no effect is one of cells. */
int mg_effects_write_exactly(const mg_effects *effects);

#endif
