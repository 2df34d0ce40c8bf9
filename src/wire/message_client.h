/* message_client.h - what clients ask and masters answer.
 *
 * Packers append whole frames, or elements of a list.  Unpackers take the params or the
 * result of a frame (rpc.h); views point into them.  Lists are checked whole when they
 * are unpacked: walking them cannot fail.
 */
#ifndef WIRE_MESSAGE_CLIENT_H
#define WIRE_MESSAGE_CLIENT_H

#include "base/buffer.h"
#include "base/error.h"
#include "wire/agent.h"
#include "wire/command.h"
#include "wire/rpc.h"
#include "wire/task.h"

#include <stdbool.h>
#include <stdint.h>

struct submit_request {
    struct bytes key;
    struct bytes spec;  /* of a set: all of them, job_specs_pack() */
    struct bytes owner; /* who submits it; may be empty */
    bool is_set;        /* pack: submit_all, of several jobs */
    uint64_t check;     /* index of a plan (message_plan.h) that is to hold still; 0: none */
};
void submit_pack(const struct submit_request *r, uint32_t id, struct buffer *out);
int submit_unpack(struct submit_request *out, struct bytes params, struct error *err);

/* dispatch: [key, job, values packed, owner] */
struct dispatch_request {
    struct bytes key;
    uint64_t job;
    struct bytes values; /* texts_pack() of "NAME=value" */
    struct bytes owner;
};
void dispatch_pack(const struct dispatch_request *r, uint32_t id, struct buffer *out);
int dispatch_unpack(struct dispatch_request *out,
                    struct bytes params,
                    struct error *err);

struct submit_result { /* also the result of dispatch, kill, purge and agent_gone */
    uint64_t id;
    uint64_t index;
};
void submit_result_pack(const struct submit_result *r, uint32_t id, struct buffer *out);
int submit_result_unpack(struct submit_result *out,
                         struct bytes result,
                         struct error *err);

/* kill, purge, agent_gone: [id] */
void id_request_pack(enum method method,
                     uint64_t target,
                     uint32_t id,
                     struct buffer *out);
int id_request_unpack(uint64_t *target, struct bytes params, struct error *err);

/* agent_mode: [agent, mode, deadline_ms]; its result is that of agent_gone. */
struct agent_mode_request {
    uint64_t agent;
    enum agent_mode mode;
    uint64_t deadline_ms; /* of a drain, from when it is committed; else 0 */
};
void agent_mode_pack(const struct agent_mode_request *r,
                     uint32_t id,
                     struct buffer *out);
int agent_mode_unpack(struct agent_mode_request *out,
                      struct bytes params,
                      struct error *err);

/* jobs, tasks, agents, masters, usage, spec, roles, failures: a page of a listing. */
struct list_request {
    uint64_t of;    /* tasks, spec: the job; jobs, failures: one job, or 0 for all */
    uint64_t after; /* continue after this id or instance + 1; 0: from the start */
    uint32_t limit; /* elements wanted; the answer may have fewer */
    bool stale;     /* any master answers from what it has */
    /* failures; 0: any */
    uint64_t agent;    /* where it failed, or went on */
    uint32_t type;     /* failure_type_number() */
    uint64_t since_us; /* not older */
};
void list_pack(enum method method,
               const struct list_request *r,
               uint32_t id,
               struct buffer *out);
int list_unpack(struct list_request *out, struct bytes params, struct error *err);

/* Listing results: [index, next, [element…]]. */
struct list_result {
    uint64_t index;
    uint64_t next; /* 0: complete */
    uint32_t count;
    struct bytes packed;
};
/* begin, element_pack × n while list_has_room(), end; next and count are patched in. */
struct list_writer {
    struct buffer *out;
    size_t frame;
    size_t count_at;
    uint32_t count;
};
void list_begin(struct list_writer *w, struct buffer *out, uint32_t id, uint64_t index);
bool list_has_room(
    const struct list_writer *w); /* for one more element, however large */
