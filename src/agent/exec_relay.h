/* exec_relay.h - the agent's part of one session: frames of a client on one side, words of
 * a session process on the other (docs/spec/11-exec.md).
 *
 * It keeps no bytes but one word that the process's socket did not take, during which the
 * client is not read; and it reads no more words while much waits for the client.
 */
#ifndef AGENT_EXEC_RELAY_H
#define AGENT_EXEC_RELAY_H

#include "net/conn.h"

struct exec_relay;

/* Takes the connection, and `socket` with the session process at its other end.  request:
 * id of the client's request, to be answered.  `gone` is called when that process is
 * gone, and the relay with it; never from inside a call. */
struct exec_relay *exec_relay_create(struct loop *l,
                                     struct conn *c,
                                     uint32_t request,
                                     int socket,
                                     void (*gone)(void *user),
                                     void *user);
/* Tell the client why, and end the command; `gone` follows. */
void exec_relay_end(struct exec_relay *r, const struct error *reason);
/* The command is ended as if the client went away.  NULL is fine. */
void exec_relay_destroy(struct exec_relay *r);

#endif
