/* message_agent.h - what agents and masters say to each other.
 *
 * Packers append whole frames.  Unpackers take the params or the result of one (rpc.h);
 * views point into them.  Lists are checked whole when they are unpacked: walking them
 * cannot fail.
 */
#ifndef WIRE_MESSAGE_AGENT_H
#define WIRE_MESSAGE_AGENT_H

#include "base/buffer.h"
#include "base/error.h"
#include "wire/command.h"
#include "wire/rpc.h"
#include "wire/task.h"

#include <stdbool.h>
#include <stdint.h>

/* One run as the agent knows it: any state but PENDING and KILLING.  Final ones stay
 * until they are acknowledged.  A message is cut at LIMIT_MESSAGE_BYTES when it is
 * packed; it is not checked to be UTF-8: text_clean() before it is shown. */
struct run_report {
    uint64_t attempt;
    enum task_state state;
    enum task_reason reason;
    int32_t exit_code;
    struct bytes message;
    enum task_health health;
    uint32_t restarts; /* by the agent, in this attempt */
};

/* Order-free digest of (attempt, state) of a set of runs: the sum mod 2^64 of their
 * hashes, so that both sides keep it incrementally.  Final runs not yet acknowledged
 * count.  The hash is splitmix64's finaliser (Steele, Lea, Flood 2014) of
 * 16 * attempt + state + 1: one to one for attempts below 2^60.  It is on the wire, so
 * it never changes. */
uint64_t run_digest(uint64_t attempt, enum task_state state);

#define AGENT_FLAG_LOW_DISK 1u /* takes no new work: its disk is nearly full */
#define AGENT_FLAGS_SAID    AGENT_FLAG_LOW_DISK /* that an agent says of itself */
#define AGENT_FLAG_DAMPED   2u /* takes no new work: the leader sees tasks fail there */

struct register_request {
    uint64_t agent; /* 0: none yet */
    struct bytes spec;
    uint64_t runs_digest;
    uint32_t runs_count;
    uint64_t highest_attempt; /* ever accepted: at-most-once launch */
    uint32_t flags;           /* AGENT_FLAG_… */
};
void register_pack(const struct register_request *r, uint32_t id, struct buffer *out);
int register_unpack(struct register_request *out,
                    struct bytes params,
                    struct error *err);

struct register_result {
    uint64_t agent;
    uint8_t cluster_id[CLUSTER_ID_BYTES];
    uint64_t term;
    bool send_runs; /* the digest differs: send `runs` before anything else */
};
void register_result_pack(const struct register_result *r,
                          uint32_t id,
                          struct buffer *out);
int register_result_unpack(struct register_result *out,
                           struct bytes result,
                           struct error *err);

/* `runs` (request) and `update` (notify): [agent, part, parts, [run…]].  At most
 * LIMIT_UPDATES runs in one frame, so that a frame can become one command; `runs` goes
 * in as many parts as it needs (at least one, also without a run), in ascending order of
 * attempts over all of them, answered by an empty array each. */
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
bool run_list_next(const struct run_list *list,
                   struct command_cursor *at,
                   struct run_report *out);

struct launch {
    uint64_t attempt;
    uint64_t job;
    uint32_t instance;
    uint32_t number;
    struct bytes spec; /* canonical job_spec bytes; agents get their part of it */
    /* Pack: the caller's array.  Unpacked: the first port_count of `unpacked`. */
    const uint16_t *ports;
    uint32_t port_count; /* at most LIMIT_TASK_PORTS */
    uint16_t unpacked[LIMIT_TASK_PORTS];
};

/* leading: [term] */
void leading_pack(uint64_t term, struct buffer *out);
int leading_unpack(uint64_t *term, struct bytes params, struct error *err);

/* One frame for many: [term, [launch…]] and so on.  launch_pack() packs as many of the
 * first `count` > 0 as fit one frame, at least one, and returns how many; the caller
 * sends the rest in the next frame.  Stops and acks: at most LIMIT_ORDERS. */
uint32_t launch_pack(uint64_t term,
                     const struct launch *launches,
                     uint32_t count,
                     struct buffer *out) __attribute__((warn_unused_result));

/* End this run: TERM, its grace, KILL. */
struct stop {
    uint64_t attempt;
    bool superseded; /* another one took its place: for the agent's log */
};
void stop_pack(uint64_t term,
               const struct stop *stops,
               uint32_t count,
               struct buffer *out);

/* The update (attempt, state) is in the log; after a final one the run is forgotten. */
struct ack {
    uint64_t attempt;
    enum task_state state;
    enum task_health health;
    uint32_t restarts;
};
void ack_pack(uint64_t term,
              const struct ack *acks,
              uint32_t count,
              struct buffer *out);

struct order_list { /* decoded launch, stop or ack */
    uint64_t term;
    uint32_t count;
    struct bytes packed;
};
/* `method` says what is in the list: METHOD_LAUNCH, METHOD_STOP or METHOD_ACK. */
int order_list_unpack(struct order_list *out,
                      enum method method,
                      struct bytes params,
                      struct error *err);
bool launch_next(const struct order_list *list,
                 struct command_cursor *at,
                 struct launch *out);
bool stop_next(const struct order_list *list,
               struct command_cursor *at,
               struct stop *out);
bool ack_next(const struct order_list *list,
              struct command_cursor *at,
              struct ack *out);

struct heartbeat {
    uint64_t agent;
    uint64_t term;     /* highest seen: tells a deposed leader */
    uint32_t flags;    /* AGENT_FLAG_… */
    uint64_t sequence; /* of the lease that it asks for; 0: it asks for none */
};
void heartbeat_pack(const struct heartbeat *h, struct buffer *out);
int heartbeat_unpack(struct heartbeat *out, struct bytes params, struct error *err);

/* lease: [term, sequence].  After that heartbeat had come a majority said that we lead: what
 * runs by a lease may run for its length, counted from when the heartbeat was sent. */
void lease_pack(uint64_t term, uint64_t sequence, struct buffer *out);
int lease_unpack(uint64_t *term,
                 uint64_t *sequence,
                 struct bytes params,
                 struct error *err);

#endif
