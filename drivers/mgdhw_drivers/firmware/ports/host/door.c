#define _DEFAULT_SOURCE
#define _XOPEN_SOURCE 700
#include "door.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define GREETING_US 5000000u
#define BACKLOG 64

static void die(const char *what) {
    fprintf(stderr, "mgdhw-host: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void begin(mg_door *door) {
    fcntl(door->listener, F_SETFL, O_NONBLOCK);
    if (listen(door->listener, BACKLOG) < 0) die("listen");
}

void mg_door_on_tcp(mg_door *door, uint16_t port) {
    struct sockaddr_in address = {0};
    socklen_t size = sizeof address;
    int yes = 1;
    door->listener = socket(AF_INET, SOCK_STREAM, 0);
    if (door->listener < 0) die("socket");
    setsockopt(door->listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    if (bind(door->listener, (struct sockaddr *)&address, sizeof address) < 0) die("bind");
    if (getsockname(door->listener, (struct sockaddr *)&address, &size) < 0) die("getsockname");
    door->greets = 1;
    mg_secret_make(door->secret, door->file, ntohs(address.sin_port));
    begin(door);
    printf("tcp:127.0.0.1:%d\nonly hosts that know the secret in %s are let in\n", ntohs(address.sin_port), door->file);
}

/* Remove the socket of a server that was killed. Nothing else is replaced: it may be somebody's. */
static void remove_old(const struct sockaddr_un *address) {
    struct stat found;
    if (lstat(address->sun_path, &found) != 0) return;
    errno = EEXIST;
    if (!S_ISSOCK(found.st_mode)) die(address->sun_path);
    int asking = socket(AF_UNIX, SOCK_STREAM, 0);
    if (asking < 0) die("socket");
    fcntl(asking, F_SETFL, O_NONBLOCK);
    int refused = connect(asking, (const struct sockaddr *)address, sizeof *address) < 0 && errno == ECONNREFUSED;
    close(asking);
    errno = EADDRINUSE;
    if (!refused) die(address->sun_path);
    unlink(address->sun_path);
}

void mg_door_on_unix(mg_door *door, const char *path) {
    struct sockaddr_un address = {0};
    errno = ENAMETOOLONG;
    if (strlen(path) >= sizeof address.sun_path) die(path);
    address.sun_family = AF_UNIX;
    strcpy(address.sun_path, path);
    remove_old(&address);
    door->listener = socket(AF_UNIX, SOCK_STREAM, 0);
    if (door->listener < 0) die("socket");
    if (bind(door->listener, (struct sockaddr *)&address, sizeof address) < 0) die(path);
    strcpy(door->file, path);
    if (chmod(path, 0600) < 0) die(path); /* nobody can connect before it listens */
    begin(door);
    printf("unix:%s\n", path);
}

/* Have the system notice within half a minute that a peer is gone, and send what is short at once. */
static void keep_alive(int connection) {
    int yes = 1;
    setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    setsockopt(connection, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
#ifdef TCP_KEEPIDLE
    int idle = 15, interval = 5, count = 3;
    setsockopt(connection, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(connection, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    setsockopt(connection, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
#endif
#ifdef TCP_USER_TIMEOUT
    unsigned unanswered = 30000; /* milliseconds */
    setsockopt(connection, IPPROTO_TCP, TCP_USER_TIMEOUT, &unanswered, sizeof unanswered);
#endif
}

static void forget(mg_door *door, uint32_t index) {
    door->n_waiting--;
    memmove(door->waiting + index, door->waiting + index + 1, (door->n_waiting - index) * sizeof *door->waiting);
}

static void turn_away(mg_door *door, uint32_t index) {
    close(door->waiting[index].connection);
    forget(door, index);
}

static void greet(mg_door *door, int connection, uint64_t now) {
    uint8_t hello[MG_HELLO];
    if (door->n_waiting == MG_WAITING) turn_away(door, 0);
    mg_guest *newest = &door->waiting[door->n_waiting++];
    newest->connection = connection;
    newest->until = now + GREETING_US;
    if (!mg_greeting_begin(&newest->greeting, hello) || write(connection, hello, sizeof hello) != (ssize_t)sizeof hello)
        turn_away(door, door->n_waiting - 1);
}

/* The connection if it may come in now; -1: it has to wait or was ended. */
static int hear(mg_door *door, uint32_t index, int occupied) {
    mg_guest *from = &door->waiting[index];
    uint8_t bytes[256], ok[MG_LET_IN];
    int connection = from->connection;
    ssize_t got = read(connection, bytes, sizeof bytes);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return -1;
    int proven = got <= 0 ? -1 : mg_greeting_receive(&from->greeting, door->secret, bytes, (size_t)got, ok);
    if (proven == 0) return -1;
    if (proven > 0 && !occupied && write(connection, ok, sizeof ok) == (ssize_t)sizeof ok) {
        forget(door, index);
        return connection;
    }
    /* To one that has gone meanwhile it cannot be said, and it doesn't matter. */
    if (proven > 0 && occupied && write(connection, MG_BUSY, sizeof MG_BUSY - 1) < 0) errno = 0;
    turn_away(door, index);
    return -1;
}

nfds_t mg_door_watch(const mg_door *door, struct pollfd wanted[MG_WATCHED]) {
    wanted[0] = (struct pollfd){door->listener, POLLIN, 0};
    for (uint32_t i = 0; i < door->n_waiting; i++)
        wanted[1 + i] = (struct pollfd){door->waiting[i].connection, POLLIN, 0};
    return 1 + door->n_waiting;
}

int mg_door_look(mg_door *door, const struct pollfd found[MG_WATCHED], int occupied, uint64_t now) {
    int guest = -1;
    for (uint32_t i = door->n_waiting; i-- > 0;) { /* backwards: some go */
        if (found[1 + i].revents) {
            int came = hear(door, i, occupied || guest >= 0);
            if (came >= 0) guest = came;
        } else if (now >= door->waiting[i].until) {
            turn_away(door, i);
        }
    }
    if (!(found[0].revents & POLLIN)) return guest;
    int connection = accept(door->listener, NULL, NULL);
    if (connection < 0) return guest;
    fcntl(connection, F_SETFL, O_NONBLOCK);
    if (door->greets) {
        keep_alive(connection);
        greet(door, connection, now);
    } else if (occupied || guest >= 0) {
        close(connection);
    } else {
        guest = connection;
    }
    return guest;
}

void mg_door_close(mg_door *door) {
    while (door->n_waiting > 0) turn_away(door, 0);
    if (door->file[0]) unlink(door->file); /* before another server can have the port */
    if (door->listener >= 0) close(door->listener);
}
