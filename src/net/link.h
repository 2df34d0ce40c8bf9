/* link.h - a lasting connection to one address: dials again whenever it ends.
 *
 * The first attempt after a connection ended comes at once, later ones after a
 * jittered time that grows from 100 ms to 1 s.  A refused or closed connection is told
 * at once: both are hints about the process on the other side (joint 12).
 */
#ifndef NET_LINK_H
#define NET_LINK_H

#include "net/conn.h"

struct link;

struct link_events {
    /* Fill in our hello for a connection that was just made; its views must outlive
     * the call.  NULL: the owner sends and reads hello like any frame. */
    void (*greet)(void *user, struct hello *hello);
    /* The other side's hello came.  Without `greet`: connected, and hello is NULL. */
    void (*up)(void *user, const struct hello *hello);
    void (*frame)(void *user, struct bytes frame);
    void (*drained)(void *user); /* may be NULL */
    /* Once for each up.  The link is dialling again already. */
    void (*down)(void *user, const struct error *reason);
    /* An attempt did not come up; may be NULL. */
    void (*failed)(void *user, const struct error *reason);
};

/* Begins to dial.  Callbacks may call everything here. */
struct link *link_create(struct loop *l,
                         const struct address *to,
                         const struct conn_options *options,
                         const struct link_events *events,
                         void *user);
void link_destroy(struct link *k); /* no callback; NULL is fine */

/* Dial now instead of waiting; does nothing while connected or connecting. */
void link_retry(struct link *k);
/* End this connection (`down` follows) and dial again. */
void link_drop(struct link *k, const struct error *reason);
/* Tell the other side why, end this connection, and come back slowly. */
void link_refuse(struct link *k, const struct error *reason);

/* NULL until up and after down. */
struct conn *link_conn(struct link *k);
const struct address *link_address(const struct link *k);

#endif
