/* agent_find.h - the agent that a user means by an id or a host name. */
#ifndef CLIENT_AGENT_FIND_H
#define CLIENT_AGENT_FIND_H

#include "client/session.h"

struct found_agent {
    uint64_t id;
    enum agent_state state;
    enum agent_mode mode;
    uint64_t drain_us;
    uint32_t tasks;
    char hostname[LIMIT_NAME_BYTES + 1]; /* printable */
};

/* By id, or by host name if one agent alone has it that is not gone.  ERROR_NOT_FOUND or
 * ERROR_CONFLICT says what to type instead. */
int agent_find(struct session *s,
               const char *text,
               struct found_agent *out,
               struct error *err);
/* The same agent again. */
int agent_find_again(struct session *s, struct found_agent *agent, struct error *err);

#endif
