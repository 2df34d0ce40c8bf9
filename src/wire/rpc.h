/* rpc.h - frames, the envelope of every message, and hello (docs/spec/4-rpc.md).
 *
 * A frame is u32 size (little-endian) and that many bytes: one MessagePack value in the
 * MessagePack-RPC shape
 *
 *     request  [0, id, method, params]      answered by  [1, id, error, result]
 *     notify   [2, method, params]          never answered
 *
 * with params and results as arrays (pack.h), error = nil or [code, text, hint, retry] where
 * hint is the RPC address of the leader if it is known, and retry says when what is busy may be
 * asked again.  The first frame each way on
 * every connection is the notify `hello`.  Requests have ids from 1: an error with id 0
 * is about the connection, which is closed after it.
 */
#ifndef WIRE_RPC_H
#define WIRE_RPC_H

#include "base/buffer.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROTOCOL_VERSION 1
/* What masters replicate, and what applying makes of it: commands, specs, images.  Masters of
 * another version would come to another state, so they do not talk to each other. */
#define REPLICATED_VERSION 6

/* Method names are on the wire. */
#define METHODS(X)                                                             \
    X(HELLO, "hello")                                                          \
    /* between masters */                                                      \
    X(RAFT, "raft")         /* one message of src/raft/message.h */            \
    X(SNAPSHOT, "snapshot") /* message_snapshot.h; so are the next four */     \
    X(CREDIT, "credit")                                                        \
    X(CHUNK, "chunk")                                                          \
    X(CHUNKS_END, "chunks_end")                                                \
    X(STAGED, "staged")                                                        \
    /* client to master: requests */                                           \
    X(SUBMIT, "submit")                                                        \
    X(SUBMIT_ALL, "submit_all") /* the same of several jobs */                 \
    X(DISPATCH, "dispatch")     /* a job of one with parameters */             \
    X(KILL, "kill")                                                            \
    X(JOBS, "jobs")   /* summaries, in pages */                                \
    X(TASKS, "tasks") /* the tasks of a job, in pages */                       \
    X(AGENTS, "agents")                                                        \
    X(MASTERS, "masters")                                                      \
    X(SPEC, "spec") /* a listing of one: what a job was submitted as */        \
    X(PURGE, "purge")                                                          \
    X(AGENT_GONE, "agent_gone")                                                \
    X(AGENT_MODE, "agent_mode")                                                \
    X(ROLES, "roles") /* message_role.h; so are the next two */                \
    X(ROLE_SET, "role_set")                                                    \
    X(ROLE_REMOVE, "role_remove")                                              \
    X(FAILURES, "failures") /* message_failure.h; so is the next */            \
    X(FAILURE_SUMS, "failure_sums")                                            \
    X(PLAN, "plan") /* message_plan.h */                                       \
    /* agent to master */                                                      \
    X(REGISTER, "register")   /* request */                                    \
    X(RUNS, "runs")           /* request: all runs, when the digest differs */ \
    X(HEARTBEAT, "heartbeat") /* notify */                                     \
    X(UPDATE, "update")       /* notify: states of runs, until acknowledged */ \
    X(USAGE, "usage")         /* notify; and a listing of a client */          \
    /* master to agent: notifies, each with the leader's term */               \
    X(LEADING, "leading")                                                      \
    X(LAUNCH, "launch")                                                        \
    X(STOP, "stop")                                                            \
    X(ACK, "ack")                                                              \
    X(LEASE, "lease")                                                          \
    /* client and agent: message_exec.h; all but the first are notifies */     \
    X(EXEC, "exec")                                                            \
    X(EXEC_DATA, "exec_data")                                                  \
    X(EXEC_CREDIT, "exec_credit")                                              \
    X(EXEC_RESIZE, "exec_resize")                                              \
    X(EXEC_CLOSE_INPUT, "exec_close_input")                                    \
    X(EXEC_EXIT, "exec_exit")                                                  \
    X(EXEC_PING, "exec_ping")

enum method {
    METHOD_UNKNOWN = 0,
#define X(name, text) METHOD_##name,
    METHODS(X)
#undef X
};

const char *method_name(enum method method); /* "unknown" for METHOD_UNKNOWN */

enum rpc_type { RPC_REQUEST = 0, RPC_RESPONSE = 1, RPC_NOTIFY = 2 };

struct rpc {
    enum rpc_type type;
    uint32_t id; /* request and response */

    /* request and notify */
    enum method method;
    struct bytes method_text; /* as sent, for the error about an unknown one */

    /* response: ERROR_NONE, or an error with a text for people and perhaps HOST:PORT of
     * the leader.  The number of an error that a newer version knows becomes INTERNAL.
     */
    enum error_code code;
    struct bytes text;
    struct bytes hint;
    uint64_t retry_after_ms; /* of BUSY: before that it is of no use; 0: not known */

    struct bytes params; /* or the result: the packed bytes of an array */
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
void rpc_busy(struct buffer *out,
              uint32_t id,
              const char *text,
              uint64_t retry_after_ms);

/* The size of the first frame in `bytes` with its size word, 0 if it is not whole yet,
 * or a negative error (TOO_LARGE), which four bytes are enough to find. */
int64_t rpc_frame_size(struct bytes bytes, struct error *err);
/* Decode one frame's value (without the size word).  Once it is accepted, the whole
 * value is well-formed MessagePack.  A method that is not known is METHOD_UNKNOWN, not
 * an error. */
int rpc_unpack(struct rpc *out, struct bytes frame, struct error *err);

/* ---- hello ---- */
enum hello_role {
    HELLO_MASTER = 1,
    HELLO_AGENT = 2,
    HELLO_CLIENT = 3,
    HELLO_SNAPSHOT = 4, /* a master, on the connection of one snapshot (joint 13) */
};

enum founding { FOUNDING_EMPTY = 1, FOUNDING_AGREED = 2, FOUNDING_MEMBER = 3 };

struct hello {
    uint32_t protocol;
    enum hello_role role;
    /* 0 or 16 bytes: the cluster id; the hash of --cluster while a master has none;
     * empty for any cluster. */
    struct bytes cluster;
    uint64_t id;          /* master id; agent id or 0; 0 for a client */
    uint64_t incarnation; /* random for each start of the process */
    struct bytes version; /* software version, for people */

    /* masters only */
    struct bytes cluster_hash; /* 0 or 16 bytes: of the canonical --cluster list */
    enum founding founding;    /* 0 for others */
    bool leads;                /* this incarnation leads right now, in term */
    uint64_t term;
    uint32_t replicated; /* REPLICATED_VERSION; 0: the first */
};
void hello_pack(const struct hello *h, struct buffer *out); /* a whole frame */
/* Another PROTOCOL_VERSION is ERROR_VERSION: what follows may mean something else. */
int hello_unpack(struct hello *out, struct bytes params, struct error *err);

#endif
