/* The one block of memory that a port gives the core. It is cut into pieces at the start and never again. */
#ifndef MG_ARENA_H
#define MG_ARENA_H

#include <stddef.h>
#include <stdint.h>

typedef struct mg_arena {
    uint8_t *start; /* aligned to 8 bytes */
    size_t size;
    size_t used;
} mg_arena;

/* count * size bytes, zeroed and aligned to 8; NULL if there is no room. */
void *mg_take(mg_arena *arena, size_t count, size_t size);

static inline size_t mg_left(const mg_arena *arena) { return arena->size - arena->used; }

#endif
