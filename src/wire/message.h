/* message.h - what travels in frames (docs/spec/4-rpc.md).
 *
 * A frame is u32 size (little-endian) and that many bytes: one MessagePack value in the
 * MessagePack-RPC shape
 *
 *     request  [0, id, method, params]      answered by  [1, id, error, result]
 *     notify   [2, method, params]          never answered
 *
 * with params and results as arrays (pack.h), error = nil or [code, text, hint] where hint is
 * the RPC address of the leader if it is known.  The first frame each way on every connection
 * is the notify `hello`.
 *
 * Packers append whole frames, with the size word.  Unpackers take the bytes of params or
 * result; views point into them.
 */
#ifndef WIRE_MESSAGE_H
#define WIRE_MESSAGE_H

#include "base/buffer.h"
#include "base/error.h"
#include "wire/agent.h"
#include "wire/command.h"
#include "wire/task.h"

#include <stdbool.h>
#include <stdint.h>

#define PROTOCOL_VERSION 1

/* Method names are on the wire. */
#define METHODS(X)                                                                   \
    X(HELLO, "hello")                                                                \
    /* between masters */                                                            \
    X(RAFT, "raft")                 /* one message of src/raft/message.h */          \
    /* client to master: requests */                                                 \
    X(SUBMIT, "submit")                                                              \
    X(KILL, "kill")                                                                  \
    X(JOBS, "jobs")                 /* summaries, in pages */                        \
    X(TASKS, "tasks")               /* the tasks of a job, in pages */               \
    X(AGENTS, "agents")                                                              \
    X(MASTERS, "masters")                                                            \
    X(PURGE, "purge")                                                                \
    X(AGENT_GONE, "agent_gone")                                                      \
    /* agent to master */                                                            \
    X(REGISTER, "register")         /* request */                                    \
    X(RUNS, "runs")                 /* request: all runs, when the digest differs */ \
    X(HEARTBEAT, "heartbeat")       /* notify */                                     \
    X(UPDATE, "update")             /* notify: states of runs, until acknowledged */ \
    /* master to agent: notifies, each with the leader's term */                     \
    X(LEADING, "leading")                                                            \
    X(LAUNCH, "launch")                                                              \
    X(STOP, "stop")                                                                  \
    X(ACK, "ack")

enum method {
    METHOD_UNKNOWN = 0,
#define X(name, text) METHOD_##name,
    METHODS(X)
#undef X
};

const char *method_name(enum method method);

enum rpc_type { RPC_REQUEST = 0, RPC_RESPONSE = 1, RPC_NOTIFY = 2 };

struct rpc {
    enum rpc_type type;
    uint32_t id;          /* request and response */
    enum method method;   /* request and notify */
    struct bytes method_text; /* as sent, for the error about an unknown one */
    enum error_code code; /* response: ERROR_NONE or an error */
    struct bytes text;    /* response with an error: for people */
    struct bytes hint;    /* response with an error: HOST:PORT of the leader, or empty */
    struct bytes params;  /* or the result of a response: packed bytes */
};

/* Frames.  begin/end pairs let the caller pack params in between:
 *     size_t at = rpc_begin_request(out, id, METHOD_SUBMIT);
 *     pack_array(out, 2); …
 *     rpc_end(out, at);
 * rpc_end() asserts LIMIT_FRAME_BYTES. */
size_t rpc_begin_request(struct buffer *out, uint32_t id, enum method method);
size_t rpc_begin_notify(struct buffer *out, enum method method);
size_t rpc_begin_result(struct buffer *out, uint32_t id);
void rpc_end(struct buffer *out, size_t begin);
void rpc_error(struct buffer *out,
               uint32_t id,
               enum error_code code,
               const char *text,
               const char *hint);

/* The size of the first frame in `bytes` with its size word, 0 if it is not whole yet, or a
 * negative error (TOO_LARGE). */
int64_t rpc_frame_size(struct bytes bytes, struct error *err);
/* Decode one frame's value (without the size word). */
int rpc_unpack(struct rpc *out, struct bytes frame, struct error *err);

