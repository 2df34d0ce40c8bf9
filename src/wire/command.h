/* command.h - every change to the replicated state, and the entries that carry them.
 *
 * docs/spec/2-commands.md tells what each does.  A command is a MessagePack array
 * [kind, fields…]; the leader adds nothing to it.  An entry is
 *
 *     u8 version | u64 stamp | n × ( u32 size | command )          integers little-endian
 *
 * with stamp = max(wall clock, last stamp + 1) in microseconds since 1970: the only clock that
 * applying sees.  Ids come from counters in the state.
 *
 * Views (struct bytes, char pointers inside them) point into the decoded bytes and live as
 * long as those.
 */
#ifndef WIRE_COMMAND_H
#define WIRE_COMMAND_H

#include "base/buffer.h"
#include "base/error.h"
#include "wire/agent.h"
#include "wire/job.h"
#include "wire/task.h"

#include <stdbool.h>
#include <stdint.h>

/* 1: makes no failures, histories and predictions (spec 13); 2: stamps nothing that plans rest on
 * (spec 16) */
#define ENTRY_VERSION      3
#define ENTRY_HEADER_BYTES 9
#define CLUSTER_ID_BYTES   16

/* Numbers are in the log for ever; new kinds go to the end. */
#define COMMAND_KINDS(X)                         \
    X(1, FOUND, "found")                         \
    X(2, SUBMIT, "submit")                       \
    X(3, KILL, "kill")                           \
    X(4, AGENT_REGISTER, "agent_register")       \
    X(5, AGENT_REREGISTER, "agent_reregister")   \
    X(6, AGENT_UNREACHABLE, "agent_unreachable") \
    X(7, AGENT_GONE, "agent_gone")               \
    X(8, PLACE, "place")                         \
    X(9, TASK_UPDATE, "task_update")             \
    X(10, PURGE, "purge")                        \
    X(11, EXPIRE_KEYS, "expire_keys")            \
    X(12, AGENT_MODE, "agent_mode")              \
    X(13, DRAIN_DUE, "drain_due")                \
    X(14, RETRY, "retry")                        \
    X(15, LAPSE, "lapse")                        \
    X(16, ROLE_SET, "role_set")                  \
    X(17, ROLE_REMOVE, "role_remove")            \
    X(18, SUBMIT_ALL, "submit_all")              \
    X(19, RELEASE, "release")                    \
    X(20, FIRE, "fire")                          \
    X(21, DISPATCH, "dispatch")                  \
    X(22, PREEMPT, "preempt")                    \
    X(23, MOVE, "move")

enum command_kind {
#define X(number, name, text) COMMAND_##name = number,
    COMMAND_KINDS(X)
#undef X
};

/* How the keys begin that masters give themselves; no client may send one. */
#define MASTERS_KEY       "\0triarch"
#define MASTERS_KEY_BYTES 8
bool key_is_of_masters(struct bytes key);

const char *command_name(enum command_kind kind);

struct placement {
    uint64_t job;
    uint32_t instance;
    uint32_t attempt; /* its number: 1 + the last one's, else it is rejected */
    uint64_t agent;
};

struct task_update {
    uint64_t attempt;      /* attempt id */
    enum task_state state; /* STARTING, RUNNING or final */
    enum task_reason reason;
    int32_t exit_code;    /* FINISHED, FAILED: exit status or 128 + signal */
    struct bytes message; /* text for people, at most LIMIT_MESSAGE_BYTES */
    enum task_health health;
    uint32_t restarts; /* by the agent, in this attempt */
};

