#define _XOPEN_SOURCE 700
#include "secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void fail(const char *path, const char *why) {
    fprintf(stderr, "mgdhw-host: %s: the secret that hosts must know cannot be kept there: %s; name a folder of your own by"
                    " MGDHW_SECRETS, or use --unix\n", path, why);
    exit(2);
}

static const char *variable(const char *name) {
    const char *value = getenv(name);
    return value != NULL && *value ? value : NULL;
}

static int is_ours(const char *path) {
    struct stat found;
    return stat(path, &found) == 0 && found.st_uid == geteuid();
}

static void choose_folder(char folder[MG_PATH]) {
    const char *chosen = variable("MGDHW_SECRETS"), *runtime = variable("XDG_RUNTIME_DIR");
    const char *cache = variable("XDG_CACHE_HOME"), *home = variable("HOME");
    int size;
    if (chosen != NULL)
        size = snprintf(folder, MG_PATH, "%s", chosen);
    else if (runtime != NULL && is_ours(runtime))
        size = snprintf(folder, MG_PATH, "%s/mgdhw", runtime);
    else if (cache != NULL)
        size = snprintf(folder, MG_PATH, "%s/mgdhw/secrets", cache);
    else
        size = snprintf(folder, MG_PATH, "%s/.cache/mgdhw/secrets", home != NULL ? home : "");
    if (size >= MG_PATH - 32) fail("MGDHW_SECRETS", "too long");
}

static void make_folder(char folder[MG_PATH]) {
    struct stat found;
    for (char *at = strchr(folder + 1, '/'); at != NULL; at = strchr(at + 1, '/')) {
        *at = '\0';
        mkdir(folder, 0700); /* or it is there; the last call says */
        *at = '/';
    }
    if (mkdir(folder, 0700) != 0 && errno != EEXIST) fail(folder, strerror(errno));
    if (stat(folder, &found) != 0) fail(folder, strerror(errno));
    if (!S_ISDIR(found.st_mode)) fail(folder, "is no folder");
    if (found.st_uid != geteuid()) fail(folder, "belongs to another user");
    if (found.st_mode & (S_IWGRP | S_IWOTH)) fail(folder, "others may write there");
}

void mg_secret_make(uint8_t secret[MG_NONCE], char path[MG_PATH], uint16_t port) {
    char content[2 * MG_NONCE + 1];
    if (!mg_random(secret, MG_NONCE)) fail("/dev/urandom", "cannot be read");
    mg_to_hex(content, secret, MG_NONCE);
    content[2 * MG_NONCE] = '\n';
    choose_folder(path);
    make_folder(path);
    size_t length = strlen(path);
    snprintf(path + length, MG_PATH - length, "/tcp-%u", (unsigned)port);
    unlink(path); /* of an earlier server at this port */
    int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
    if (file < 0 || write(file, content, sizeof content) != (ssize_t)sizeof content) fail(path, strerror(errno));
    close(file);
}
