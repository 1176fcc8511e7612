#include "measure.h"

#include "datapath.h"
#include "nonideal.h"

const int32_t *mg_outputs(mg_chip *chip, uint32_t sample, uint64_t step) {
    if (chip->nonideal) {
        mg_nonideal_come_to(chip, step);
        const mg_measurement at = {chip->nonideal->weights, step, MG_INFER_PART};
        int32_t *codes = mg_settled(chip, &at, sample, sample);
        mg_noisy_outputs(chip, &at, codes, sample);
        return codes;
    }
    const int32_t *signals = mg_signals(chip, chip->stored, sample);
    int32_t *codes = chip->signals[signals == chip->signals[0]]; /* the one that is free */
    for (uint32_t j = 0; j < chip->n_outputs; j++) codes[j] = mg_output_code(chip, signals[j]);
    return codes;
}

int64_t mg_measured_cost(mg_chip *chip, uint32_t sample, uint64_t step, uint32_t part, uint32_t row) {
    if (!chip->nonideal) return mg_sample_cost(chip, chip->stored, sample);
    mg_nonideal_come_to(chip, step);
    const mg_measurement at = {chip->nonideal->weights, step, part};
    return mg_noisy_cost(chip, &at, mg_settled(chip, &at, sample, row), sample, row);
}
