/* agent_change.h - what an operator does with an agent. */
#ifndef CLIENT_AGENT_CHANGE_H
#define CLIENT_AGENT_CHANGE_H

#include "client/session.h"

/* `triarch agents VERB AGENT`, with options deadline, wait, no-wait and force: the exit
 * status, or an error; ERROR_USAGE when there is no such verb. */
int agent_change(struct session *s,
                 const char *verb,
                 const char *agent,
                 struct error *err);

#endif
