/* snapshots_thread.h - what the two sides of snapshots.h share: the loop's and the thread's.
 *
 * The loop puts commands, the thread puts events; between them is one lock.  The thread gathers
 * chunks in an open write transaction.  It commits when that has become large, and whenever
 * it reports something that rests on it.
 */
#ifndef STORE_SNAPSHOTS_THREAD_H
#define STORE_SNAPSHOTS_THREAD_H

#include "store/snapshots.h"

#include <bsd/sys/queue.h>
#include <stdatomic.h>

enum snapshot_command_kind {
    COMMAND_BEGIN,
    COMMAND_APPEND,
    COMMAND_SEAL,
    COMMAND_PROMOTE,
    COMMAND_DISCARD,
    COMMAND_READ,
    COMMAND_RELEASE,
};

struct snapshot_command {
    STAILQ_ENTRY(snapshot_command) link;
    enum snapshot_command_kind kind;
    uint64_t id;
    struct snapshot_meta meta; /* BEGIN */
    uint32_t number;           /* APPEND, READ */
    struct blob *chunk;        /* APPEND */
    bool has_crc;              /* SEAL */
    uint32_t crc;              /* SEAL */
    bool reset;                /* PROMOTE */
    uint64_t ticket;           /* READ */
};

STAILQ_HEAD(snapshot_command_list, snapshot_command);

struct snapshot_draft {
    LIST_ENTRY(snapshot_draft) link;
    struct snapshot_info info; /* chunks, size and crc are of what came so far */
    uint64_t size_expected;    /* 0: any */
    bool sealed;
};

struct snapshot_event_link {
    STAILQ_ENTRY(snapshot_event_link) link;
    struct snapshot_event event;
};

STAILQ_HEAD(snapshot_event_list, snapshot_event_link);

struct snapshot_pin {
    LIST_ENTRY(snapshot_pin) link;
    uint64_t id;
    unsigned count;
};

struct snapshots {
    struct lmdb *env;
    struct store_hooks hooks;
    pthread_t thread;
    bool started;
    uint64_t next_id; /* loop */
    atomic_size_t backlog;

    /* Of the thread. */
    LIST_HEAD(, snapshot_draft) drafts;
    struct lmdb_txn txn; /* open when writing */
    bool writing;
    size_t uncommitted_bytes;
    struct snapshot_event_list uncommitted; /* told after the commit */

    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t wake;
    bool stop;
    bool sweep; /* there may be chunks that nobody needs */
    struct snapshot_command_list commands;
    struct snapshot_event_list events;
    struct snapshot_info current;
    LIST_HEAD(, snapshot_pin) pins;
};

/* The thread; its argument is the struct snapshots. */
void *snapshots_run(void *arg);

/* NULL: not pinned.  Under the lock. */
struct snapshot_pin *snapshots_find_pin(struct snapshots *s, uint64_t id);

/* When the thread has ended, or was not started. */
void snapshots_drop_drafts(struct snapshots *s);

void snapshot_commands_destroy(struct snapshot_command_list *list);
void snapshot_events_destroy(struct snapshot_event_list *list);

#endif
