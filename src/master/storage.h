/* storage.h - the store of a master, between its threads and the loop.
 *
 * Operations go down as the replica's actions say; what the threads finished comes up as
 * replica events (drive_replica) when the loop is woken.  Any error of the store ends the
 * process (fail-stop).
 */
#ifndef MASTER_STORAGE_H
#define MASTER_STORAGE_H

#include "master/master.h"
#include "store/log_writer.h"
#include "store/snapshots.h"

struct storage;

/* Open and lock the directory, verify all of it, restore the state into m->core and feed
 * MASTER_START.  ERROR_*: the text says what to do. */
int storage_open(struct storage **out,
                 struct master *m,
                 const char *path,
                 struct error *err);
int storage_start(struct storage *s, struct error *err);
void storage_close(
    struct storage *s); /* makes durable what was asked for; NULL is fine */

int storage_found(struct storage *s, struct bytes configuration, struct error *err);
void storage_cluster_id(struct storage *s, const uint8_t id[CLUSTER_ID_BYTES]);

void storage_persist(struct storage *s, struct log_op *op); /* takes it */
void storage_submit(struct storage *s); /* what was persisted goes to the writer */
void storage_read(
    struct storage *s, uint64_t peer, uint64_t from, uint32_t count, size_t bytes);

/* our own snapshot */
void storage_snapshot_begin(struct storage *s, const struct snapshot_meta *meta);
void storage_snapshot_chunk(struct storage *s, struct blob *chunk); /* takes it */
void storage_snapshot_commit(struct storage *s);
void storage_snapshot_abandon(struct storage *s);
void storage_snapshot_load(struct storage *s);

struct snapshots *storage_snapshots(struct storage *s);
void storage_stats(struct storage *s, struct log_writer_stats *out);

#endif
