#define _DEFAULT_SOURCE
#define _XOPEN_SOURCE 700
#include "listener.h"

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

#define HANDSHAKE_US 5000000u
#define BACKLOG 64

static void die(const char *what) {
    fprintf(stderr, "mgdhw-host: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void begin(mg_listener *listener) {
    fcntl(listener->socket, F_SETFL, O_NONBLOCK);
    if (listen(listener->socket, BACKLOG) < 0) die("listen");
}

void mg_listen_on_tcp(mg_listener *listener, uint16_t port) {
    struct sockaddr_in address = {0};
    socklen_t size = sizeof address;
    int yes = 1;
    listener->socket = socket(AF_INET, SOCK_STREAM, 0);
    if (listener->socket < 0) die("socket");
    setsockopt(listener->socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    if (bind(listener->socket, (struct sockaddr *)&address, sizeof address) < 0) die("bind");
    if (getsockname(listener->socket, (struct sockaddr *)&address, &size) < 0) die("getsockname");
    listener->has_secret = 1;
    mg_secret_make(listener->secret, listener->file, ntohs(address.sin_port));
    begin(listener);
    printf("tcp:127.0.0.1:%d\nonly hosts that know the secret in %s are let in\n", ntohs(address.sin_port), listener->file);
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

void mg_listen_on_unix(mg_listener *listener, const char *path) {
    struct sockaddr_un address = {0};
    errno = ENAMETOOLONG;
    if (strlen(path) >= sizeof address.sun_path) die(path);
    address.sun_family = AF_UNIX;
    strcpy(address.sun_path, path);
    remove_old(&address);
    listener->socket = socket(AF_UNIX, SOCK_STREAM, 0);
    if (listener->socket < 0) die("socket");
    if (bind(listener->socket, (struct sockaddr *)&address, sizeof address) < 0) die(path);
    strcpy(listener->file, path);
    if (chmod(path, 0600) < 0) die(path); /* nobody can connect before it listens */
    begin(listener);
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

static void remove_pending(mg_listener *listener, uint32_t index) {
    listener->n_pending--;
    memmove(listener->pending + index, listener->pending + index + 1, (listener->n_pending - index) * sizeof *listener->pending);
}

static void refuse(mg_listener *listener, uint32_t index) {
    close(listener->pending[index].connection);
    remove_pending(listener, index);
}

static void begin_handshake(mg_listener *listener, int connection, uint64_t now) {
    uint8_t hello[MG_HELLO];
    if (listener->n_pending == MG_MOST_PENDING) refuse(listener, 0);
    mg_pending *newest = &listener->pending[listener->n_pending++];
    newest->connection = connection;
    newest->until = now + HANDSHAKE_US;
    if (!mg_handshake_begin(&newest->handshake, hello) || write(connection, hello, sizeof hello) != (ssize_t)sizeof hello)
        refuse(listener, listener->n_pending - 1);
}

/* The connection if it is accepted now; -1: its handshake goes on, or it was ended. */
static int receive_handshake(mg_listener *listener, uint32_t index, int occupied) {
    mg_pending *from = &listener->pending[index];
    uint8_t bytes[256], ok[MG_ACCEPT];
    int connection = from->connection;
    ssize_t got = read(connection, bytes, sizeof bytes);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return -1;
    int proven = got <= 0 ? -1 : mg_handshake_receive(&from->handshake, listener->secret, bytes, (size_t)got, ok);
    if (proven == 0) return -1;
    if (proven > 0 && !occupied && write(connection, ok, sizeof ok) == (ssize_t)sizeof ok) {
        remove_pending(listener, index);
        return connection;
    }
    /* A host that has gone meanwhile cannot be answered, which does not matter. */
    if (proven > 0 && occupied && write(connection, MG_BUSY, sizeof MG_BUSY - 1) < 0) errno = 0;
    refuse(listener, index);
    return -1;
}

nfds_t mg_listener_poll_set(const mg_listener *listener, struct pollfd wanted[MG_POLLED]) {
    wanted[0] = (struct pollfd){listener->socket, POLLIN, 0};
    for (uint32_t i = 0; i < listener->n_pending; i++)
        wanted[1 + i] = (struct pollfd){listener->pending[i].connection, POLLIN, 0};
    return 1 + listener->n_pending;
}

int mg_listener_accept(mg_listener *listener, const struct pollfd found[MG_POLLED], int occupied, uint64_t now) {
    int accepted = -1;
    for (uint32_t i = listener->n_pending; i-- > 0;) { /* backwards: some go */
        if (found[1 + i].revents) {
            int came = receive_handshake(listener, i, occupied || accepted >= 0);
            if (came >= 0) accepted = came;
        } else if (now >= listener->pending[i].until) {
            refuse(listener, i);
        }
    }
    if (!(found[0].revents & POLLIN)) return accepted;
    int connection = accept(listener->socket, NULL, NULL);
    if (connection < 0) return accepted;
    fcntl(connection, F_SETFL, O_NONBLOCK);
    if (listener->has_secret) {
        keep_alive(connection);
        begin_handshake(listener, connection, now);
    } else if (occupied || accepted >= 0) {
        close(connection);
    } else {
        accepted = connection;
    }
    return accepted;
}

void mg_listener_close(mg_listener *listener) {
    while (listener->n_pending > 0) refuse(listener, 0);
    if (listener->file[0]) unlink(listener->file); /* before another server can have the port */
    if (listener->socket >= 0) close(listener->socket);
}
