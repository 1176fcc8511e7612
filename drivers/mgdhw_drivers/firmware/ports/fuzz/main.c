/* A fuzz target (libFuzzer): bytes from the line, into a board that simulates a small chip.
 *
 * The first byte of an input says how the rest is meant: as bytes of the line, or as requests without their frames
 * (type, size, payload), which are framed here so that what lies behind the checksum is reached. A clock that goes on
 * with each look at it lets the dead-man and the slices of what runs take their turns. It also says how parameters may
 * move, and whether the chip is one that is only recorded: then no step may be larger or come sooner. */
#include <stdio.h>
#include <stdlib.h>

#include "board.h"
#include "crc.h"
#include "motion.h"
#include "wire.h"

#define MEMORY 24576
#define MOST_PARAMETERS 17
#define TURNS 8 /* slices that whatever runs gets after a request */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t now, received;

static void report(void) { fprintf(stderr, "%llu bytes received\n", (unsigned long long)received); }

static int32_t read_nothing(void *self, uint8_t *to, uint32_t room) {
    (void)self, (void)to, (void)room;
    return 0;
}

static void write_nowhere(void *self, const uint8_t *bytes, uint32_t count) {
    (void)self;
    if (count == 0 || bytes[count - 1] != 0 || memchr(bytes, 0, count - 1) != NULL) abort(); /* no frame */
}

static uint64_t microseconds(void *self) {
    (void)self;
    return now += 200;
}

static void watchdog(void *self) { (void)self; }

static void turn(mg_board *board) {
    for (int i = 0; i < TURNS; i++) mg_board_poll(board);
}

/* A chip that sees how it is moved. */
static struct {
    int32_t code[MOST_PARAMETERS];
    uint64_t time[MOST_PARAMETERS]; /* 0: it has not moved yet */
    int32_t slew;
    uint64_t interval;
} recorder;

static void set_parameter(void *self, uint32_t i, int32_t code) {
    int32_t change = code - recorder.code[i];
    (void)self;
    if (i >= MOST_PARAMETERS) abort();
    if (recorder.slew > 0 && (change > recorder.slew || change < -recorder.slew)) abort();
    if (recorder.time[i] > 0 && now - recorder.time[i] < recorder.interval) abort();
    recorder.code[i] = code;
    recorder.time[i] = now;
}

static void apply_input(void *self, uint32_t i, int32_t code) { (void)self, (void)i, (void)code; }

static void trigger(void *self) { (void)self; }

static int32_t read_output(void *self, uint32_t j) {
    (void)self;
    return recorder.code[j] & 7;
}

/* At the end of an input: to the safe state, if that isn't far. */
static void make_safe(mg_board *board) {
    mg_board_make_safe(board, MG_ASKED);
    for (int i = 0; i < 64 && mg_board_rest(board);) i++;
    if (mg_board_rest(board)) return;
    for (uint32_t i = 0; i < MOST_PARAMETERS; i++)
        if (recorder.code[i] != 0) abort();
}

/* Put in the checksums that a request depends on, where it says so: a fuzzer doesn't guess 32 bits. */
static void make_depend(mg_board *board, uint8_t type, uint8_t *payload, uint32_t size) {
    const mg_area *area = board->area;
    if (type == MG_SET && size == 16) mg_put32(payload + 8, mg_crc(area[MG_AREA_REQUESTED].bytes, area[MG_AREA_REQUESTED].size));
    if (type == MG_LOAD && size == 24) {
        uint32_t n = mg_get32(payload) % (board->chip.capacity + 1), crc;
        mg_put32(payload, n);
        crc = mg_crc(area[MG_AREA_INPUTS].bytes, n * board->chip.n_inputs * board->chip.input_bytes);
        crc = mg_crc_more(crc, area[MG_AREA_TARGETS].bytes, n * board->chip.n_outputs * 2);
        mg_put32(payload + 20, mg_crc_more(crc, payload, 20));
    }
    if ((type == MG_PROBE && size == 80) || (type == MG_LEARN && size == 240)) {
        uint32_t batch = mg_get32(payload + 56); /* the largest that are allowed take seconds with sanitizers */
        if (batch <= MG_MAX_BATCH) mg_put32(payload + 56, batch % 64);
        mg_put32(payload + 64, board->theta_crc);
        mg_put32(payload + 68, board->dataset_crc);
    }
    if (type == MG_LEARN && size == 240) {
        uint32_t etas = mg_get32(payload + 224) % (board->config.etas_room + 1);
        mg_put32(payload + 212, mg_crc_of_state(board, payload[232], payload[233]));
        mg_put32(payload + 224, etas);
        mg_put32(payload + 228, mg_crc(area[MG_AREA_ETA].bytes, etas * sizeof(double)));
        mg_put32(payload + 236, 0);
    }
    uint32_t at = type == MG_MEASURE && size == 32 ? 12 : type == MG_INFER && size == 24 ? 8 : UINT32_MAX;
    if (at == UINT32_MAX) return;
    uint32_t count = mg_get32(payload + at) % (board->config.samples_room + 1);
    mg_put32(payload + at, count);
    mg_put32(payload + at + 4, mg_crc(area[MG_AREA_SAMPLES].bytes, count * sizeof(uint32_t)));
    mg_put32(payload + at + 8, board->theta_crc);
    mg_put32(payload + at + 12, board->dataset_crc);
}

