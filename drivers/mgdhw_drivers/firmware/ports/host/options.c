#include "options.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: mgdhw-host (--tcp PORT | --unix PATH | --pty) [OPTION=VALUE ...]\n"
    "\n"
    "A board that simulates a chip, on a TCP port of the loopback interface (0: a free one), on a Unix socket or on a\n"
    "pseudo-terminal. Prints its address, and serves one host after the other until it is ended. On TCP it is for\n"
    "hosts that know the secret, which it puts into a file of its user's; on a Unix socket for its user alone.\n"
    "\n"
    "The chip, as in a device address (defaults: analog-8bit):\n"
    "  layers=64-16-10 activation=logistic output_activation=logistic weight_bits=8 weight_range=4 input_bits=8\n"
    "  input_bipolar=0 signal_bits=16 signal_range=8 lut_bits=8 output_bits=8 cost=mse cost_bits=12 cost_range=1\n"
    "  seed=0 and the non-idealities, by their names in docs/chip.md: read_noise=0.05 stuck=0.01\n"
    "The board:\n"
    "  max_payload=16384 samples=70000 (room for the dataset) memory=256 (MiB) learn=1\n"
    "  max_slew=0 max_stress=0 (in codes) slew_interval=0 (ms); 0: no limit\n"
    "  record=FILE: drive an ideal chip through converters, and record how they are set (microseconds, parameter, code)\n"
    "\n"
    "example: mgdhw-host --tcp 5510 layers=2-2-1 activation=tanh\n";

static void fail(const char *what, const char *about) {
    fprintf(stderr, "mgdhw-host: %s: %s (see --help)\n", what, about);
    exit(2);
}

static int32_t integer(const char *option, const char *text, long lo, long hi) {
    char *end;
    long value = strtol(text, &end, 10);
    if (*end || end == text || value < lo || value > hi) fail("out of its range", option);
    return (int32_t)value;
}

static int32_t exponent(const char *option, const char *text) {
    char *end;
    double value = strtod(text, &end);
    int power = 0;
    if (*end || end == text || !(value > 0.0) || frexp(value, &power) != 0.5) fail("not a power of two", option);
    return power - 1;
}

static double any_number(const char *option, const char *text) {
    char *end;
    double value = strtod(text, &end);
    if (*end || end == text) fail("not a number", option);
    return value;
}

static uint64_t seed(const char *option, const char *text) {
    char *end;
    uint64_t value = strtoull(text, &end, 10);
    if (*end || end == text || *text == '-') fail("out of its range", option);
    return value;
}

static double number(const char *option, const char *text) {
    char *end;
    double value = strtod(text, &end);
    if (*end || end == text || !(value >= 0.0) || isinf(value)) fail("not a number from 0", option);
    return value;
}

static double slew(const char *option, const char *text) {
    double value = number(option, text);
    if (value > 0.0 && value < 1.0) fail("nothing could move: less than one code", option);
    return value;
}

/* From milliseconds, rounded up. */
static uint32_t tenths_of_ms(const char *option, const char *text) {
    double value = ceil(10.0 * number(option, text));
    if (value > 65535.0) fail("out of its range", option);
    return (uint32_t)value;
}

static int32_t one_of(const char *option, const char *text, const char *const *names, int32_t count) {
    for (int32_t i = 0; i < count; i++)
        if (strcmp(text, names[i]) == 0) return i;
    fail("no such choice", option);
    return 0;
}

static void layers(mg_spec *spec, const char *option, const char *text) {
    spec->n_sizes = 0;
    while (*text) {
        char *end;
        long size = strtol(text, &end, 10);
        if (end == text || (*end && *end != '-') || size < 1 || size > 65536 || spec->n_sizes == MG_MAX_SIZES)
            fail("expected sizes such as 64-16-10", option);
        spec->sizes[spec->n_sizes++] = (int32_t)size;
        text = *end ? end + 1 : end;
    }
}

