/* lookups.h - asking the host's directory of users, which may be far away and not answer.
 *
 * Each question has a thread of its own, since nothing ends one that hangs in a directory of
 * the network; at most LIMIT_USER_LOOKUPS at once.  Everything else is called from one thread.
 */
#ifndef AGENT_LOOKUPS_H
#define AGENT_LOOKUPS_H

#include <stdbool.h>
#include <stdint.h>

struct found_user {
    char *name; /* owned; NULL: there is no such user, or `reason` says why not */
    char *home; /* owned */
    int reason; /* errno, or 0 */
    uint32_t uid, gid;
    uint32_t *groups;     /* owned; only where tasks can be started as that user */
    uint32_t group_count; /* more than LIMIT_USER_GROUPS: too many, and no list */
};

void found_user_finish(struct found_user *f);

/* Runs on a thread, and may take as long as it likes.  name: NULL for the agent's own. */
typedef void find_user(const char *name, struct found_user *out);

struct lookups;
struct lookup;

/* find: NULL for that of the host. */
struct lookups *lookups_create(find_user *find);
/* What hangs is left alone.  NULL is fine. */
void lookups_destroy(struct lookups *s);
/* An eventfd that is written to when an answer has come; -1: none. */
void lookups_wake(struct lookups *s, int fd);

/* NULL: too many are on the way, or the host has no room for one more. */
struct lookup *lookups_begin(struct lookups *s, const char *name);
/* True: it was answered, and is gone. */
bool lookup_take(struct lookup *l, struct found_user *out);
void lookup_abandon(struct lookup *l); /* NULL is fine */
/* Waits for its answer, at most until then.  False: that time has come. */
bool lookup_wait(struct lookup *l, uint64_t monotonic_us);

#endif
