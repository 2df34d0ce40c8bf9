/* data_dir.h - the data directory of one master: lock, identity, and its two
 * environments.
 *
 *     DIR/lock    flock'd while a master runs; its text is the pid
 *     DIR/log/    raft_log.h, and who this is
 *     DIR/snap/   snapshots.h, and who this is
 *
 * A directory is empty until it is founded: format, node, cluster, term and entry 1
 * become durable in one transaction.  After that it opens only for the same node and
 * cluster.  Each opening commits once in both environments, so that a disk that cannot
 * be written is found before the master speaks to anybody.
 */
#ifndef STORE_DATA_DIR_H
#define STORE_DATA_DIR_H

#include "store/lmdb.h"

#define DATA_DIR_FORMAT 1

struct data_dir_options {
    const char *path;
    uint64_t node;         /* --id */
    uint8_t cluster[16];   /* hash of --cluster */
    size_t log_map_bytes;  /* 0: LIMIT_LOG_FILE_BYTES */
    size_t snap_map_bytes; /* 0: LIMIT_SNAPSHOT_FILE_BYTES */
};

struct data_dir;

/* Opens the directory, makes it when it is not there. */
int data_dir_open(struct data_dir **out,
                  const struct data_dir_options *o,
                  struct error *err);
void data_dir_close(struct data_dir *d); /* NULL is fine */

/* True until data_dir_found() returned 0: now, or in an earlier process. */
bool data_dir_is_empty(const struct data_dir *d);

/* Make the empty directory a master's: term 1, entry 1 with this configuration (joint
 * 2). */
int data_dir_found(struct data_dir *d, struct bytes configuration, struct error *err);

/* The cluster's id, if a log_writer_store_cluster_id() was durable in an earlier
 * process. */
bool data_dir_cluster_id(const struct data_dir *d, uint8_t id[16]);

/* Part of a transaction in `log`.  Another id than the one that is stored fails it. */
void data_dir_put_cluster_id(struct lmdb_txn *t, const uint8_t id[16]);

/* Put into an ERROR_CORRUPT what is to be done about it, once; gives rv back.  The functions of
 * the store that open and load have done so. */
int data_dir_advise(int rv, struct error *err);

struct lmdb *data_dir_log(struct data_dir *d);
struct lmdb *data_dir_snap(struct data_dir *d);

#endif
