/* What can go wrong, as the core's functions answer it. */
#ifndef MG_STATUS_H
#define MG_STATUS_H

typedef enum mg_status {
    MG_OK = 0,
    MG_BAD_CHIP = 1,    /* no chip has such sizes or widths, or its sums would overflow */
    MG_NO_MEMORY = 2,   /* the port's memory is too small for it */
    MG_BAD_BLOCK = 3,   /* no such codes, order or baseline */
    MG_OUT_OF_RANGE = 4, /* a parameter, or a perturbed one, would leave its limits; nothing was applied */
    MG_NO_SAMPLE = 5,   /* a sample that was not loaded */
    MG_BAD_RULE = 6,  /* no such optimizer, schedule or update period */
    MG_BAD_LIMITS = 7,  /* nothing could move within them */
} mg_status;

#endif
