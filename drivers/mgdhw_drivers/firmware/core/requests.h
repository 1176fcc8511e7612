/* What the fields of requests must be, whatever the board holds: one function for each message. docs/link.md has the
 * table. Each answers MG_FINE, MG_BAD or MG_UNSUPPORTED, and touches nothing but what it reads the request into. */
#ifndef MG_REQUESTS_H
#define MG_REQUESTS_H

#include "board.h"

/* Whether none of `count` f64 is infinite or not a number. */
int mg_all_finite(const uint8_t *at, uint32_t count);

enum mg_code mg_check_identify(const uint8_t *payload);
enum mg_code mg_check_load(const mg_board *board, const uint8_t *payload);
enum mg_code mg_check_set(const uint8_t *payload);
enum mg_code mg_check_measure(const mg_board *board, const uint8_t *payload);
enum mg_code mg_check_infer(const mg_board *board, const uint8_t *payload);
enum mg_code mg_check_restore(const mg_board *board, const uint8_t *payload);
enum mg_code mg_read_probe(mg_block *block, const uint8_t *payload);
enum mg_code mg_read_learn(const mg_board *board, mg_block *block, mg_rule *rule, const uint8_t *payload);

#endif
