/* A board's end of the link: requests in, answers out, and the safe state. docs/link.md defines what it does. */
#ifndef MG_BOARD_H
#define MG_BOARD_H

#include "frame.h"
#include "learn.h"

#define MG_AREAS 16
#define MG_DESCRIPTION_ROOM 512 /* bytes: 168, sizes of 17 layers, and texts */
#define MG_SLICE_US 1000        /* how long probes run before the line is looked at again */
#define MG_LEARN_BYTES 120      /* of the answer to LEARN */
#define MG_SMALLEST_PAYLOAD 256 /* that everybody takes */

enum mg_board_state { MG_SAFE, MG_READY };

enum mg_reason { MG_STARTED, MG_ASKED, MG_DEAD_MAN, MG_LINK_LOST, MG_CRASHED, MG_FAULTED, MG_LIMITED };

/* What a port decides. */
typedef struct mg_config {
    uint32_t max_payload;  /* 256 ... 65,535, both ways */
    uint32_t window;       /* frames that the port's own buffers hold */
    uint32_t samples_room; /* indices in area SAMPLES */
    uint32_t etas_room;    /* learning rates in area ETA */
    uint32_t most_samples; /* of the dataset; as many as fit if that is fewer */
    uint32_t boot;         /* another one at each start */
    int32_t learns;        /* whether there shall be memory for LEARN, and for its continuous mode */
    int32_t crashed;       /* whether the start follows a crash or a watchdog's bite */
    mg_limits limits;
    const char *model; /* for people, at most 64 bytes */
} mg_config;

typedef struct mg_area {
    uint8_t *bytes;
    uint32_t size;
    uint8_t readable, writable;
} mg_area;

/* Numbers on their way to the host, gathered to frames. */
typedef struct mg_values {
    uint32_t sequence;
    uint32_t first, count; /* of the frame that is being filled */
    uint8_t type, kind, width;
    uint8_t *bytes; /* of their own: other answers may be sent while they are gathered */
    uint32_t room;  /* of the frame, at most the port's */
} mg_values;

/* What runs. */
typedef struct mg_operation {
    uint8_t type; /* 0: nothing */
    uint32_t sequence;
    uint64_t step, left; /* next probe and how many; of INFER the step at which it is, and how many samples */
    uint32_t sample;     /* of INFER: the next */
    uint32_t ticket;
    const int16_t *codes; /* (P,) that a SET moves to */
} mg_operation;

/* A request that is answered when the hardware is safe. */
typedef struct mg_waiting {
    int32_t waits;
    uint32_t sequence;
    uint8_t payload[12]; /* of IDENTIFY */
} mg_waiting;

typedef struct mg_board {
    const mg_hal *hal;
    mg_config config;
    mg_chip chip;
    mg_reader reader;
    mg_area area[MG_AREAS];
    int16_t *code; /* (P,) work space */
    int16_t *sine;
    mg_state state;
    int32_t learns;

    uint8_t *raw, *stuffed; /* an outgoing frame, before and after stuffing */
    uint32_t host_payload;

    uint8_t mode, reason; /* enum mg_board_state, enum mg_reason */
    int32_t resting;      /* it is on its way to the safe state, and says that it is in it */
    mg_waiting safe, identify;
    uint32_t session, dead_man_ms, last_operation;
    uint64_t last_heard, started; /* microseconds */
    uint32_t theta_crc, dataset_crc, state_crc;
    uint32_t description_crc;

    mg_operation operation;
    mg_values values;
    union {
        mg_course course;
        mg_learner learner;
    } work;
    uint32_t ticket; /* of the stored answer, 0: none */
    uint8_t answer[MG_LEARN_BYTES];

    uint32_t frames_out, dead_man_trips;
    uint64_t evaluations, sets;
} mg_board;

/* Take the memory and go to the safe state. `hardware` is NULL where the core simulates the chip. */
mg_status mg_board_init(mg_board *board, const mg_config *config, const mg_spec *spec, const mg_hardware *hardware,
                        const mg_hal *hal, mg_arena *arena);

/* Look at the line and at the clock, and work a little. To be called for ever. Answers whether there is more to do at
 * once; if not, the port may sleep until something comes, at most a few milliseconds. */
int mg_board_poll(mg_board *board);

/* For bytes that came otherwise than by hal->read. */
void mg_board_receive(mg_board *board, const uint8_t *bytes, uint32_t count);

/* End what runs and take the hardware where it is safe: nothing else is done from now on. If that is a ramp,
 * mg_board_poll goes on with it. */
void mg_board_make_safe(mg_board *board, enum mg_reason reason);

/* Go on with that without looking at the line. Answers whether there is more to do. */
int mg_board_rest(mg_board *board);

/* The hardware reports an error: to the safe state, and a FAULT to the host. */
void mg_board_fault(mg_board *board, int32_t code, const char *text);

/* --- between the board's own files ------------------------------------------------------------------------------ */

