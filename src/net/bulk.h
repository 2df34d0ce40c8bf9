/* bulk.h - a snapshot on its way between two masters, on a connection of its own
 * (joint 13).
 *
 *     sender                              receiver
 *     hello (role snapshot)  ──────────▶
 *                            ◀──────────  hello
 *     snapshot               ──────────▶  begun
 *                            ◀──────────  credit
 *     chunk                  ──────────▶  chunk          … until all are sent
 *     chunks_end             ──────────▶  whole
 *                            ◀──────────  staged
 *
 * The sender asks its owner for one chunk at a time, when the receiver has granted it
 * and the one before is with the kernel, so neither side holds more than a few chunks.
 * A transfer that does not move for LIMIT_SNAPSHOT_STALL_MS ends.  Each side is told
 * `ended` exactly once, and then the transfer is gone.
 */
#ifndef NET_BULK_H
#define NET_BULK_H

#include "net/conn.h"
#include "wire/message_snapshot.h"

/* ---- sending ---- */

struct bulk_sender;

struct bulk_sender_events {
    void (*greet)(void *user, struct hello *hello); /* as in link.h; the role is ours */
    /* Answer with bulk_sender_give(), now or later. */
    void (*pull)(void *user, uint32_t number);
    /* ERROR_NONE: the receiver has all of it on disk. */
    void (*ended)(void *user, const struct error *reason);
};

/* To the master `peer`, which listens at `to`.  stall_ms: 0 for LIMIT_SNAPSHOT_STALL_MS,
 * here and below. */
struct bulk_sender *bulk_sender_create(struct loop *l,
                                       uint64_t peer,
                                       const struct address *to,
                                       uint64_t term,
                                       const struct snapshot_meta *meta,
                                       uint32_t stall_ms,
                                       const struct bulk_sender_events *events,
                                       void *user);
/* The chunk that was pulled, at most LIMIT_SNAPSHOT_CHUNK_BYTES; copied.  All of them
 * together have meta->size bytes. */
void bulk_sender_give(struct bulk_sender *s, struct bytes chunk, bool last);
void bulk_sender_destroy(struct bulk_sender *s); /* no callback; NULL is fine */

/* ---- receiving ---- */

struct bulk_receiver;

struct bulk_receiver_events {
    /* Take it, or end it with bulk_receiver_refuse().  Copy meta to keep it. */
    void (*begun)(void *user,
                  struct bulk_receiver *r,
                  uint64_t from,
                  uint64_t term,
                  const struct snapshot_meta *meta);
    /* Answer with bulk_receiver_taken() when the chunk needs no more room. */
    void (*chunk)(void *user,
                  struct bulk_receiver *r,
                  uint32_t number,
                  struct bytes bytes);
    /* Every chunk came, size and CRC are right: bulk_receiver_staged() when durable. */
    void (*whole)(void *user, struct bulk_receiver *r);
    /* ERROR_NONE: staged, and the sender was told. */
    void (*ended)(void *user, struct bulk_receiver *r, const struct error *reason);
};

/* Called by the owner of the server in conn_events.hello for HELLO_SNAPSHOT, after it
 * judged the hello; takes the connection and answers with `answer`.  The owner may keep
 * what is returned or wait for `begun`; a receiver ends with its server. */
struct bulk_receiver *bulk_receiver_create(struct loop *l,
                                           struct conn *c,
                                           const struct hello *hello,
                                           const struct hello *answer,
                                           uint32_t stall_ms,
                                           const struct bulk_receiver_events *events,
                                           void *user);
void bulk_receiver_taken(struct bulk_receiver *r);
void bulk_receiver_staged(struct bulk_receiver *r);
void bulk_receiver_refuse(struct bulk_receiver *r, const struct error *reason);
void bulk_receiver_destroy(struct bulk_receiver *r); /* no callback; NULL is fine */

#endif
