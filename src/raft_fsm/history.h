/* history.h - how long the runs of a job name took (docs/spec/13-failures-and-estimates.md).
 *
 * An object of the state for each role and name.  Times are kept as one byte each, so all
 * of it is small and a run that ends costs no more than another object that changes.
 *
 * Source of the percentile: nearest rank; Hyndman & Fan, Sample Quantiles in Statistical
 * Packages, The American Statistician 50, 1996, definition 1.
 */
#ifndef RAFT_FSM_HISTORY_H
#define RAFT_FSM_HISTORY_H

#include "base/buffer.h"

#include <bsd/sys/tree.h>
#include <stdbool.h>
#include <stdint.h>

struct job;
struct state;

#define HISTORY_RUNS   32       /* that are remembered */
#define HISTORY_NEEDS  3        /* of them, for a prediction */
#define HISTORY_USE_US 60000000 /* how exactly it is known when one was used */

struct history {
    uint32_t id; /* below LIMIT_HISTORIES; given again */
    uint64_t changed;
    char *role; /* behind it, in the same block */
    char *name; /* likewise */
    uint64_t used_us;
    uint64_t lost_ms;           /* since the last run that finished */
    uint8_t runs;               /* that are remembered */
    uint8_t next;               /* the place of the next one */
    uint8_t took[HISTORY_RUNS]; /* codes of milliseconds */
    uint8_t lost[HISTORY_RUNS]; /* before each run, likewise */

    /* derived */
    uint64_t hash; /* of role and name */
    RB_ENTRY(history) by_name;
    RB_ENTRY(history) by_use;
};

RB_HEAD(history_tree, history);
RB_HEAD(history_use_tree, history);

RB_PROTOTYPE(history_tree, history, by_name, )
RB_PROTOTYPE(history_use_tree, history, by_use, )

/* A time as a byte, and what the byte stands for; monotonic, and wrong by a sixteenth. */
uint8_t history_code(uint64_t ms);
uint64_t history_time(uint8_t code);

struct history *history_create(const char *role, struct bytes name);
void history_destroy(struct history *h);

/* It knows too little yet. */
bool history_is_young(const struct history *h);

/* Inside an edit of it. */
void history_finished(struct history *h, uint64_t ms);

/* So much was lost before the next one. */
void history_lost(struct history *h, uint64_t ms);

/* Milliseconds; 0 when it knows too little. */
uint64_t history_predict_ms(const struct history *h);

/* The one of many small trees that has names of this hash. */
struct history_tree *history_tree_of(const struct state *s, uint64_t hash);
/* NULL when there is none. */
struct history *
state_history(const struct state *s, const char *role, struct bytes name);
struct history *state_history_of(const struct state *s, const struct job *j);
/* The one to go when there is no room for one more. */
struct history *state_history_oldest(const struct state *s);

#endif
