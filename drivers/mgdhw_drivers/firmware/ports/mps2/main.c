/* A bare-metal Cortex-M3: Arm MPS2 with the AN385 image, as QEMU emulates it, with the link on UART 0.
 * Registers: Arm, "Cortex-M System Design Kit technical reference manual" (DDI 0479), chapter 4. */
#include "board.h"
#include "chip_options.h"

#define REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))

#define TIMER_CTRL REGISTER(0x40000000u)
#define TIMER_VALUE REGISTER(0x40000004u)
#define TIMER_RELOAD REGISTER(0x40000008u)
#define UART_DATA REGISTER(0x40004000u)
#define UART_STATE REGISTER(0x40004004u) /* bit 0: nothing more can be sent; bit 1: a byte was received */
#define UART_CTRL REGISTER(0x40004008u)
#define UART_INTERRUPT REGISTER(0x4000400Cu)
#define UART_BAUDDIV REGISTER(0x40004010u)
#define DOG_LOAD REGISTER(0x40008000u)
#define DOG_CTRL REGISTER(0x40008008u)
#define DOG_CLEAR REGISTER(0x4000800Cu)
#define NVIC_ENABLE REGISTER(0xE000E100u)

#define CLOCK_MHZ 25u
#define BAUD 115200u
#define WATCHDOG_S 2u /* of the watchdog */

#define RING 4096u /* bytes that wait; room for the window's frames */

static struct {
    volatile uint8_t byte[RING];
    volatile uint32_t in, out; /* counted modulo 2^32 */
} ring;

void uart_received(void);

void uart_received(void) {
    UART_INTERRUPT = 2u; /* first: a byte that comes while the loop ends asks again */
    while (UART_STATE & 2u) {
        uint8_t byte = (uint8_t)UART_DATA;
        if (ring.in - ring.out < RING) ring.byte[ring.in++ % RING] = byte; /* what overflows the host sends again */
    }
}

static int32_t read_uart(void *self, uint8_t *to, uint32_t room) {
    uint32_t count = 0;
    (void)self;
    while (count < room && ring.out != ring.in) to[count++] = ring.byte[ring.out++ % RING];
    return (int32_t)count;
}

static void write_uart(void *self, const uint8_t *bytes, uint32_t count) {
    (void)self;
    for (uint32_t i = 0; i < count; i++) {
        while (UART_STATE & 1u) {
        }
        UART_DATA = bytes[i];
    }
}

/* Ticks of the timer, which counts down and wraps every 171 s; it is asked far more often. */
static uint64_t ticks(void) {
    static uint32_t last;
    static uint64_t total;
    uint32_t now = 0u - TIMER_VALUE;
    total += now - last;
    last = now;
    return total;
}

static uint64_t microseconds(void *self) {
    (void)self;
    return ticks() / CLOCK_MHZ;
}

static void reset_watchdog(void *self) {
    (void)self;
    DOG_CLEAR = 1u;
}

static void start_peripherals(void) {
    TIMER_RELOAD = UINT32_MAX;
    TIMER_VALUE = UINT32_MAX;
    TIMER_CTRL = 1u;
    UART_BAUDDIV = CLOCK_MHZ * 1000000u / BAUD;
    UART_CTRL = 1u | 2u | 8u; /* send, receive, interrupt for what is received */
    NVIC_ENABLE = 1u;
    DOG_LOAD = WATCHDOG_S * CLOCK_MHZ * 1000000u;
    DOG_CTRL = 1u | 2u;
}

int main(void) {
    static const mg_spec spec = MG_SPEC;
    static const mg_config config = {.max_payload = MG_MAX_PAYLOAD,
                                     .window = 3,
                                     .samples_room = 64,
                                     .etas_room = 64,
                                     .most_samples = MG_MOST_SAMPLES,
                                     .learns = 1,
                                     .limits = MG_LIMITS,
                                     .model = "Cortex-M3 (mps2-an385)"};
    static const mg_hal hal = {NULL, read_uart, write_uart, microseconds, reset_watchdog};
    static uint8_t memory[MG_MEMORY] __attribute__((aligned(8)));
    static mg_board board;
    mg_arena arena = {memory, sizeof memory, 0};
    start_peripherals();
    if (mg_board_init(&board, &config, &spec, NULL, &hal, &arena) != MG_OK) return 1;
    for (;;) {
        /* When the first byte comes is chance enough to tell one start from another. */
        if (board.config.boot == 0 && ring.in != 0) board.config.boot = (uint32_t)ticks() | 1u;
        mg_board_poll(&board);
    }
}
