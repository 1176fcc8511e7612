#include "arena.h"

#include <string.h>

void *mg_take(mg_arena *arena, size_t count, size_t size) {
    size_t left = mg_left(arena);
    if (size > 0 && count > left / size) return NULL;
    size_t bytes = count * size;
    size_t padded = (bytes + 7u) & ~(size_t)7u;
    if (padded < bytes || padded > left) return NULL;
    uint8_t *piece = arena->start + arena->used;
    arena->used += padded;
    memset(piece, 0, padded);
    return piece;
}
