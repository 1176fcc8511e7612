#include "snapshot.h"

#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "arrays are little-endian numbers as they lie in memory"
#endif

#define PIECES 5

/* An array by its name, and where its numbers are. */
typedef struct array {
    const char *name, *kind;
    uint32_t count, width;
    void *numbers;
} array;

static void arrays_of(const mg_chip *chip, array to[PIECES]) {
    mg_nonideal *own = chip->nonideal;
    uint32_t p = chip->n_parameters;
    const array all[PIECES] = {{"requested", "<i4", p, 4, own->requested},
                               {"value", "<i4", p, 4, own->value},
                               {"born", "<i8", p, 8, own->written_tick},
                               {"wear", "<i8", p, 8, own->wear},
                               {"written", "<i8", 1, 8, &own->written}};
    memcpy(to, all, sizeof all);
}

/* Sizes, name and kind, and their length. */
static uint32_t put_head(const array *of, uint8_t *to) {
    uint32_t name = (uint32_t)strlen(of->name), kind = (uint32_t)strlen(of->kind);
    const uint8_t sizes[4] = {(uint8_t)name, (uint8_t)kind, 1, 0};
    memcpy(to, sizes, 4);
    memcpy(to + 4, &of->count, 4);
    memcpy(to + 8, of->name, name);
    memcpy(to + 8 + name, of->kind, kind);
    return 8 + name + kind;
}

uint32_t mg_cells_size(const mg_chip *chip) {
    array all[PIECES];
    uint8_t head[32];
    uint32_t size = 0;
    arrays_of(chip, all);
    for (int i = 0; i < PIECES; i++) size += put_head(&all[i], head) + all[i].count * all[i].width;
    return size;
}

void mg_cells_pack(const mg_chip *chip, uint8_t *to) {
    array all[PIECES];
    arrays_of(chip, all);
    for (int i = 0; i < PIECES; i++) {
        to += put_head(&all[i], to);
        memcpy(to, all[i].numbers, all[i].count * all[i].width);
        to += all[i].count * all[i].width;
    }
}

/* Whether codes and values are ones that a cell can have. */
static int is_sound(const mg_chip *chip, const uint8_t *requested, const uint8_t *value) {
    int32_t limit = chip->nonideal->limit;
    for (uint32_t i = 0; i < chip->n_parameters; i++) {
        int32_t code, held;
        memcpy(&code, requested + 4 * (size_t)i, 4);
        memcpy(&held, value + 4 * (size_t)i, 4);
        if (code != MG_NEVER && (code < chip->code_lo || code > chip->code_hi)) return 0;
        if (held < -limit || held > limit) return 0;
    }
    return 1;
}

int mg_cells_unpack(mg_chip *chip, const uint8_t *from, uint32_t size) {
    array all[PIECES];
    uint8_t head[32];
    const uint8_t *numbers[PIECES];
    if (size != mg_cells_size(chip)) return 0;
    arrays_of(chip, all);
    for (int i = 0; i < PIECES; i++) {
        uint32_t length = put_head(&all[i], head);
        if (memcmp(from, head, length) != 0) return 0;
        numbers[i] = from + length;
        from = numbers[i] + all[i].count * all[i].width;
    }
    if (!is_sound(chip, numbers[0], numbers[1])) return 0;
    for (int i = 0; i < PIECES; i++) memcpy(all[i].numbers, numbers[i], all[i].count * all[i].width);
    chip->nonideal->is_fresh = 0;
    mg_cells_are_held(chip);
    return 1;
}