static void set_option(mg_options *o, const char *name, const char *value, const char *argument) {
#define NAME(number, name) name,
    static const char *const activations[] = {MG_FOR_EACH_ACTIVATION(NAME)}, *const costs[] = {MG_FOR_EACH_COST(NAME)};
#undef NAME
    mg_spec *s = &o->spec;
    struct {
        const char *name;
        int32_t *to, *exponent_to;
    } const numbers[] = {
        {"weight_bits", &s->weight_bits, NULL},     {"weight_range", NULL, &s->weight_log2},
        {"input_bits", &s->input_bits, NULL},       {"input_bipolar", &s->input_bipolar, NULL},
        {"signal_bits", &s->signal_bits, NULL},     {"signal_range", NULL, &s->signal_log2},
        {"lut_bits", &s->lut_bits, NULL},           {"output_bits", &s->output_bits, NULL},
        {"cost_bits", &s->cost_bits, NULL},         {"cost_range", NULL, &s->cost_log2},
        {"learn", &o->config.learns, NULL},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (strcmp(name, numbers[i].name) != 0) continue;
        if (numbers[i].to)
            *numbers[i].to = integer(argument, value, 0, 64);
        else
            *numbers[i].exponent_to = exponent(argument, value);
        return;
    }
    if (strcmp(name, "layers") == 0)
        layers(s, argument, value);
    else if (strcmp(name, "activation") == 0)
        s->activation = one_of(argument, value, activations, MG_ACTIVATIONS);
    else if (strcmp(name, "output_activation") == 0)
        s->output_activation = one_of(argument, value, activations, MG_ACTIVATIONS);
    else if (strcmp(name, "cost") == 0)
        s->cost = one_of(argument, value, costs, MG_COSTS);
    else if (strcmp(name, "max_payload") == 0)
        o->config.max_payload = (uint32_t)integer(argument, value, 256, 65535);
    else if (strcmp(name, "samples") == 0)
        o->config.most_samples = (uint32_t)integer(argument, value, 1, 1 << 30);
    else if (strcmp(name, "memory") == 0)
        o->memory = (size_t)integer(argument, value, 1, 1 << 20) << 20;
    else if (strcmp(name, "max_slew") == 0)
        o->config.limits.max_slew = slew(argument, value);
    else if (strcmp(name, "record") == 0)
        o->record = value;
    else if (strcmp(name, "slew_interval") == 0)
        o->config.limits.slew_interval_us = tenths_of_ms(argument, value) * 100;
    else if (strcmp(name, "max_stress") == 0)
        o->config.limits.max_stress = number(argument, value);
    else if (strcmp(name, "seed") == 0)
        o->nonidealities.seed = seed(argument, value);
    else if (mg_nonideality_of(name) >= 0)
        o->nonidealities.strength[mg_nonideality_of(name)] = any_number(argument, value);
    else
        fail("no such option", argument);
}

void mg_read_options(mg_options *o, int argc, char **argv) {
    static const mg_spec analog_8bit = {3, {64, 16, 10}, MG_LOGISTIC, MG_LOGISTIC, 8, 2, 8, 0, 16, 3, 8, 8, MG_MSE, 12, 0, NULL};
    int served = 0;
    memset(o, 0, sizeof *o);
    o->spec = analog_8bit;
    mg_nonidealities_clear(&o->nonidealities);
    o->spec.nonidealities = &o->nonidealities;
    o->memory = (size_t)256 << 20;
    o->config.max_payload = 16384;
    o->config.window = 16;
    o->config.samples_room = 65536;
    o->config.etas_room = 65536;
    o->config.most_samples = 70000;
    o->config.learns = 1;
    o->config.model = "software chip (C core)";
    for (int i = 1; i < argc; i++) {
        char *argument = argv[i], *equals = strchr(argument, '=');
        if (strcmp(argument, "--help") == 0) {
            fputs(help, stdout);
            exit(0);
        } else if (strcmp(argument, "--pty") == 0) {
            o->pty = served = 1;
        } else if (strcmp(argument, "--tcp") == 0 && i + 1 < argc) {
            o->port = (uint16_t)integer(argument, argv[++i], 0, 65535);
            served = 1;
        } else if (strcmp(argument, "--unix") == 0 && i + 1 < argc) {
            o->socket = argv[++i];
            served = 1;
        } else if (equals != NULL) {
            char name[32] = {0};
            if (equals - argument >= (long)sizeof name) fail("no such option", argument);
            memcpy(name, argument, (size_t)(equals - argument));
            set_option(o, name, equals + 1, argument);
        } else {
            fail("not understood", argument);
        }
    }
    if (!served) fail("where", "expected --tcp PORT, --unix PATH or --pty");
}
