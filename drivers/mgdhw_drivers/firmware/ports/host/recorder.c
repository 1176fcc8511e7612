#include "recorder.h"

#include <stdlib.h>

#include "datapath.h"
#include "line.h"

static void set_parameter(void *self, uint32_t i, int32_t code) {
    mg_recorder *recorder = self;
    recorder->chip.stored[i] = (int16_t)code;
    if (fprintf(recorder->record, "%llu %u %d\n", (unsigned long long)mg_microseconds(NULL), i, code) < 0 ||
        fflush(recorder->record) != 0)
        perror("record");
}

static void apply_input(void *self, uint32_t i, int32_t code) {
    mg_recorder *recorder = self;
    mg_chip_set_input(&recorder->chip, 0, i, code);
}

static void trigger(void *self) { (void)self; } /* outputs are computed when they are read */

static int32_t read_output(void *self, uint32_t j) {
    mg_recorder *recorder = self;
    const int32_t *signals = mg_signals(&recorder->chip, recorder->chip.stored, 0);
    return mg_output_code(&recorder->chip, signals[j]);
}

mg_status mg_recorder_init(mg_recorder *recorder, const char *file, const mg_spec *spec, mg_arena *arena) {
    mg_hardware hardware = {recorder, set_parameter, apply_input, trigger, read_output};
    mg_spec ideal = *spec;
    ideal.nonidealities = NULL;
    recorder->record = fopen(file, "a");
    if (recorder->record == NULL) {
        perror(file);
        exit(1);
    }
    mg_status status = mg_chip_init(&recorder->chip, &ideal, NULL, arena);
    if (status != MG_OK) return status;
    mg_chip_take_samples(&recorder->chip, arena, 1);
    mg_chip_loaded(&recorder->chip, 1);
    recorder->hardware = hardware;
    return recorder->chip.capacity == 1 ? MG_OK : MG_NO_MEMORY;
}
