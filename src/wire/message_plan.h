/* message_plan.h - what clients ask of a plan and masters answer (docs/spec/16-plans.md).
 *
 * A plan says what would happen if jobs were submitted, or agents were not there, as of one
 * index of the log.  Nothing happens.
 */
#ifndef WIRE_MESSAGE_PLAN_H
#define WIRE_MESSAGE_PLAN_H

#include "wire/message_client.h"
#include "wire/pack.h"

#include <stdbool.h>
#include <stdint.h>

/* All agents with this value of an attribute: MATCH_AGENT is their id, MATCH_HOST their host. */
struct plan_removal {
    struct bytes attribute, value;
    bool is_drain; /* they are drained; else they are gone at once */
};

/* plan: [owner, jobs, [[attribute, value, is_drain]…]] */
struct plan_request {
    struct bytes owner;                  /* of the jobs; may be empty */
    struct bytes specs;                  /* job_specs_pack(); empty: no job */
    const struct plan_removal *removals; /* pack: the caller's array */
    uint32_t removal_count;
    struct bytes packed; /* unpacked: read with plan_removal_next() */
};
void plan_pack(const struct plan_request *r, uint32_t id, struct buffer *out);
int plan_unpack(struct plan_request *out, struct bytes params, struct error *err);
bool plan_removal_next(const struct plan_request *r,
                       struct command_cursor *at,
                       struct plan_removal *out);

/* The answer is a listing (METHOD_PLAN) whose index is the one to check when the jobs are
 * submitted, and whose `next` is how many rows had no place in it.  What is not named in a kind is
 * zero.  Numbers are on the wire. */
#define PLAN_ROWS(X)                                                                   \
    X(0, JOB)    /* name: of a new job, of `count` tasks; job: its place among them */ \
    X(1, PLACED) /* so many tasks of the new job `job` go to `agent` */                \
    X(2, WAITS)  /* so many tasks of `job` find no place now: why */                   \
    X(3, SAME)   /* another one of its name and role runs: why, what differs */        \
    X(4, REMOVED)  /* `agent`, which has so many tasks */                              \
    X(5, MOVED)    /* so many tasks of `other` go from `from` to `agent` */            \
    X(6, STRANDED) /* so many of `other` on `from` find no place: why */               \
    X(7, STOPPED)  /* so many of `other` are stopped on `agent` to make room */

enum plan_row_kind {
#define X(number, name) PLAN_##name = number,
    PLAN_ROWS(X)
#undef X
        PLAN_ROW_COUNT
};

struct plan_row {
    enum plan_row_kind kind;
    uint32_t job;
    uint32_t count;
    uint64_t other; /* a job that is there */
    uint64_t from, agent;
    struct bytes name; /* of the job or the other one */
    struct bytes host; /* of `agent` */
    struct bytes why;
};
void plan_row_pack(struct list_writer *w, const struct plan_row *r);
bool plan_row_next(const struct list_result *l,
                   struct command_cursor *at,
                   struct plan_row *out);
/* For list_result_unpack(). */
void plan_row_read(struct unpack *u, void *out);

#endif
