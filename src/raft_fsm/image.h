/* image.h - objects of the state as canonical bytes: for the digest and for snapshots.
 *
 * An image is a head of fixed fields and a body, the bytes of a spec (empty for most).
 * The head holds the hash of the body, and the digest of the state is the sum of the
 * hashes of the heads: a change of a job with a spec of 64 KiB costs no more than that
 * of a small one.  docs/spec/5-log-and-snapshots.md names the fields.
 */
#ifndef RAFT_FSM_IMAGE_H
#define RAFT_FSM_IMAGE_H

#include "base/buffer.h"
#include "base/hash.h"
#include "raft_fsm/state.h"

#include <stdbool.h>
#include <stdint.h>

/* In the order of a snapshot: a reference points back.  The number of each is the first byte
 * of its images, and stays as it is when a table is put between others. */
#define TABLES(X)      \
    X(GLOBALS, 1)      \
    X(AGENTS, 2)       \
    X(ROLES, 8)        \
    X(JOBS, 3)         \
    X(TASKS, 4)        \
    X(ATTEMPTS, 5)     \
    X(TOMBSTONES, 6)   \
    X(FAILURE_SUMS, 9) \
    X(FAILURES, 10)    \
    X(HISTORIES, 11)   \
    X(END, 7) /* a digest, last in a snapshot */

enum table {
    TABLE_NONE,
#define X(name, byte) TABLE_##name,
    TABLES(X)
#undef X
};

/* Any object. */
struct object {
    enum table table;
    struct job *job; /* a job itself, or the job of a task */
    union {
        struct globals *globals;
        struct agent *agent;
        struct role *role;
        struct task *task;
        struct attempt *attempt;
        struct tombstone *tombstone;
        struct failure_sum *failure_sum;
        struct failure *failure;
        struct history *history;
    };
};

static inline struct object object_globals(struct state *s)
{
    return (struct object){.table = TABLE_GLOBALS, .globals = &s->globals};
}

static inline struct object object_agent(struct agent *a)
{
    return (struct object){.table = TABLE_AGENTS, .agent = a};
}

static inline struct object object_role(struct role *r)
{
    return (struct object){.table = TABLE_ROLES, .role = r};
}

static inline struct object object_job(struct job *j)
{
    return (struct object){.table = TABLE_JOBS, .job = j};
}

static inline struct object object_task(struct job *j, struct task *t)
{
    return (struct object){.table = TABLE_TASKS, .job = j, .task = t};
}

static inline struct object object_attempt(struct attempt *t)
{
    return (struct object){.table = TABLE_ATTEMPTS, .attempt = t};
}

static inline struct object object_tombstone(struct tombstone *t)
{
    return (struct object){.table = TABLE_TOMBSTONES, .tombstone = t};
}

static inline struct object object_failure_sum(struct failure_sum *f)
{
    return (struct object){.table = TABLE_FAILURE_SUMS, .failure_sum = f};
}

static inline struct object object_failure(struct failure *f)
{
    return (struct object){.table = TABLE_FAILURES, .failure = f};
}

static inline struct object object_history(struct history *h)
{
    return (struct object){.table = TABLE_HISTORIES, .history = h};
}

/* Where an object stands in a snapshot. */
struct object_key {
    enum table table;
    uint64_t
        major; /* id, of a role or history from 0; of the job for a task; purged_us for a
                * tombstone; 0 or 1, for agents, of a sum of failures */
    uint64_t
        minor; /* instance of a task; job_id for a tombstone; reason of a sum; else 0 */
};

struct object_key object_key(const struct object *o);
int object_key_compare(struct object_key a, struct object_key b);
uint64_t *object_changed(const struct object *o);

#define IMAGE_HEAD_MAX 4096 /* a role with the longest names of custom resources */

struct image {
    uint8_t head[IMAGE_HEAD_MAX];
    size_t size;
    struct bytes body; /* a view of the object's spec */
};

void image_write(struct image *image, const struct object *o);
struct hash128 image_hash(const struct image *image);
/* As a record of a snapshot: u32 size, head, body. */
size_t image_record_size(const struct image *image);
void image_store(const struct image *image, uint8_t *to);
void image_append(const struct image *image, struct buffer *out);

struct record_after {
    uint64_t job;
    uint8_t on; /* enum job_on */
};

/* What a record of a snapshot holds.  Views point into the record; members that a
 * reader derives are zero, and references are ids.  Extras are owned. */
struct record {
    enum table table;
    union {
        struct globals globals;
        struct agent agent;
        struct role role; /* owns what its spec owns */
        struct job job;
        struct task task;
        struct {
            struct attempt attempt;
            uint16_t ports[LIMIT_TASK_PORTS]; /* of it */
        };
        struct tombstone tombstone;
        struct failure_sum failure_sum;
        struct failure failure;
        struct history history; /* without its names */
        struct hash128 digest;  /* of TABLE_END */
    };
    uint64_t job_id;      /* of a task and an attempt */
    uint64_t agent_id;    /* of an attempt */
    struct bytes message; /* of a task */
    struct bytes
        name; /* of a role, and of the role of a job or history; of a job: empty is
                        * `default` */
    struct bytes owner;                     /* of a job */
    struct bytes job_name;                  /* of a history */
    struct record_after after[LIMIT_AFTER]; /* what a job waits for */
    uint8_t after_count;
};

/* Decode the bytes after the size word; false unless they are canonical: sizes, numbers
 * of states and the hash of the body are right, and nothing is left over. */
bool record_read(struct record *r, struct bytes bytes);
/* Frees what nobody took out of it. */
void record_finish(struct record *r);
void record_append_end(struct hash128 digest, struct buffer *out);

#endif
