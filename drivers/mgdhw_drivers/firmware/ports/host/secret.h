/* The secret of a server at a TCP port, in a file that only its user can read (docs/link.md). */
#ifndef MG_SECRET_H
#define MG_SECRET_H

#include <stdint.h>

#include "handshake.h"

#define MG_PATH 4096 /* bytes of a file's name, at most */

/* Make a new one for a port that is this process's, and its file. Exits with a message if that cannot be. */
void mg_secret_make(uint8_t secret[MG_NONCE], char path[MG_PATH], uint16_t port);

#endif
