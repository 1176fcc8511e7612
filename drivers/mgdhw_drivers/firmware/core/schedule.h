/* Learning rates over time, from operations that IEEE 754 rounds exactly. */
#ifndef MG_SCHEDULE_H
#define MG_SCHEDULE_H

#include <stdint.h>

enum mg_schedule_name { MG_CONSTANT, MG_COSINE, MG_STEP, MG_INVERSE, MG_SCHEDULES };

typedef struct mg_schedule {
    double final, drop, every, tau;
    int32_t name;
} mg_schedule;

/* Factor on the learning rate at an update (from 0) of `updates` in all. */
double mg_rate(const mg_schedule *schedule, uint64_t update, uint64_t updates);

#endif
