/* agent.h - what an agent says of itself when it registers.
 *
 * The key makes registration idempotent: an agent draws it once, keeps it in its checkpoint,
 * and the same key always gives the same agent id.
 */
#ifndef WIRE_AGENT_H
#define WIRE_AGENT_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/limits.h"
#include "wire/pack.h"
#include "wire/resources.h"

#include <stddef.h>
#include <stdint.h>

struct attribute {
    char *name;
    char *value;
};

/* What an agent can do, and some jobs need.  Bit, name, word in listings, what a task waits for,
 * and what "no agent can", in the order in which it is told. */
#define AGENT_FEATURES(X)                                                          \
    X(1, JOBS_2, "jobs-2", "", "read all of this job (it is newer than they are)") \
    X(0, IMAGES, "images", "images", "run images")                                 \
    X(2, USERS, "users", "another user", "start tasks as other users")             \
    X(3, VOLUMES, "volumes", "volumes", "mount volumes (triarch-agent --volumes)")

/* Features that no job asks for, so that placing knows nothing of them. */
#define AGENT_TRAITS(X) X(4, LIMITS, "limits") /* of cpu, memory, processes: all hold */

enum agent_feature {
#define X(bit, name, ...) AGENT_FEATURE_##name = 1u << bit,
    AGENT_FEATURES(X) AGENT_TRAITS(X)
#undef X
#define X(bit, ...) | 1u << bit
        AGENT_FEATURES_NEEDED = 0 AGENT_FEATURES(X),
    AGENT_FEATURES_ALL = AGENT_FEATURES_NEEDED AGENT_TRAITS(X)
#undef X
};

struct agent_spec {
    uint8_t key[16];    /* random; the identity of the work directory */
    char *hostname;     /* 1 to LIMIT_NAME_BYTES */
    char *http_address; /* HOST:PORT that clients reach (joint 14); "" if none */
    struct resources resources;
    struct port_range ports[LIMIT_PORT_RANGES];
    size_t port_count;
    struct attribute *attributes; /* sorted by name, names distinct */
    size_t attribute_count;
    uint32_t features; /* AGENT_FEATURE_… */
    struct custom_resources custom;
    char *rpc_address; /* HOST:PORT that clients reach for exec; "" if none */
};

#define AGENT_STATES(X)                                                   \
    X(0, ACTIVE, "ACTIVE")                                                \
    X(1, UNREACHABLE, "UNREACHABLE") /* silent too long; may come back */ \
    X(2, GONE, "GONE")               /* an operator said so; never comes back */

enum agent_state {
#define X(number, name, text) AGENT_##name = number,
    AGENT_STATES(X)
#undef X
        AGENT_STATE_COUNT
};

const char *agent_state_name(enum agent_state state);

/* What an operator wants of an agent, beside its state. */
#define AGENT_MODES(X)                                              \
    X(0, NORMAL, "NORMAL")                                          \
    X(1, CORDONED, "CORDONED") /* no new work; what runs goes on */ \
    X(2, DRAINING, "DRAINING") /* and what runs is moved elsewhere at a deadline */

enum agent_mode {
#define X(number, name, text) AGENT_##name = number,
    AGENT_MODES(X)
#undef X
        AGENT_MODE_COUNT
};

const char *agent_mode_name(enum agent_mode mode);

void agent_spec_finish(struct agent_spec *spec);
int agent_spec_check(const struct agent_spec *spec, struct error *err);
void agent_spec_pack(const struct agent_spec *spec, struct buffer *out);
int agent_spec_unpack(struct agent_spec *spec, struct bytes bytes, struct error *err);

/* Zeroes the key in the packed bytes of a spec: who has it may speak for the agent. */
void agent_spec_hide_key(struct buffer *packed);

/* 'rack:a;zone:b' -> sorted attributes appended to the spec. */
int agent_spec_parse_attributes(struct agent_spec *spec,
                                const char *text,
                                struct error *err);

#endif