struct command {
    enum command_kind kind;
    union {
        struct {
            uint8_t cluster_id[CLUSTER_ID_BYTES];
        } found;
        struct {
            struct bytes key;   /* 1 to LIMIT_KEY_BYTES */
            struct bytes spec;  /* canonical job_spec bytes; submit_all: packed specs
                                 * (job_specs_pack()) */
            struct bytes owner; /* who submits: at most LIMIT_OWNER_BYTES of text; may
                                 * be empty */
            uint64_t check;     /* index of a plan: it is to hold still; 0: none */
        } submit; /* and submit_all */
        struct {
            uint64_t job;
        } kill;
        struct {
            struct bytes spec; /* canonical agent_spec bytes */
        } agent_register;
        struct {
            uint64_t agent;
            struct bytes spec;
        } agent_reregister;
        struct {
            uint64_t agent;
        } agent_unreachable, agent_gone, drain_due;
        struct {
            uint64_t agent;
            enum agent_mode mode;
            uint64_t deadline_ms; /* DRAINING: from the entry's stamp on; else 0 */
        } agent_mode;
        struct {
            const struct placement *placements; /* pack: the caller's array */
            uint32_t count;
            struct bytes packed; /* decoded: read with command_next_placement() */
        } place;
        struct {
            uint64_t agent; /* the reporter: others' attempts are ignored */
            const struct task_update *updates;
            uint32_t count;
            struct bytes packed; /* decoded: read with command_next_update() */
        } task_update;
        struct {
            uint64_t job;
            uint32_t instance;
            uint32_t attempt; /* number of its last one */
        } retry;
        struct {
            uint64_t attempt; /* its lease has run out */
        } lapse;
        struct {
            struct bytes key, owner; /* as of submit */
            uint64_t job;            /* with parameters */
            struct bytes values;     /* texts_pack() of "NAME=value" */
        } dispatch;
        struct {
            uint64_t job;            /* for one task of it … */
            uint64_t agent;          /* … these attempts there are to end */
            const uint64_t *victims; /* pack: the caller's array; ids, ascending */
            uint32_t count;          /* 1 to LIMIT_VICTIMS */
            struct bytes packed;     /* decoded: read with command_next_victim() */
        } preempt;
        struct {
            uint64_t attempt; /* is to end here … */
            uint64_t agent;   /* … since this one is better */
        } move;
        struct {
            uint64_t job; /* with a schedule */
            uint64_t slot_us;
            uint64_t missed; /* slots up to this one that nobody was there for */
            bool make;       /* a job of this one */
        } fire;
        struct {
            uint64_t job; /* with a final state; its key becomes a tombstone */
        } purge;
        struct {
            struct bytes change; /* packed role_change */
        } role_set;
        struct {
            struct bytes name; /* 1 to LIMIT_ROLE_BYTES */
        } role_remove;
        struct {
            uint64_t before_us; /* forget tombstones older than this stamp */
        } expire_keys;
    };
};

void command_pack(const struct command *command, struct buffer *out);

/* Checks counts, sizes and ranges, so that what follows cannot fail to decode. */
int command_unpack(struct command *command, struct bytes bytes, struct error *err);

/* Walk the elements of a decoded place, task_update or preempt: false at the end.  *at starts
 * zeroed. */
struct command_cursor {
    struct unpack u;
    uint32_t done;
};
bool command_next_placement(const struct command *c,
                            struct command_cursor *at,
                            struct placement *out);
bool command_next_update(const struct command *c,
                         struct command_cursor *at,
                         struct task_update *out);
bool command_next_victim(const struct command *c,
                         struct command_cursor *at,
                         uint64_t *attempt);

/* Build an entry: begin, then append commands (packed bytes). */
void entry_begin(struct buffer *out, uint64_t stamp_us);
void entry_append(struct buffer *out, struct bytes command);

/* Read an entry. */
struct entry_reader {
    uint8_t version;
    uint64_t stamp_us;
    const uint8_t *at;
    const uint8_t *end;
};
int entry_open(struct entry_reader *r, struct bytes entry, struct error *err);
/* The next command's bytes; false at the end.  entry_open() has checked every size. */
bool entry_next(struct entry_reader *r, struct bytes *command);

#endif
