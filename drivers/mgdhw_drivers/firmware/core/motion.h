/* How parameters move: never further at once, and never sooner, than the hardware stands. */
#ifndef MG_MOTION_H
#define MG_MOTION_H

#include "chip.h"

#define MG_LONGEST_INTERVAL_US 6553500u /* that the description can tell: 65,535 tenths of a millisecond */

/* What `violation` says where no single parameter is to blame. */
enum mg_violation { MG_STRESSED = -1, MG_SWINGS_TOO_FAR = -3 };

/* Take the limits, and the clock that they are kept by. Answers MG_BAD_LIMITS where nothing could move at all. */
mg_status mg_motion_init(mg_chip *chip, const mg_limits *limits, const mg_hal *clock);

/* Whether enough time has passed since something moved. */
int mg_may_move(const mg_chip *chip);

/* Whether perturbations have to wait for each other: they move something, and there is a least time between moves. */
int mg_is_paced(const mg_chip *chip);

/* Before a move to (P,) codes: whether they are within the range of the converters and the stress is not too much; if
 * not, MG_OUT_OF_RANGE, and nothing was counted. Stress is counted for the whole move, even if it ends early. NULL is
 * the safe state, on the way to which nothing is refused. */
mg_status mg_motion_begin(mg_chip *chip, const int16_t *codes);

/* One step on the way to (P,) codes (NULL: the safe state), before the probe of `step`: every parameter goes as far as
 * it may, until it is there. Answers whether all of them are. The caller has seen that it may move. */
int mg_motion_step(mg_chip *chip, const int16_t *codes, uint64_t step);

/* Whether P codes all have room for +- amplitude, and a swing from one to the other is no larger than a step may be. */
mg_status mg_check_amplitude(mg_chip *chip, const int16_t *codes, int32_t amplitude);

/* Set on the hardware, if there is any, what differs from (P,) codes; waits until something may move. */
void mg_chip_apply(mg_chip *chip, const int16_t *codes);

#endif
