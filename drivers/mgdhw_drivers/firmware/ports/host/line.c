#define _XOPEN_SOURCE 700
#include "line.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define WRITE_TIMEOUT_MS 5000u
#define IDENTIFY_US 5000000u  /* a host may be connected for so long without IDENTIFY with `take` */
#define IDLE_US 60000000u /* a host may send nothing for so long */

static void die(const char *what) {
    perror(what);
    exit(1);
}

uint64_t mg_microseconds(void *self) {
    struct timespec now;
    (void)self;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

void mg_line_init(mg_line *line) {
    line->peer = -1;
    line->hangs_up = 1;
    line->write_timeout_ms = WRITE_TIMEOUT_MS;
}

void mg_line_on_pty(mg_line *line) {
    struct termios raw;
    line->hangs_up = 0;
    line->peer = posix_openpt(O_RDWR | O_NOCTTY);
    if (line->peer < 0 || grantpt(line->peer) < 0 || unlockpt(line->peer) < 0) die("pty");
    int other = open(ptsname(line->peer), O_RDWR | O_NOCTTY);
    if (other < 0 || tcgetattr(other, &raw) < 0) die(ptsname(line->peer));
    raw.c_iflag = raw.c_oflag = raw.c_lflag = 0;
    raw.c_cflag = CS8 | CREAD | CLOCAL;
    tcsetattr(other, TCSANOW, &raw);
    close(other);
    fcntl(line->peer, F_SETFL, O_NONBLOCK);
    printf("serial:%s\n", ptsname(line->peer));
}

void mg_line_connect(mg_line *line, int peer) {
    line->peer = peer;
    line->taken = 0;
    line->since = mg_microseconds(NULL);
    line->write_timeout_ms = WRITE_TIMEOUT_MS;
}

void mg_line_drop(mg_line *line) {
    if (line->hangs_up && line->peer >= 0) {
        close(line->peer);
        line->peer = -1;
    }
    line->first = line->count = 0;
    line->lost = 1;
}

int mg_line_is_connected(mg_line *line) {
    uint8_t byte;
    struct pollfd state = {line->peer, 0, 0};
    if (line->peer < 0) return 0;
    ssize_t next = recv(line->peer, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    int gone = next == 0 || (next < 0 && errno != EAGAIN && errno != EINTR);
    if (gone || (poll(&state, 1, 0) > 0 && (state.revents & (POLLHUP | POLLERR)))) mg_line_drop(line);
    return line->peer >= 0;
}

void mg_line_check_timeouts(mg_line *line, const mg_board *board) {
    int tripped = board->dead_man_trips != line->trips;
    line->trips = board->dead_man_trips;
    if (!line->hangs_up || line->peer < 0) return;
    uint64_t now = mg_microseconds(NULL), received = board->last_heard > line->since ? board->last_heard : line->since;
    if (board->mode == MG_READY) {
        line->taken = 1;
        line->write_timeout_ms = board->dead_man_ms > 0 && board->dead_man_ms < WRITE_TIMEOUT_MS ? board->dead_man_ms : WRITE_TIMEOUT_MS;
    }
    if (tripped || now - received >= IDLE_US || (!line->taken && now - line->since >= IDENTIFY_US)) mg_line_drop(line);
}

int32_t mg_line_read(void *self, uint8_t *to, uint32_t room) {
    mg_line *from = self;
    if (from->count == 0 && from->peer >= 0) {
        ssize_t got = read(from->peer, from->buffer, MG_LINE_BUFFER);
        if (got > 0) {
            from->first = 0;
            from->count = (uint32_t)got;
        } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
            mg_line_drop(from); /* EIO on a pty: nobody has its other end open */
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

void mg_line_write(void *self, const uint8_t *bytes, uint32_t count) {
    mg_line *to = self;
    uint64_t until = mg_microseconds(NULL) + to->write_timeout_ms * 1000u;
    while (count > 0 && to->peer >= 0 && !to->lost) {
        ssize_t sent = write(to->peer, bytes, count);
        if (sent > 0) {
            bytes += sent;
            count -= (uint32_t)sent;
            continue;
        }
        struct pollfd writable = {to->peer, POLLOUT, 0};
        uint64_t now = mg_microseconds(NULL);
        int gone = sent < 0 && errno != EAGAIN && errno != EINTR;
        if (gone || now >= until)
            mg_line_drop(to);
        else
            poll(&writable, 1, (int)((until - now) / 1000u) + 1);
    }
}