/* ---- hello ---- */
enum role { ROLE_MASTER = 1, ROLE_AGENT = 2, ROLE_CLIENT = 3 };

enum founding { FOUNDING_EMPTY = 1, FOUNDING_AGREED = 2, FOUNDING_MEMBER = 3 };

struct hello {
    uint32_t protocol;
    enum role role;
    struct bytes cluster; /* cluster id; hash of --cluster while a master has none; empty: any */
    uint64_t id;          /* master id; agent id or 0; 0 for a client */
    uint64_t incarnation; /* random for each start of the process */
    struct bytes version; /* software version, for people */
    /* masters only */
    struct bytes cluster_hash; /* of the canonical --cluster list */
    enum founding founding;
    bool leads;           /* this incarnation leads right now, in term */
    uint64_t term;
};
void hello_pack(const struct hello *h, struct buffer *out); /* a whole frame */
int hello_unpack(struct hello *out, struct bytes params, struct error *err);

/* ---- agent and master ---- */

/* One run as the agent knows it.  FINAL states stay until acknowledged. */
struct run_report {
    uint64_t attempt;
    enum task_state state;
    enum task_reason reason;
    int32_t exit_code;
    struct bytes message;
};

/* Order-free digest of (attempt, state) of a set of runs: the sum mod 2^64 of their hashes, so
 * that both sides keep it incrementally.  Final runs not yet acknowledged count. */
uint64_t run_digest(uint64_t attempt, enum task_state state);

struct register_request {
    uint64_t agent; /* 0: none yet */
    struct bytes spec;
    uint64_t runs_digest;
    uint32_t runs_count;
    uint64_t highest_attempt; /* highest attempt id ever accepted (at-most-once launch) */
};
void register_pack(const struct register_request *r, uint32_t id, struct buffer *out);
int register_unpack(struct register_request *out, struct bytes params, struct error *err);

struct register_result {
    uint64_t agent;
    uint8_t cluster_id[CLUSTER_ID_BYTES];
    uint64_t term;
    bool send_runs; /* the digest differs: send `runs` before anything else */
};
void register_result_pack(const struct register_result *r, uint32_t id, struct buffer *out);
int register_result_unpack(struct register_result *out, struct bytes result, struct error *err);

/* `runs` (request) and `update` (notify): [agent, part, parts, [run…]]; a list that does not
 * fit one frame goes in several parts. */
struct run_list {
    uint64_t agent;
    uint32_t part, parts; /* 0, 1 for an update */
    uint32_t count;
    struct bytes packed;
};
void update_pack(uint64_t agent,
                 const struct run_report *runs,
                 uint32_t count,
                 struct buffer *out);
void runs_pack(uint64_t agent,
               uint32_t part,
               uint32_t parts,
               const struct run_report *runs,
               uint32_t count,
               uint32_t id,
               struct buffer *out);
int run_list_unpack(struct run_list *out, struct bytes params, struct error *err);
bool run_list_next(const struct run_list *list, struct command_cursor *at, struct run_report *out);

struct launch {
    uint64_t attempt;
    uint64_t job;
    uint32_t instance;
    uint32_t number;
    struct bytes spec; /* canonical job_spec bytes */
};

/* One frame for many: [term, [launch…]] and so on.  count elements, at most a frame full:
 * `launch_fits` says whether one more spec of that size goes into the frame begun at `begin`. */
void leading_pack(uint64_t term, struct buffer *out);
int leading_unpack(uint64_t *term, struct bytes params, struct error *err);

void launch_pack(uint64_t term, const struct launch *launches, uint32_t count, struct buffer *out);

struct stop { /* end this run: TERM, its grace, KILL */
    uint64_t attempt;
};
void stop_pack(uint64_t term, const struct stop *stops, uint32_t count, struct buffer *out);

struct ack { /* the update (attempt, state) is in the log; after a final one the run is forgotten */
    uint64_t attempt;
    enum task_state state;
};
void ack_pack(uint64_t term, const struct ack *acks, uint32_t count, struct buffer *out);

