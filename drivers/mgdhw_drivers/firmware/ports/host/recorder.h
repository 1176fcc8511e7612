/* A simulated chip behind converters that record what they are set to: how the core moves a chip, as its port sees it. */
#ifndef MG_RECORDER_H
#define MG_RECORDER_H

#include <stdio.h>

#include "chip.h"

typedef struct mg_recorder {
    FILE *record; /* a line for each converter that was set: microseconds, parameter, code */
    mg_chip chip; /* what the converters drive */
    mg_hardware hardware;
} mg_recorder;

/* Take the memory, and begin a record, or go on with one. Ends the process if the file cannot be written. */
mg_status mg_recorder_init(mg_recorder *recorder, const char *file, const mg_spec *spec, mg_arena *arena);

#endif
