#include "effects.h"

#include <string.h>

#include "bits.h"

#define MOST_STEPS 1099511627776.0 /* 2^40 */

typedef struct range {
    const char *name;
    double lo, hi;
    int of_cells; /* on what is written, held or added to a cell, or that a write interrupts */
} range;

static const range ranges[MG_EFFECTS] = {
    [MG_FX_DAC_OFFSET] = {"dac_offset", -8, 8, 1},
    [MG_FX_DAC_GAIN] = {"dac_gain", -0.5, 0.5, 1},
    [MG_FX_DAC_INL] = {"dac_inl", -1024, 1024, 1},
    [MG_FX_CELL_GAIN_STD] = {"cell_gain_std", 0, 0.25, 1},
    [MG_FX_CELL_OFFSET_STD] = {"cell_offset_std", 0, 1, 1},
    [MG_FX_STUCK] = {"stuck", 0, 1, 1},
    [MG_FX_DEAD] = {"dead", 0, 1, 1},
    [MG_FX_PERTURBATION_STD] = {"perturbation_std", 0, 0.25, 1},
    [MG_FX_INPUT_NOISE] = {"input_noise", 0, 0.125, 0},
    [MG_FX_READ_NOISE] = {"read_noise", 0, 1, 0},
    [MG_FX_IR_ROW] = {"ir_row", 0, 0.5, 1},
    [MG_FX_IR_COLUMN] = {"ir_column", 0, 0.5, 1},
    [MG_FX_NEURON_STD] = {"neuron_std", 0, 1, 0},
    [MG_FX_MIDPOINT_STD] = {"midpoint_std", 0, 1, 0},
    [MG_FX_STEEPNESS_STD] = {"steepness_std", 0, 1, 0},
    [MG_FX_AMPLITUDE_STD] = {"amplitude_std", 0, 1, 0},
    [MG_FX_OFFSET_STD] = {"offset_std", 0, 1, 0},
    [MG_FX_ADC_NOISE] = {"adc_noise", 0, 1, 0},
    [MG_FX_ADC_INL] = {"adc_inl", -1024, 1024, 0},
    [MG_FX_COST_NOISE] = {"cost_noise", 0, 16, 0},
    [MG_FX_WRITE_NOISE] = {"write_noise", 0, 8, 1},
    [MG_FX_W_MAX] = {"w_max", 0, 64, 1},
    [MG_FX_W_MIN] = {"w_min", -64, 0, 0},
    [MG_FX_DW_MIN] = {"dw_min", 0, 8, 0},
    [MG_FX_UP_DOWN] = {"up_down", -0.9, 0.9, 0},
    [MG_FX_W_MAX_DTOD] = {"w_max_dtod", 0, 1, 0},
    [MG_FX_W_MIN_DTOD] = {"w_min_dtod", 0, 1, 0},
    [MG_FX_DW_MIN_DTOD] = {"dw_min_dtod", 0, 1, 0},
    [MG_FX_UP_DOWN_DTOD] = {"up_down_dtod", 0, 1, 0},
    [MG_FX_DW_MIN_STD] = {"dw_min_std", 0, 8, 0},
    [MG_FX_RETENTION] = {"retention", 0, MOST_STEPS, 1},
    [MG_FX_REST] = {"rest", -64, 64, 0},
    [MG_FX_DRIFT_NU] = {"drift_nu", 0, 1, 1},
    [MG_FX_DRIFT_NU_DTOD] = {"drift_nu_dtod", 0, 1, 0},
    [MG_FX_DRIFT_EVERY] = {"drift_every", 1, MOST_STEPS, 0},
    [MG_FX_TEMPERATURE_STD] = {"temperature_std", 0, 100, 0},
    [MG_FX_TEMPERATURE_EVERY] = {"temperature_every", 1, MOST_STEPS, 0},
    [MG_FX_TEMPERATURE_STEEPNESS] = {"temperature_steepness", -0.01, 0.01, 0},
    [MG_FX_TEMPERATURE_MIDPOINT] = {"temperature_midpoint", -0.1, 0.1, 0},
    [MG_FX_SETTLING] = {"settling", 0, 0.9, 1},
    [MG_FX_ENDURANCE] = {"endurance", 0, 1e15, 1},
    [MG_FX_ENDURANCE_DTOD] = {"endurance_dtod", 0, 1, 0},
};

static double when_off(int effect) { return ranges[effect].lo > 0.0 ? ranges[effect].lo : 0.0; }

void mg_effects_clear(mg_effects *effects) {
    effects->seed = 0;
    for (int i = 0; i < MG_EFFECTS; i++) effects->strength[i] = when_off(i);
}

int mg_effect_of(const char *name) {
    for (int i = 0; i < MG_EFFECTS; i++)
        if (strcmp(name, ranges[i].name) == 0) return i;
    return -1;
}

int mg_effects_any(const mg_effects *effects) {
    for (int i = 0; i < MG_EFFECTS; i++)
        if (effects->strength[i] < when_off(i) || effects->strength[i] > when_off(i)) return 1;
    return 0;
}

int mg_effects_are_sound(const mg_effects *effects) {
    const double *strength = effects->strength;
    for (int i = 0; i < MG_EFFECTS; i++)
        if (!(strength[i] >= ranges[i].lo && strength[i] <= ranges[i].hi)) return 0;
    for (int i = MG_FX_DW_MIN; i <= MG_FX_DW_MIN_STD; i++) /* of cells that move by pulses */
        if (strength[MG_FX_W_MAX] <= 0.0 && (strength[i] < 0.0 || strength[i] > 0.0)) return 0;
    int whole = (double)mg_floor(strength[MG_FX_DRIFT_EVERY]) >= strength[MG_FX_DRIFT_EVERY] &&
                (double)mg_floor(strength[MG_FX_TEMPERATURE_EVERY]) >= strength[MG_FX_TEMPERATURE_EVERY];
    return whole && strength[MG_FX_STUCK] + strength[MG_FX_DEAD] <= 1.0 &&
           (strength[MG_FX_W_MAX] > 0.0) == (strength[MG_FX_W_MIN] < 0.0);
}

int mg_effects_write_exactly(const mg_effects *effects) {
    for (int i = 0; i < MG_EFFECTS; i++)
        if (ranges[i].of_cells && (effects->strength[i] < 0.0 || effects->strength[i] > 0.0)) return 0;
    return 1;
}
