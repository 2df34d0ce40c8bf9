/* round.h - what the leader of the moment proposes to place (docs/spec/7-scheduling.md).
 *
 * The scheduler keeps an index over agents and waiting jobs between rounds.  It is built
 * from the state when leading begins and kept by telling it of changes; nothing in it is
 * more than a quick way to what the state says, and a new leader finds the same.
 *
 * One round at a time: a round counts what it places as taken, and what it placed is read
 * again from the state when the next one begins.  So the leader proposes the placements of
 * a round as one batch and waits until that is applied (or is certain never to be) before
 * it calls sched_round() again.  Applying checks each placement once more; one that is
 * refused there is simply still pending in the next round.
 *
 * Not for use from several threads.
 */
#ifndef SCHED_ROUND_H
#define SCHED_ROUND_H

#include "raft_fsm/state.h"
#include "wire/command.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Searches, jobs begun and the like in one round: some milliseconds at most. */
#define SCHED_LOOKS 4096

/* Long enough for any text of sched_explain(). */
#define SCHED_WHY_BYTES 256

struct sched;

/* `looks`: of each round; SCHED_LOOKS, or fewer in tests of what happens at their end. */
struct sched *sched_create(unsigned looks);
void sched_destroy(struct sched *s); /* NULL is fine */

/* Leading begins: forget everything and build on this state.  Agents are read at once,
 * jobs in slices by the first rounds. */
void sched_reset(struct sched *s, const struct state *state);

/* Something of this agent changed: it registered, its state, its capacity, or what is
 * allocated on it (EFFECT_AGENT, EFFECT_UPDATED; after a round it is read anyway). */
void sched_agent_changed(struct sched *s, const struct state *state, uint64_t agent);

/* This agent says that it takes no new work (its disk is low), or that it does again.  It is
 * not in the state: after sched_reset() all do. */
void sched_agent_refuses(struct sched *s,
                         const struct state *state,
                         uint64_t agent,
                         bool refuses);

/* Something of this job changed: it has tasks to place, or none any more (EFFECT_JOB). */
void sched_job_changed(struct sched *s, const struct state *state, uint64_t job);

/* A task that belongs to this agent has waited long enough (EFFECT_JOB that names one). */
void sched_agent_due(struct sched *s, uint64_t agent);

/* Resources of an attempt of this job are free again, or its place (EFFECT_FREED). */
void sched_freed(struct sched *s, const struct state *state, uint64_t job);

/* A role was set or removed (EFFECT_ROLE).  Where its jobs have other ranks now, they get
 * them in slices, by the next rounds. */
void sched_role_changed(struct sched *s, const struct state *state, uint64_t role);

/* The dominant share of a role, by its weight, in 10^-12. */
uint64_t sched_share(const struct sched *s, const struct role *role);

/* Now it is `now_us`.  At most `max` placements, in the order in which they are to be applied by
 * one command; returns how many.  A gang with more tasks than `max` is never among them, and what
 * system jobs get is a round of its own.  *more: the round ended by its budget, call it again when
 * this batch is applied.
 * Otherwise nothing that waits fits anywhere until something changes. */
size_t sched_round(struct sched *s,
                   const struct state *state,
                   uint64_t now_us,
                   struct placement *out,
                   size_t max,
                   bool *more);

/* When a round is wanted though nothing changes: somebody has waited for so long that room is to
 * be kept for it.  UINT64_MAX: not by itself. */
uint64_t sched_due_us(const struct sched *s);
/* It is due now: what is kept lets others in since the last one (sched_preempt() and
 * sched_rebalance() look at that, too). */
bool sched_is_due(const struct sched *s);
/* How often that was done, whoever led in between. */
uint64_t sched_reservations(const struct sched *s);

/* Agents and sizes of agents that explanations look at in one listing: some milliseconds. */
#define SCHED_EXPLAIN_LOOKS (2 * LIMIT_AGENTS)

/* Where room is kept for a task of this job.  False: nowhere.  *at_us: when it should be there; 0:
 * that is not known, or over. */
bool sched_reservation(const struct sched *s,
                       uint64_t now_us,
                       uint64_t job,
                       uint64_t *agent,
                       uint64_t *at_us);

/* Why tasks of this job wait, as one line without an end; empty when none does.  *looks, at
 * first SCHED_EXPLAIN_LOOKS, goes down; when it is used up the text says less. */
void sched_explain(const struct sched *s,
                   const struct state *state,
                   uint64_t now_us,
                   const struct job *job,
                   unsigned *looks,
                   char *out,
                   size_t size);

/* For tests and simulation, when no batch is on its way and a round just ended without
 * `more`: everything in here is what the state says, and nothing that waits fits anywhere
 * (assertions).  O(state). */
void sched_check(const struct sched *s, const struct state *state);
/* What sched_agent_refuses() told, for the same. */
bool sched_refuses(const struct sched *s, uint64_t agent);

#endif
