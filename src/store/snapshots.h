/* snapshots.h - keeps the current snapshot and writes the next one, on a thread of its
 * own.
 *
 * A new snapshot is a draft: begun, appended to chunk by chunk, sealed, then promoted
 * to be the current one.  Our own and those that come from peers are the same here, and
 * there may be several at a time.  A draft ends by becoming current, by failing or by
 * snapshots_discard(); calls for a draft that has ended do nothing.  After a crash
 * drafts are gone.
 *
 * An installed snapshot is promoted with `reset`: the log is void.  On SNAPSHOT_CURRENT
 * the caller submits LOG_RESET; when a crash comes between, raft_log_open() does it.
 *
 * Opening and loading are for the start, before the thread.  After snapshots_start()
 * all functions are for the loop thread; they queue a command, and answers come as
 * events.
 */
#ifndef STORE_SNAPSHOTS_H
#define STORE_SNAPSHOTS_H

#include "store/hooks.h"
#include "store/raft_log.h"
#include "store/snapshot_records.h"

struct snapshots;

int snapshots_open(struct snapshots **out, struct lmdb *env, struct error *err);

/* Verify the current snapshot and give its bytes in order; `piece` is valid during the
 * call. */
typedef int snapshots_visit(void *arg, struct bytes piece, struct error *err);
int snapshots_load(struct snapshots *s,
                   snapshots_visit *visit,
                   void *arg,
                   struct error *err);

/* What raft_log_open() wants to know. */
struct snapshot_point snapshots_point(struct snapshots *s);

void snapshots_start(struct snapshots *s, const struct store_hooks *hooks);

/* Do what was queued, end the thread, free.  The environment stays open.  NULL is fine.
 */
void snapshots_close(struct snapshots *s);

/* ---- write ---- */

/* meta.size: what is to come, or 0 when that is not known yet.  Gives the draft's id.
 */
uint64_t snapshots_begin(struct snapshots *s, const struct snapshot_meta *meta);

/* Takes the reference.  Numbers count from 0; a repeated chunk is ignored. */
void snapshots_append(struct snapshots *s,
                      uint64_t id,
                      uint32_t number,
                      struct blob *chunk);

/* All chunks were appended.  crc: of all bytes, as the peer says; NULL for our own. */
void snapshots_seal(struct snapshots *s, uint64_t id, const uint32_t *crc);
void snapshots_promote(struct snapshots *s,
                       uint64_t id,
                       bool reset); /* of a sealed one */
void snapshots_discard(struct snapshots *s, uint64_t id);

/* Bytes of chunks that are queued and not written yet: stop producing when there are
 * many. notify() comes when they have become fewer. */
size_t snapshots_backlog(const struct snapshots *s);

/* ---- read ---- */

/* The current snapshot, kept readable until it is released although others become
 * current. False: there is none.  The caller finishes *info. */
bool snapshots_pin(struct snapshots *s, struct snapshot_info *info);
/* When the reads that were asked for have been done. */
void snapshots_release(struct snapshots *s, uint64_t id);

/* A chunk of a pinned snapshot; answered by SNAPSHOT_CHUNK. */
void snapshots_read(struct snapshots *s, uint64_t id, uint32_t number, uint64_t ticket);

/* ---- answers ---- */

enum snapshot_event_kind {
    SNAPSHOT_SEALED,  /* the draft is whole, verified and on disk */
    SNAPSHOT_FAILED,  /* gone.  ERROR_INVALID: it is not what was announced, or breaks
                         a rule; ERROR_CONFLICT: it is older than the current one */
    SNAPSHOT_CURRENT, /* it is the current one, durably; `info` */
    SNAPSHOT_CHUNK,   /* `ticket`, `number`, `chunk` */
};

struct snapshot_event {
    enum snapshot_event_kind kind;
    uint64_t id;
    struct snapshot_info info; /* SEALED, CURRENT */
    struct error error;        /* FAILED */
    uint64_t ticket;
    uint32_t number;
    struct blob *chunk; /* one reference */
};

bool snapshots_next(struct snapshots *s, struct snapshot_event *out);
void snapshot_event_finish(struct snapshot_event *e);

#endif
