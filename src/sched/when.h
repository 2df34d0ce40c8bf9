/* when.h - what is kept for who waits, and when it may begin, in words. */
#ifndef SCHED_WHEN_H
#define SCHED_WHEN_H

#include "sched/internal.h"
#include "sched/seek.h"
#include "sched/words.h"

/* "; agent 1 is reserved for it in 12m", "; agent 1 has room and is reserved for job 4", "; agent 2
 * may have room in 3m"; nothing where it is not known. */
void say_when(struct text *t,
              const struct sched *s,
              const struct state *state,
              uint64_t now_us,
              const struct job *job,
              struct seek *k,
              unsigned *looks);

#endif
