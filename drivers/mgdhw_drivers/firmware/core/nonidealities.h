/* What is nonideal about a chip: strengths, in the units of docs/chip.md, "Non-idealities". */
#ifndef MG_NONIDEALITIES_H
#define MG_NONIDEALITIES_H

#include <stdint.h>

#define MG_MOST_NONIDEALITIES 56

typedef struct mg_nonidealities {
    uint64_t seed; /* which chip of its kind it is */
    double strength[MG_MOST_NONIDEALITIES]; /* 0 is none of it, but for periods, which are 1 or more */
} mg_nonidealities;

/* All off. */
void mg_nonidealities_clear(mg_nonidealities *given);

/* How many there are, the name of one, and the number of a name: -1 if there is none. */
int mg_nonidealities_count(void);
const char *mg_nonideality_name(int number);
int mg_nonideality_of(const char *name);

/* The strength of one, by its name: for what is computed once, when a chip is made. */
double mg_strength(const mg_nonidealities *given, const char *name);

/* Whether any differs from what it is on an ideal chip. */
int mg_is_nonideal(const mg_nonidealities *given);

/* Whether each is within its range, and they make sense together. */
int mg_nonidealities_are_sound(const mg_nonidealities *given);

/* Whether a perturbed parameter that is written is as good as one that is added: none of them is of cells. */
int mg_nonidealities_write_exactly(const mg_nonidealities *given);

#endif
