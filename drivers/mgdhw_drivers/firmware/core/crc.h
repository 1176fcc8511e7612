/* CRC-32 of IEEE 802.3, as zlib computes it. */
#ifndef MG_CRC_H
#define MG_CRC_H

#include <stddef.h>
#include <stdint.h>

/* The checksum of what came before (0 of nothing) and of these bytes. */
uint32_t mg_crc_more(uint32_t crc, const void *bytes, size_t count);

static inline uint32_t mg_crc(const void *bytes, size_t count) { return mg_crc_more(0, bytes, count); }

#endif