static void send_request(mg_board *board, uint8_t type, const uint8_t *payload, uint32_t size, uint32_t sequence) {
    uint8_t raw[256 + MG_OVERHEAD], stuffed[MG_STUFFED(256)];
    if (size > 0) memcpy(raw + MG_HEADER, payload, size);
    make_depend(board, type, raw + MG_HEADER, size);
    mg_board_receive(board, stuffed, mg_frame_write(stuffed, raw, size, type, sequence));
    turn(board);
}

static void make_ready(mg_board *board) {
    const uint8_t identify[12] = {7, 0, 0, 0, 100, 0, 0, 0, 0, 1, 1, 0}; /* session 7, 100 ms, payloads of 256 */
    uint8_t load[24] = {4, 0, 0, 0, 4}, set[16] = {0};
    send_request(board, MG_IDENTIFY, identify, sizeof identify, 1);
    send_request(board, MG_LOAD, load, sizeof load, 2);
    send_request(board, MG_SET, set, sizeof set, 3);
}

/* Bytes of a request's payload: what it must be, for the most part, or anything. */
static size_t length_of(uint8_t type, uint8_t said) {
    static const uint8_t right[] = {0, 12, 0, 0, 0, 12, 0, 24, 16, 32, 16, 80, 240, 0, 8};
    return said & 0x80 && type < sizeof right && type != MG_WRITE ? right[type] : said;
}

/* A board that is ready, made once and copied for each input: making its tables takes longer than most inputs. */
typedef struct fresh {
    mg_board board;
    uint64_t memory[MEMORY / 8], before[MEMORY / 8];
} fresh;

static void make_fresh(fresh *of, const mg_spec *spec, const mg_hardware *hardware) {
    static const mg_config config = {256, 2, 8, 4, 8, 1, 1, 0, {0, 0, 0}, "fuzz"};
    static const mg_hal hal = {NULL, read_nothing, write_nowhere, microseconds, watchdog};
    mg_arena arena = {(uint8_t *)of->memory, MEMORY, 0};
    if (mg_board_init(&of->board, &config, spec, hardware, &hal, &arena) != MG_OK) abort();
    make_ready(&of->board);
    memcpy(of->before, of->memory, MEMORY);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const mg_spec specs[2] = {
        {3, {2, 3, 2}, MG_TANH, MG_LOGISTIC, 8, 3, 8, 0, 16, 3, 4, 8, MG_MSE, 12, 0, NULL},
        {3, {3, 2, 2}, MG_RELU, MG_IDENTITY, 16, 2, 9, 1, 24, 3, 4, 12, MG_XENT, 20, 3, NULL},
    };
    static const mg_hardware hardware = {NULL, set_parameter, apply_input, trigger, read_output};
    static fresh made[4];
    static mg_board board;
    if (made[0].board.hal == NULL) {
        for (int i = 0; i < 4; i++) make_fresh(&made[i], &specs[i & 1], i & 2 ? &hardware : NULL);
        atexit(report);
    }
    received += size;
    if (size < 2) return 0;
    fresh *used = &made[data[0] >> 1 & 3];
    const mg_limits limits = {data[1], 0, (data[0] >> 3) * 100u};
    memcpy(used->memory, used->before, MEMORY);
    board = used->board;
    now = board.last_heard;
    memset(&recorder, 0, sizeof recorder);
    recorder.slew = data[1];
    recorder.interval = limits.slew_interval_us;
    if (mg_motion_init(&board.chip, &limits, board.hal) != MG_OK) abort();
    if (data[0] & 1) {
        mg_board_receive(&board, data + 2, (uint32_t)size - 2);
        turn(&board);
        make_safe(&board);
        return 0;
    }
    uint32_t sequence = 4;
    for (size_t at = 2; at + 2 <= size;) {
        size_t left = size - at - 2, length = length_of(data[at], data[at + 1]);
        uint8_t payload[256] = {0};
        memcpy(payload, data + at + 2, length < left ? length : left);
        send_request(&board, data[at], payload, (uint32_t)length, sequence++);
        at += 2 + (length < left ? length : left);
    }
    make_safe(&board);
    return 0;
}
