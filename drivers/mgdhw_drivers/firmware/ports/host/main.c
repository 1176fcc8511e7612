/* A board that is a process: the core behind a TCP port or a pseudo-terminal. */
#define _XOPEN_SOURCE 700

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "board.h"
#include "options.h"

#define BUFFER 65536
#define IDLE_MS 5
#define PATIENCE_MS 5000 /* for a host that doesn't read */

typedef struct line {
    int listener; /* -1 on a pty */
    int peer;     /* -1: nobody */
    int lost;     /* the peer has gone, and the core is to be told */
    uint8_t buffer[BUFFER];
    uint32_t first, count;
} line;

static volatile sig_atomic_t ended;

static void on_signal(int number) {
    (void)number;
    ended = 1;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void drop(line *to) {
    if (to->listener >= 0 && to->peer >= 0) {
        close(to->peer);
        to->peer = -1;
    }
    to->first = to->count = 0;
    to->lost = 1;
}

static int32_t read_line(void *self, uint8_t *to, uint32_t room) {
    line *from = self;
    if (from->count == 0 && from->peer >= 0) {
        ssize_t got = read(from->peer, from->buffer, BUFFER);
        if (got > 0) {
            from->first = 0;
            from->count = (uint32_t)got;
        } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
            drop(from); /* EIO on a pty: nobody has its other end open */
        }
    }
    if (from->lost) {
        from->lost = 0;
        return -1;
    }
    uint32_t count = from->count < room ? from->count : room;
    memcpy(to, from->buffer + from->first, count);
    from->first += count;
    from->count -= count;
    return (int32_t)count;
}

static void write_line(void *self, const uint8_t *bytes, uint32_t count) {
    line *to = self;
    while (count > 0 && to->peer >= 0 && !to->lost) {
        ssize_t sent = write(to->peer, bytes, count);
        if (sent > 0) {
            bytes += sent;
            count -= (uint32_t)sent;
            continue;
        }
        struct pollfd writable = {to->peer, POLLOUT, 0};
        int gone = sent < 0 && errno != EAGAIN && errno != EINTR;
        if (gone || (sent < 0 && errno == EAGAIN && poll(&writable, 1, PATIENCE_MS) == 0)) drop(to);
    }
}

static uint64_t microseconds(void *self) {
    struct timespec now;
    (void)self;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

static void watchdog(void *self) { (void)self; } /* the operating system sees to that */

static void listen_on(line *on, uint16_t port) {
    struct sockaddr_in address = {0};
    socklen_t size = sizeof address;
    int yes = 1;
    on->listener = socket(AF_INET, SOCK_STREAM, 0);
    if (on->listener < 0) die("socket");
    setsockopt(on->listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    if (bind(on->listener, (struct sockaddr *)&address, sizeof address) < 0) die("bind");
    if (listen(on->listener, 1) < 0) die("listen");
    if (getsockname(on->listener, (struct sockaddr *)&address, &size) < 0) die("getsockname");
    printf("tcp:127.0.0.1:%d\n", ntohs(address.sin_port));
}

static void open_pty(line *on) {
    struct termios raw;
    on->listener = -1;
    on->peer = posix_openpt(O_RDWR | O_NOCTTY);
    if (on->peer < 0 || grantpt(on->peer) < 0 || unlockpt(on->peer) < 0) die("pty");
    int other = open(ptsname(on->peer), O_RDWR | O_NOCTTY);
    if (other < 0 || tcgetattr(other, &raw) < 0) die(ptsname(on->peer));
    raw.c_iflag = raw.c_oflag = raw.c_lflag = 0;
    raw.c_cflag = CS8 | CREAD | CLOCAL;
    tcsetattr(other, TCSANOW, &raw);
    close(other);
    fcntl(on->peer, F_SETFL, O_NONBLOCK);
    printf("serial:%s\n", ptsname(on->peer));
}

static void accept_peer(line *on) {
    int yes = 1;
    on->peer = accept(on->listener, NULL, NULL);
    if (on->peer < 0) return;
    fcntl(on->peer, F_SETFL, O_NONBLOCK);
    setsockopt(on->peer, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
}

/* Wait for bytes, for a host, or for a moment: the dead-man has to be looked after. A new host takes the place of
 * one that is still there: a host that reconnects may have lost a connection that looks alive from here. */
static void wait_for_line(line *on, int timeout_ms) {
    struct pollfd wanted[2] = {{on->peer, POLLIN, 0}, {on->listener, POLLIN, 0}};
    if (poll(wanted, 2, timeout_ms) <= 0) return;
    if (on->listener >= 0 && (wanted[1].revents & POLLIN)) {
        if (on->peer >= 0) drop(on);
        accept_peer(on);
    } else if (wanted[0].revents == POLLHUP) {
        poll(NULL, 0, IDLE_MS); /* a pty that nobody has open hangs up all the time */
    }
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
    static line host;
    mg_read_options(&options, argc, argv);
    mg_arena arena = {malloc(options.memory), options.memory, 0};
    if (arena.start == NULL) die("memory");
    mg_hal hal = {&host, read_line, write_line, microseconds, watchdog};
    host.peer = -1;
    options.config.boot = (uint32_t)microseconds(NULL) ^ (uint32_t)getpid() << 16;
    mg_status status = mg_board_init(&board, &options.config, &options.spec, NULL, &hal, &arena);
    if (status != MG_OK) {
        fprintf(stderr, "mgdhw-host: %s\n", status == MG_NO_MEMORY ? "not enough memory; raise memory=" : "no such chip");
        return 2;
    }
    take_signals();
    if (options.pty)
        open_pty(&host);
    else
        listen_on(&host, options.port);
    fflush(stdout);
    while (!ended) {
        int busy = mg_board_poll(&board) || host.count > 0;
        wait_for_line(&host, busy ? 0 : IDLE_MS);
    }
    mg_board_make_safe(&board, MG_ASKED);
    while (mg_board_rest(&board)) poll(NULL, 0, 1);
    free(arena.start);
    return 0;
}
