/* What the cells remember, as the bytes of area CELLS: docs/link.md, "SNAPSHOT, RESTORE". */
#ifndef MG_SNAPSHOT_H
#define MG_SNAPSHOT_H

#include "nonideal.h"

/* Bytes of it. */
uint32_t mg_cells_size(const mg_chip *chip);

/* Into mg_cells_size(chip) bytes. */
void mg_cells_pack(const mg_chip *chip, uint8_t *to);

/* Back from there. Answers 0, and changes nothing, if it is not what this chip's cells can remember. */
int mg_cells_unpack(mg_chip *chip, const uint8_t *from, uint32_t size);

#endif
