/* peer.h - the mesh between masters: one control connection for each pair.
 *
 * The master with the higher id dials the lower one (link.h); the other takes the
 * connection from its server after hello and hands it over with peers_adopt().  A newer
 * connection of the same process replaces the older one.  Who does not belong here is
 * told why in an error frame, which the other side reports as `refused`:
 *
 *     wrong_cluster   another cluster, or another --cluster list: the owner's judgement
 *     conflict        our own id, or an id that another process uses right now
 *     invalid         an id that we do not know or did not dial
 *     version         another protocol
 *
 * Messages may be lost: when a connection ends, and when a peer does not read
 * LIMIT_PEER_OUT_BYTES (raft repeats them).
 */
#ifndef NET_PEER_H
#define NET_PEER_H

#include "net/address.h"
#include "net/conn.h"

struct peers;

struct peers_events {
    /* Fill in our hello as it is right now; its views must outlive the call. */
    void (*greet)(void *user, struct hello *hello);
    /* May this process be a peer?  A negative error with what to tell it. */
    int (*check)(void *user, const struct hello *hello, struct error *err);
    void (*up)(void *user, uint64_t id, const struct hello *hello);
    void (*bytes)(void *user,
                  uint64_t id,
                  struct bytes bytes); /* of one raft message */
    /* Once for each up: a hint that the process died (joint 12). */
    void (*down)(void *user, uint64_t id, const struct error *reason);
    /* Not a peer: refused by us (id as it claims) or we by it.  Comes again with each
     * attempt, about once a second. */
    void (*refused)(void *user, uint64_t id, const struct error *reason);
};

/* Begins to dial every member with a lower id than own_id, which is a member. */
struct peers *peers_create(struct loop *l,
                           const struct cluster *cluster,
                           uint64_t own_id,
                           const struct peers_events *events,
                           void *user);
void peers_destroy(struct peers *p); /* no callbacks; NULL is fine */

/* Called by the owner of the server in conn_events.hello for HELLO_MASTER; takes the
 * connection, answers hello or refuses. */
void peers_adopt(struct peers *p, struct conn *c, const struct hello *hello);

/* False: not connected or too slow, and the message is dropped. */
bool peers_send(struct peers *p, uint64_t id, struct bytes raft_message);
bool peers_connected(const struct peers *p, uint64_t id);
uint64_t peers_dropped(const struct peers *p); /* messages, since the start */

#endif
