/* Frames of the link: header, payload and checksum, stuffed by COBS and ended by a zero. See docs/link.md. */
#ifndef MG_FRAME_H
#define MG_FRAME_H

#include <stddef.h>
#include <stdint.h>

#define MG_VERSION 1
#define MG_HEADER 8
#define MG_OVERHEAD 12 /* header and checksum */

/* Bytes of a buffer for a frame as it goes over the wire. */
#define MG_STUFFED(payload) ((payload) + MG_OVERHEAD + ((payload) + MG_OVERHEAD) / 254 + 2)

typedef struct mg_frame {
    uint8_t version, type;
    uint32_t sequence;
    const uint8_t *payload;
    uint32_t size; /* of the payload */
} mg_frame;

/* Unstuffs a stream byte by byte; keeps one frame, whatever arrives. */
typedef struct mg_reader {
    uint8_t *raw; /* room for MG_OVERHEAD + max_payload bytes */
    uint32_t room, count;
    uint32_t run;      /* bytes of the run that are still to come */
    uint8_t code;      /* of the run; 0 before the first */
    uint8_t broken;    /* this frame is too long */
    uint32_t frames, bad_crc, bad_frames;
} mg_reader;

void mg_reader_init(mg_reader *reader, uint8_t *raw, uint32_t max_payload);

/* Forget what is half there. */
void mg_reader_reset(mg_reader *reader);

/* Take in a byte. Answers 1 if it ends a good frame, which is valid until the next byte. */
int mg_reader_feed(mg_reader *reader, uint8_t byte, mg_frame *frame);

/* Stuff a frame whose payload lies at raw + MG_HEADER, with MG_OVERHEAD bytes around it, into `stuffed`, which has
 * MG_STUFFED(size) bytes of room. Answers how many bytes it has become. */
uint32_t mg_frame_write(uint8_t *stuffed, uint8_t *raw, uint32_t size, uint8_t type, uint32_t sequence);

#endif