void list_end(struct list_writer *w, uint64_t next);
/* For the packers of elements: the next one is an array of so many fields. */
struct buffer *list_begin_element(struct list_writer *w, uint32_t fields);
/* `method` says what is in the list: METHOD_JOBS, _TASKS, _AGENTS, _MASTERS,
 * _USAGE, _SPEC, _ROLES, _FAILURES or _FAILURE_SUMS. */
int list_result_unpack(struct list_result *out,
                       enum method method,
                       struct bytes result,
                       struct error *err);

struct job_summary {
    uint64_t id;
    struct bytes name;
    enum job_state state;
    uint32_t instances;
    int32_t priority;
    uint32_t tasks[TASK_STATE_COUNT];
    uint64_t submitted_us, ended_us, changed;
    struct bytes
        why; /* why pending tasks wait ("no agent has 64 cpus"), and which one is
                       * restarted again and again; or empty */
    enum job_kind kind;
    uint64_t expected_ms; /* that a task takes; 0: not told */
    enum expectation expected_from;
    uint64_t reserved_agent; /* it is kept for a task of the job; 0: none is */
    uint64_t reserved_us; /* when it should have room; 0: that is not known, or over */
};
void job_summary_pack(struct list_writer *w, const struct job_summary *j);
bool job_summary_next(const struct list_result *l,
                      struct command_cursor *at,
                      struct job_summary *out);

/* spec: a listing of one. */
struct spec_info {
    uint64_t job;
    struct bytes spec; /* packed (job.h) */
};
void spec_info_pack(struct list_writer *w, const struct spec_info *s);
bool spec_info_next(const struct list_result *l,
                    struct command_cursor *at,
                    struct spec_info *out);

struct task_info {
    uint32_t instance;
    uint32_t attempt;
    uint64_t attempt_id;
    uint64_t agent_id;
    struct bytes agent_http; /* address of the agent's HTTP listener (joint 14) */
    enum task_state state;
    enum task_reason reason;
    int32_t exit_code;
    struct bytes message;
    uint64_t started_us, ended_us;
    struct bytes agent_rpc; /* of its RPC listener, for exec */
    uint64_t placed_us;     /* of the current or last attempt */
    enum task_health health;
    uint32_t restarts;
    /* Pack: the caller's array.  Unpacked: the first port_count of `unpacked`. */
    const uint16_t *ports;
    uint32_t port_count; /* at most LIMIT_TASK_PORTS */
    uint16_t unpacked[LIMIT_TASK_PORTS];
    struct bytes why; /* what time it waits for ("retry 2 of 3 in 14s"), or empty */
};
void task_info_pack(struct list_writer *w, const struct task_info *t);
bool task_info_next(const struct list_result *l,
                    struct command_cursor *at,
                    struct task_info *out);

struct custom_view {
    struct bytes name;
    uint64_t amount; /* thousandths */
};

struct agent_info {
    uint64_t id;
    enum agent_state state;
    struct bytes spec;
    struct resources allocated;
    uint32_t tasks;
    uint32_t superseded;
    enum agent_mode mode;
    uint64_t drain_us; /* the deadline of a drain, or 0 */
    uint32_t flags;    /* AGENT_FLAG_…, as the leader heard last */
    /* Beside `allocated`, as far as there is room. */
    struct port_range ports[LIMIT_LISTED_RANGES];
    size_t range_count;
    struct custom_view custom[LIMIT_LISTED_CUSTOM];
    size_t custom_count;
};
void agent_info_pack(struct list_writer *w, const struct agent_info *a);
bool agent_info_next(const struct list_result *l,
                     struct command_cursor *at,
                     struct agent_info *out);

#define DIGEST_BYTES 16

struct master_info { /* one element: the answering master itself; the client asks each
                      */
    uint64_t id;
    struct bytes address;
    struct bytes role; /* leader, follower, candidate */
    uint64_t leader;   /* 0: unknown */
    uint64_t term, commit_index, applied_index;
    struct bytes digest; /* DIGEST_BYTES at digest_index, or empty */
    uint64_t digest_index;
};
void master_info_pack(struct list_writer *w, const struct master_info *m);
bool master_info_next(const struct list_result *l,
                      struct command_cursor *at,
                      struct master_info *out);

#endif
