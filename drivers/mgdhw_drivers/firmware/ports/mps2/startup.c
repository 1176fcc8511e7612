/* From reset to main: the vector table, initialised and zeroed memory. */
#include <stdint.h>
#include <string.h>

extern uint8_t stack_top[], data_load[], data_start[], data_end[], bss_start[], bss_end[];

int main(void);
void uart_received(void);
void reset(void);
void stop(void);

void reset(void) {
    memcpy(data_start, data_load, (size_t)(data_end - data_start));
    memset(bss_start, 0, (size_t)(bss_end - bss_start));
    main();
    stop();
}

/* A fault ends here; the watchdog resets the board, which comes up in its safe state. */
void stop(void) {
    for (;;) {
    }
}

typedef void (*vector)(void);

__attribute__((section(".vectors"), used)) static const vector vectors[17] = {
    (vector)(uintptr_t)stack_top, reset, stop, stop, stop, stop, stop, 0, 0, 0, 0, stop, stop, 0, stop, stop,
    uart_received /* interrupt 0: UART 0 has received a byte */
};
