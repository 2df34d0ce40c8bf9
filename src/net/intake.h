/* intake.h - which streams are read in a turn of the loop, and for how long.
 *
 * A master has some sockets of masters, hundreds of clients and thousands of agents.  What they
 * sent is read by rank, each rank for at most LIMIT_TURN_RANK_US in one turn: so a turn ends
 * soon, whoever speaks, and timers and output have theirs.  Within a rank it goes round: nobody
 * is read twice before all who were ready are read, in however many turns that is, and nobody
 * twice in one turn.
 *
 * For the other files of this folder; all but the ranks are.
 */
#ifndef NET_INTAKE_H
#define NET_INTAKE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

enum rank {
    RANK_MASTER,
    RANK_CLIENT,
    RANK_OTHER, /* who has not said what it is, and all that need no other rank */
    RANK_AGENT,
    RANKS
};

struct intakes;

/* Embedded; zeroed and then filled in by the caller, up to `user`. */
struct intake {
    int fd;
    enum rank rank;
    void (*ready)(void *user); /* readable, or hung up: read once */
    void *user;
    bool watched;
    uint64_t round; /* of its rank, in which it was read */
};

struct intakes *intakes_create(uv_loop_t *uv);
/* Then libuv closes what is left of it; after that intakes_destroy(). */
void intakes_close(struct intakes *all);
void intakes_destroy(struct intakes *all);

/* After libuv has waited: calls whoever is ready and has its turn. */
void intakes_run(struct intakes *all);

/* How long ago everything that had come by then was read. */
uint64_t intakes_behind_ms(const struct intakes *all, enum rank rank);

/* Both are idempotent, and may be called from `ready`. */
void intake_watch(struct intakes *all, struct intake *in);
void intake_unwatch(struct intakes *all, struct intake *in);
void intake_set_rank(struct intakes *all, struct intake *in, enum rank rank);

#endif
