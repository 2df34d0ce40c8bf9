/* users.h - whom the tasks of this agent may run as.
 *
 * Names are looked up in the agent, not in the static spawner, and kept for a minute.
 * Only root can start tasks as somebody else.
 */
#ifndef AGENT_USERS_H
#define AGENT_USERS_H

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
    const char *allowed; /* names with commas, or "*"; NULL: the agent's own user, and
                                 those from UID_ORDINARY on */
    const char *default_user; /* of tasks that name none; NULL: the agent's own */
};

#define UID_ORDINARY 1000 /* below are those of the system */

struct users;

/* Fails if tasks cannot run as the default user. */
int users_create(struct users **out,
                 const struct users_options *options,
                 struct error *err);
void users_destroy(struct users *u); /* NULL is fine */

/* name: as the job says, or NULL.  *out lives until the next call. */
int users_find(struct users *u,
               const char *name,
               const struct user **out,
               struct error *err);

#endif