struct order_list { /* decoded launch, stop or ack */
    uint64_t term;
    uint32_t count;
    struct bytes packed;
};
int order_list_unpack(struct order_list *out, struct bytes params, struct error *err);
bool launch_next(const struct order_list *list, struct command_cursor *at, struct launch *out);
bool stop_next(const struct order_list *list, struct command_cursor *at, struct stop *out);
bool ack_next(const struct order_list *list, struct command_cursor *at, struct ack *out);

struct heartbeat {
    uint64_t agent;
    uint64_t term; /* highest seen: tells a deposed leader */
};
void heartbeat_pack(const struct heartbeat *h, struct buffer *out);
int heartbeat_unpack(struct heartbeat *out, struct bytes params, struct error *err);

/* ---- client and master ---- */

struct submit_request {
    struct bytes key;
    struct bytes spec;
};
void submit_pack(const struct submit_request *r, uint32_t id, struct buffer *out);
int submit_unpack(struct submit_request *out, struct bytes params, struct error *err);

struct submit_result { /* also the result of kill, purge and agent_gone */
    uint64_t id;
    uint64_t index;
};
void submit_result_pack(const struct submit_result *r, uint32_t id, struct buffer *out);
int submit_result_unpack(struct submit_result *out, struct bytes result, struct error *err);

/* kill, purge, agent_gone: [id] */
void id_request_pack(enum method method, uint64_t target, uint32_t id, struct buffer *out);
int id_request_unpack(uint64_t *target, struct bytes params, struct error *err);

/* jobs, tasks, agents, masters: a page of a listing. */
struct list_request {
    uint64_t of;    /* tasks: the job; jobs: one job, or 0 for all */
    uint64_t after; /* continue after this id or instance + 1; 0: from the start */
    uint32_t limit; /* elements wanted; the answer may have fewer */
    bool stale;     /* any master answers from what it has */
};
void list_pack(enum method method, const struct list_request *r, uint32_t id, struct buffer *out);
int list_unpack(struct list_request *out, struct bytes params, struct error *err);

/* Listing results: [index, next_after or 0, [element…]]. */
struct list_result {
    uint64_t index;
    uint64_t next; /* 0: complete */
    uint32_t count;
    struct bytes packed;
};
/* begin, element_pack × n, end; the count is patched in. */
struct list_writer {
    struct buffer *out;
    size_t frame;
    size_t count_at;
    uint32_t count;
};
void list_begin(struct list_writer *w, struct buffer *out, uint32_t id, uint64_t index);
void list_end(struct list_writer *w, uint64_t next);
int list_result_unpack(struct list_result *out, struct bytes result, struct error *err);

struct job_summary {
    uint64_t id;
    struct bytes name;
    enum job_state state;
    uint32_t instances;
    int32_t priority;
    uint32_t tasks[TASK_STATE_COUNT];
    uint64_t submitted_us, ended_us, changed;
    struct bytes why; /* why pending tasks wait ("no agent has 64 cpus"), or empty */
};
void job_summary_pack(struct list_writer *w, const struct job_summary *j);
bool job_summary_next(const struct list_result *l, struct command_cursor *at, struct job_summary *out);

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
};
void task_info_pack(struct list_writer *w, const struct task_info *t);
bool task_info_next(const struct list_result *l, struct command_cursor *at, struct task_info *out);

struct agent_info {
    uint64_t id;
    enum agent_state state;
    struct bytes spec;
    struct resources allocated;
    uint32_t tasks;
    uint32_t superseded;
};
void agent_info_pack(struct list_writer *w, const struct agent_info *a);
bool agent_info_next(const struct list_result *l, struct command_cursor *at, struct agent_info *out);

struct master_info { /* one element: the answering master itself; the client asks each */
    uint64_t id;
    struct bytes address;
    struct bytes role; /* leader, follower, candidate */
    uint64_t leader;   /* 0: unknown */
    uint64_t term, commit_index, applied_index;
    struct bytes digest; /* 16 bytes, at digest_index */
    uint64_t digest_index;
};
void master_info_pack(struct list_writer *w, const struct master_info *m);
bool master_info_next(const struct list_result *l, struct command_cursor *at, struct master_info *out);

#endif
