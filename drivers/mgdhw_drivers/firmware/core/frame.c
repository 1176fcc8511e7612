#include "frame.h"

#include "crc.h"
#include "wire.h"

void mg_reader_reset(mg_reader *reader) {
    reader->count = reader->run = 0;
    reader->code = reader->broken = 0;
}

void mg_reader_init(mg_reader *reader, uint8_t *raw, uint32_t max_payload) {
    memset(reader, 0, sizeof *reader);
    reader->raw = raw;
    reader->room = max_payload + MG_OVERHEAD;
}

static void keep(mg_reader *reader, uint8_t byte) {
    if (reader->count < reader->room)
        reader->raw[reader->count++] = byte;
    else
        reader->broken = 1;
}

static int finish(mg_reader *reader, mg_frame *frame) {
    uint32_t count = reader->count;
    if (reader->code == 0) return 0; /* empty */
    if (reader->broken || reader->run > 0 || count < MG_OVERHEAD) {
        reader->bad_frames++;
        return 0;
    }
    if (mg_crc(reader->raw, count - 4) != mg_get32(reader->raw + count - 4)) {
        reader->bad_crc++;
        return 0;
    }
    reader->frames++;
    frame->version = reader->raw[0];
    frame->type = reader->raw[1];
    frame->sequence = mg_get32(reader->raw + 4);
    frame->payload = reader->raw + MG_HEADER;
    frame->size = count - MG_OVERHEAD;
    return 1;
}

int mg_reader_feed(mg_reader *reader, uint8_t byte, mg_frame *frame) {
    if (byte == 0) {
        int good = finish(reader, frame);
        mg_reader_reset(reader);
        return good;
    }
    if (reader->run > 0) {
        keep(reader, byte);
        reader->run--;
        return 0;
    }
    if (reader->code != 0 && reader->code != 0xFF) keep(reader, 0); /* the zero that the last run stands for */
    reader->code = byte;
    reader->run = byte - 1u;
    return 0;
}

uint32_t mg_frame_write(uint8_t *stuffed, uint8_t *raw, uint32_t size, uint8_t type, uint32_t sequence) {
    raw[0] = MG_VERSION;
    raw[1] = type;
    mg_put16(raw + 2, 0);
    mg_put32(raw + 4, sequence);
    mg_put32(raw + MG_HEADER + size, mg_crc(raw, MG_HEADER + size));
    uint32_t count = size + MG_OVERHEAD, code_at = 0, out = 1;
    for (uint32_t i = 0; i < count; i++) {
        if (raw[i] != 0) stuffed[out++] = raw[i];
        if (raw[i] == 0 || out - code_at == 0xFF) {
            stuffed[code_at] = (uint8_t)(out - code_at);
            code_at = out++;
        }
    }
    stuffed[code_at] = (uint8_t)(out - code_at);
    stuffed[out++] = 0;
    return out;
}
