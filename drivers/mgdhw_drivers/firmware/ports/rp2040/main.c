/* Skeleton of a board with a real chip: Raspberry Pi Pico (RP2040), a DAC for each parameter and input on one SPI bus,
 * an ADC for the outputs, the link on USB. Needs the Pico SDK (CMakeLists.txt beside this file); docs/firmware.md says
 * how it is wired and what to change. */
#include "board.h"
#include "chip_options.h"
#include "hardware/gpio.h"
#include "hardware/spi.h"
#include "hardware/watchdog.h"
#include "pico/stdio.h"
#include "pico/time.h"
#include "tusb.h"

#define BUS spi0
#define BUS_HZ 10000000
#define PIN_SCK 18
#define PIN_TX 19
#define PIN_RX 16
#define PIN_PARAMETERS 17 /* chip select of the parameters' DACs (a daisy chain of 16-bit DACs) */
#define PIN_INPUTS 20     /* of the inputs' */
#define PIN_OUTPUTS 21    /* of the outputs' ADC */
#define SETTLING_US 10    /* of the chip, after its inputs have changed */
#define WATCHDOG_MS 2000

/* One word to a converter: its channel and its code. Change this to what your converters want. */
static uint16_t transfer(unsigned select, uint8_t channel, uint16_t word) {
    uint8_t out[3] = {channel, (uint8_t)(word >> 8), (uint8_t)word}, in[3];
    gpio_put(select, 0);
    spi_write_read_blocking(BUS, out, in, sizeof out);
    gpio_put(select, 1);
    return (uint16_t)(in[1] << 8 | in[2]);
}

/* Parameters are two's complement codes; the DACs count from 0. */
static void set_parameter(void *self, uint32_t i, int32_t code) {
    (void)self;
    transfer(PIN_PARAMETERS, (uint8_t)i, (uint16_t)(code + (1 << (MG_WEIGHT_BITS - 1))));
}

static void apply_input(void *self, uint32_t i, int32_t code) {
    (void)self;
    transfer(PIN_INPUTS, (uint8_t)i, (uint16_t)code);
}

static void trigger(void *self) {
    (void)self;
    busy_wait_us(SETTLING_US);
}

static int32_t read_output(void *self, uint32_t j) {
    (void)self;
    return transfer(PIN_OUTPUTS, (uint8_t)j, 0);
}

static int32_t read_usb(void *self, uint8_t *to, uint32_t room) {
    (void)self;
    if (!tud_cdc_connected()) return -1; /* unplugged, or nobody has the port open: the safe state */
    uint32_t count = 0;
    for (int c; count < room && (c = getchar_timeout_us(0)) >= 0;) to[count++] = (uint8_t)c;
    return (int32_t)count;
}

static void write_usb(void *self, const uint8_t *bytes, uint32_t count) {
    (void)self;
    for (uint32_t i = 0; i < count; i++) putchar_raw(bytes[i]);
    stdio_flush();
}

static uint64_t microseconds(void *self) {
    (void)self;
    return time_us_64();
}

static void reset_watchdog(void *self) {
    (void)self;
    watchdog_update();
}

static void start_pins(void) {
    const unsigned selects[] = {PIN_PARAMETERS, PIN_INPUTS, PIN_OUTPUTS};
    spi_init(BUS, BUS_HZ);
    gpio_set_function(PIN_SCK, GPIO_FUNC_SPI);
    gpio_set_function(PIN_TX, GPIO_FUNC_SPI);
    gpio_set_function(PIN_RX, GPIO_FUNC_SPI);
    for (unsigned i = 0; i < 3; i++) {
        gpio_init(selects[i]);
        gpio_put(selects[i], 1);
        gpio_set_dir(selects[i], GPIO_OUT);
    }
}

int main(void) {
    static const mg_spec spec = MG_SPEC;
    static const mg_hardware hardware = {NULL, set_parameter, apply_input, trigger, read_output};
    static const mg_hal hal = {NULL, read_usb, write_usb, microseconds, reset_watchdog};
    static uint8_t memory[MG_MEMORY] __attribute__((aligned(8)));
    static mg_board board;
    mg_arena arena = {memory, sizeof memory, 0};
    stdio_init_all();
    start_pins();
    mg_config config = {.max_payload = MG_MAX_PAYLOAD,
                        .window = 1,
                        .samples_room = 64,
                        .etas_room = 64,
                        .most_samples = MG_MOST_SAMPLES,
                        .learns = 1,
                        .limits = MG_LIMITS,
                        .crashed = watchdog_caused_reboot(),
                        .model = "Raspberry Pi Pico"};
    if (mg_board_init(&board, &config, &spec, &hardware, &hal, &arena) != MG_OK) return 1;
    watchdog_enable(WATCHDOG_MS, true);
    for (int opened = 0;; ) {
        /* When the first host opens the port is chance enough to tell one start from another. */
        if (!opened && tud_cdc_connected()) {
            board.config.boot = (uint32_t)time_us_64() | 1u;
            opened = 1;
        }
        mg_board_poll(&board);
    }
}