enum mg_message {
    MG_IDENTIFY = 0x01,
    MG_PING,
    MG_GO_SAFE,
    MG_STATISTICS,
    MG_READ,
    MG_WRITE,
    MG_LOAD,
    MG_SET,
    MG_MEASURE,
    MG_INFER,
    MG_PROBE,
    MG_LEARN,
    MG_SNAPSHOT,
    MG_RESTORE,
    MG_FAULT = 0xFE,
    MG_ERROR = 0xFF
};

enum mg_code {
    MG_FINE,
    MG_UNKNOWN,
    MG_BAD,
    MG_MISMATCH,
    MG_LIMIT,
    MG_UNSUPPORTED,
    MG_IS_SAFE,
    MG_HARDWARE,
    MG_OTHER_VERSION
};

enum mg_thing { MG_PARAMETERS = 1, MG_DATASET, MG_SAMPLES, MG_STATE, MG_ETAS, MG_GUARD, MG_CELLS };

enum mg_area_number {
    MG_AREA_DESCRIPTION,
    MG_AREA_REQUESTED,
    MG_AREA_HELD,
    MG_AREA_SAMPLES,
    MG_AREA_INPUTS,
    MG_AREA_TARGETS,
    MG_AREA_ETA,
    MG_AREA_THETA,
    MG_AREA_SLOT1,
    MG_AREA_SLOT2,
    MG_AREA_CROSS,
    MG_AREA_ENERGY,
    MG_AREA_GRADIENT,
    MG_AREA_GUARD,
    MG_AREA_LIMITS,
    MG_AREA_CELLS
};

enum mg_learn_flag {
    MG_LEARN_CONTINUOUS = 1,
    MG_LEARN_ORIPOV = 2,
    MG_LEARN_STOCHASTIC = 4,
    MG_LEARN_WINDOW_EMPTY = 8,
    MG_LEARN_ANALOG_COST = 16,
    MG_LEARN_WEIGHTED = 32,
    MG_LEARN_ALL = 63
};

/* Where an answer's payload is made, and how it is sent. */
static inline uint8_t *mg_payload(mg_board *board) { return board->raw + MG_HEADER; }
void mg_send(mg_board *board, uint8_t type, uint32_t sequence, uint32_t size);
void mg_answer(mg_board *board, const mg_frame *request, uint32_t size);
void mg_refuse(mg_board *board, uint32_t sequence, enum mg_code code, int32_t value);
void mg_refuse_status(mg_board *board, uint32_t sequence, mg_status status);
uint32_t mg_put_trouble(mg_board *board, enum mg_code code, int32_t value, const char *text);

/* SAFE and IDENTIFY, which may have to wait for the end of the way to the safe state; who waits (a sequence number, 0:
 * nobody), and that nobody does any more. */
void mg_ask_for_safe(mg_board *board, const mg_frame *frame);
void mg_ask_who(mg_board *board, const mg_frame *frame);
uint32_t mg_who_waits(const mg_board *board);
void mg_forget_who_waits(mg_board *board);
void mg_identify(mg_board *board, uint32_t sequence, const uint8_t *request);

/* Milliseconds since the board was started. */
uint32_t mg_uptime_ms(const mg_board *board);

/* Describe the board into area DESCRIPTION. */
void mg_describe(mg_board *board);

/* Values that go out as they come, of at most so many bits (unsigned), or signed. */
void mg_values_begin(mg_board *board, uint8_t type, uint32_t sequence, uint64_t largest, int is_signed);
void mg_values_add(mg_board *board, int64_t value);
void mg_values_end(mg_board *board);

/* Requests that are operations; each answers at once or begins what runs. */
void mg_start_operation(mg_board *board, const mg_frame *frame);
void mg_start_learn(mg_board *board, const mg_frame *frame);

/* Run what runs until the clock says `until`. */
void mg_run_operation(mg_board *board, uint64_t until);
void mg_run_learn(mg_board *board, uint64_t until);

/* Give up what runs; nothing more is answered to it. Parameters stay where they are, without a perturbation; or, of
 * the second, with it. */
void mg_end_operation(mg_board *board);
void mg_forget_operation(mg_board *board);

/* Checksum of the state areas, as an optimizer and a mode have them. */
uint32_t mg_crc_of_state(const mg_board *board, int optimizer, int flags);

/* The (P,) codes that REQUESTED asks for; NULL if one is beyond the converters' range. */
const int16_t *mg_requested_codes(mg_board *board);

/* Of a chip that is nonideal: bring area HELD up to date; SNAPSHOT, RESTORE. */
void mg_refresh_held(mg_board *board);
void mg_snapshot(mg_board *board, const mg_frame *frame);
void mg_restore(mg_board *board, const mg_frame *frame);

/* One piece of dataset and one of parameters are what the request says; refuses it if not. */
int mg_depends(mg_board *board, const mg_frame *frame, uint32_t theta_crc, uint32_t dataset_crc);

#endif
