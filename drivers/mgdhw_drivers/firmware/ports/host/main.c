/* A board that is a process: the core behind a TCP port, a Unix socket or a pseudo-terminal. */
#define _XOPEN_SOURCE 700

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "board.h"
#include "listener.h"
#include "line.h"
#include "options.h"
#include "recorder.h"

#define IDLE_MS 5

static volatile sig_atomic_t ended;

static void on_signal(int number) {
    (void)number;
    ended = 1;
}

static void watchdog(void *self) { (void)self; } /* the operating system sees to that */

/* Wait for bytes, for a host, or for a moment: the dead-man timer has to be checked. */
static void wait_for_hosts(mg_line *line, mg_listener *listener, int timeout_ms) {
    struct pollfd wanted[1 + MG_POLLED] = {{line->peer, POLLIN, 0}};
    nfds_t count = 1 + mg_listener_poll_set(listener, wanted + 1);
    if (poll(wanted, count, timeout_ms) < 0) return;
    if (listener->socket < 0) {
        if (wanted[0].revents == POLLHUP) poll(NULL, 0, IDLE_MS); /* a pty that nobody has open hangs up all the time */
        return;
    }
    int found = 0;
    for (nfds_t i = 1; i < count; i++) found |= wanted[i].revents;
    int occupied = found && mg_line_is_connected(line);
    int accepted = mg_listener_accept(listener, wanted + 1, occupied, mg_microseconds(NULL));
    if (accepted >= 0) mg_line_connect(line, accepted);
}

static void take_signals(void) {
    struct sigaction action = {0};
    action.sa_handler = on_signal;
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    action.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &action, NULL);
}

int main(int argc, char **argv) {
    static mg_options options;
    static mg_board board;
    static mg_line line;
    static mg_listener listener = {.socket = -1};
    static mg_recorder recorder;
    mg_read_options(&options, argc, argv);
    mg_arena arena = {malloc(options.memory), options.memory, 0};
    if (arena.start == NULL) {
        perror("memory");
        return 1;
    }
    mg_hal hal = {&line, mg_line_read, mg_line_write, mg_microseconds, watchdog};
    mg_line_init(&line);
    options.config.boot = (uint32_t)mg_microseconds(NULL) ^ (uint32_t)getpid() << 16;
    mg_status status = MG_OK;
    if (options.record != NULL) status = mg_recorder_init(&recorder, options.record, &options.spec, &arena);
    const mg_hardware *hardware = options.record != NULL ? &recorder.hardware : NULL;
    if (status == MG_OK) status = mg_board_init(&board, &options.config, &options.spec, hardware, &hal, &arena);
    if (status != MG_OK) {
        fprintf(stderr, "mgdhw-host: %s\n", status == MG_NO_MEMORY ? "not enough memory; raise memory=" : "no such chip");
        return 2;
    }
    take_signals();
    if (options.pty)
        mg_line_on_pty(&line);
    else if (options.socket != NULL)
        mg_listen_on_unix(&listener, options.socket);
    else
        mg_listen_on_tcp(&listener, options.port);
    fflush(stdout);
    while (!ended) {
        int busy = mg_board_poll(&board) || line.count > 0;
        mg_line_check_timeouts(&line, &board);
        wait_for_hosts(&line, &listener, busy ? 0 : IDLE_MS);
    }
    mg_listener_close(&listener);
    mg_board_make_safe(&board, MG_ASKED);
    while (mg_board_rest(&board)) poll(NULL, 0, 1);
    free(arena.start);
    return 0;
}
