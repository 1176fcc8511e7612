/* Command line of the host port. */
#ifndef MG_OPTIONS_H
#define MG_OPTIONS_H

#include "board.h"

typedef struct mg_options {
    mg_spec spec;
    mg_nonidealities nonidealities; /* of the spec */
    mg_config config;
    size_t memory;      /* bytes */
    int pty;            /* a pseudo-terminal rather than TCP */
    const char *socket; /* path of a Unix socket; NULL: TCP */
    const char *record; /* file for what the chip's converters are set to; NULL: none */
    uint16_t port;      /* of TCP on the loopback interface; 0: a free one */
} mg_options;

/* Exits with a message if the arguments make no sense, or if help was asked for. */
void mg_read_options(mg_options *options, int argc, char **argv);

#endif
