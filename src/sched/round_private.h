/* round_private.h - what the files of a round share.
 *
 *     round.c          what a round is, its beginning, and system jobs
 *     round_next.c     which shape is next
 *     round_place.c    where its tasks go
 */
#ifndef SCHED_ROUND_PRIVATE_H
#define SCHED_ROUND_PRIVATE_H

#include "sched/internal.h"
#include "sched/round.h"
#include "sched/seek.h"

struct round {
    struct sched *sched;
    const struct state *state;
    struct placement *out;
    size_t count;
    size_t max;
    unsigned looks; /* left */
    unsigned asked; /* of which the next look is not full yet */
    bool was_helped;
    unsigned uncapping_looks; /* that each role has */
    /* All that sleeps was compared, but not with all that grew meanwhile: that comes in the
     * next round, after who is ready now. */
    bool is_compared;
    bool is_full; /* a gang that is next has no room among its placements */
    struct reserve_view reserve; /* has looks of its own */
    bool is_reserved;            /* all that was to be reserved is */
};

static inline void cursor_begin(struct cursor *c, uint64_t epoch)
{
    if (c->epoch != epoch)
        *c = (struct cursor){.epoch = epoch};
}

/* Nothing before this, and not this one either. */
static inline void cursor_step_over(struct cursor *c, struct fit_key key)
{
    key.second++;
    if (fit_key_compare(&c->from, &key) < 0)
        c->from = key;
}

/* ---- round.c ---- */

/* Sleeping shapes with what has grown, from the first turn on. */
void round_compare_again(struct sched *s);

/* ---- round_next.c ---- */

/* Without a shape when there is none, or when the looks ended before that was known. */
struct pick round_next(struct round *r);
/* What has grown is to be compared with what sleeps. */
bool round_is_waking(const struct round *r);

/* ---- round_place.c ---- */

/* For a task of this shape; of a job, as that may be placed now (NULL: of none). */
void round_begin_seek(struct round *r,
                      const struct shape *shape,
                      const struct job *j,
                      struct seek *k);
/* What a seek spent counts as well; and what it may spend until it pays again. */
void round_pay(struct round *r, struct seek *k);
/* True when the looks ended before it knew; it goes on in the next round. */
bool round_is_cut(struct round *r, const struct seek *k);
/* The first job of what is next. */
void round_place_first(struct round *r, const struct pick *p);

#endif
