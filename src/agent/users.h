/* users.h - whom the tasks of this agent may run as.
 *
 * Names are looked up in the agent, not in the static spawner, on threads (lookups.h), and kept
 * for a minute.  Only root can start tasks as somebody else.
 */
#ifndef AGENT_USERS_H
#define AGENT_USERS_H

#include "agent/lookups.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct user {
    const char *name, *home; /* NULL: the agent's own uid, which has no name here */
    uint32_t uid, gid;
    uint32_t *groups; /* supplementary ones, group_count of them */
    uint32_t group_count;
    bool change; /* it is not who the agent is */
};

struct users_options {
    const char
        *allowed; /* names with commas, or "*"; NULL: those from UID_ORDINARY on, and
                                 without a default_user the agent's own */
    const char *default_user; /* of tasks that name none; NULL: the agent's own */
    bool image_root;          /* images may have any user, whatever these say */
    find_user *find;          /* NULL: the host's directory of users */
};

/* Of a task with an image, whose users are numbers that only the image has names for. */
struct users_ids {
    uint32_t uid, gid;
};

struct users_of_images {
    bool any;
    uint32_t from; /* those from here on; 0: only who is listed */
    struct users_ids *list;
    size_t count, capacity;
};

#define UID_ORDINARY 1000 /* below are those of the system */

struct users;

/* Fails if tasks cannot run as the default user, or if the directory does not answer in
 * LIMIT_USER_LOOKUP_MS. */
int users_create(struct users **out,
                 const struct users_options *options,
                 struct error *err);
void users_destroy(struct users *u); /* NULL is fine */

/* As the names were when it was created. */
const struct users_of_images *users_of_images(const struct users *u);

#define USERS_ASKED 1

/* name: as the job says, or NULL.  ERROR_UNAVAILABLE: it may be known later.  *out lives until the next call.  USERS_ASKED: that is being
 * looked up; ask again when the descriptor of users_wake() has told, or give up. */
int users_find(struct users *u,
               const char *name,
               const struct user **out,
               struct error *err);
/* Of a task that runs as that user already: what was known long ago is good enough. */
int users_find_again(struct users *u,
                     const char *name,
                     const struct user **out,
                     struct error *err);
/* After USERS_ASKED: waits for a moment; false: it will take longer, as it did before. */
bool users_wait(struct users *u);
void users_wake(struct users *u, int fd); /* as lookups_wake() */

#endif
