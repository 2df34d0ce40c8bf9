/* users.c - whom the tasks of this agent may run as. */
#include "agent/users.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define KEEP_US (60 * 1000000ull)

struct known {
    char *asked; /* owned, as is what `user` points to; NULL: free */
    struct user user;
    uint64_t until_us;
};

struct users {
    char *allowed;      /* or NULL */
    char *default_user; /* or NULL */
    struct user own;
    struct known known[LIMIT_USERS_KNOWN];
    unsigned next; /* to be replaced */
};

static void user_finish(struct user *u)
{
    mem_free((char *)(uintptr_t)u->name);
    mem_free((char *)(uintptr_t)u->home);
    mem_free(u->groups);
    *u = (struct user){0};
}

static void known_finish(struct known *k)
{
    mem_free(k->asked);
    user_finish(&k->user);
    *k = (struct known){0};
}

static bool is_listed(const char *list, const char *name)
{
    size_t size = strlen(name);

    for (const char *at = list; *at != 0; at += strcspn(at, ","), at += *at == ',') {
        if (strncmp(at, name, size) == 0 && (at[size] == ',' || at[size] == 0))
            return true;
    }
    return false;
}

/* A user that a job names. */
static bool is_allowed(const struct users *u, const struct passwd *who)
{
    if (u->allowed == NULL)
        return who->pw_uid == geteuid() || who->pw_uid >= UID_ORDINARY;
    return strcmp(u->allowed, "*") == 0 || is_listed(u->allowed, who->pw_name);
}

static int find_groups(struct user *user, const struct passwd *who, struct error *err)
{
    int count = LIMIT_USER_GROUPS;

    user->groups = mem_alloc(LIMIT_USER_GROUPS * sizeof(*user->groups));
    if (getgrouplist(who->pw_name, who->pw_gid, user->groups, &count) < 0)
        return error_set(err,
                         ERROR_TOO_LARGE,
                         "user %s is in %d groups, at most %d are possible",
                         who->pw_name,
                         count,
                         LIMIT_USER_GROUPS);
    user->group_count = (uint32_t)count;
    user->groups = mem_realloc(user->groups, (size_t)count * sizeof(*user->groups));
    return 0;
}

static int fill(struct user *user, const struct passwd *who, struct error *err)
{
    *user = (struct user){
        .name = mem_strdup(who->pw_name),
        .home = mem_strdup(who->pw_dir),
        .uid = who->pw_uid,
        .gid = who->pw_gid,
        .change = who->pw_uid != geteuid(),
    };
    if (!user->change)
        return 0;
    if (geteuid() != 0)
        return error_set(err,
                         ERROR_INVALID,
                         "the agent runs as an ordinary user (uid %u) and cannot start "
                         "tasks as %s",
                         (unsigned)geteuid(),
                         who->pw_name);
    return find_groups(user, who, err);
}

static int
look_up(struct users *u, struct user *user, const char *name, struct error *err)
{
    const struct passwd *who;

    errno = 0;
    who = getpwnam(name);
    if (who == NULL)
        return error_set(err,
                         ERROR_INVALID,
                         "this host has no user \"%s\"%s%s",
                         name,
                         errno != 0 ? ": " : "",
                         errno != 0 ? strerror(errno) : "");
    if ((u->default_user == NULL || strcmp(name, u->default_user) != 0) &&
        !is_allowed(u, who))
        return error_set(err,
                         ERROR_INVALID,
                         "tasks may not run as user \"%s\" on this agent: its --users "
                         "%s%s",
                         name,
                         u->allowed != NULL ? "allows "
                                            : "is not given, so users of "
                                              "the system are not allowed",
                         u->allowed != NULL ? u->allowed : "");
    return fill(user, who, err);
}

int users_find(struct users *u,
               const char *name,
               const struct user **out,
               struct error *err)
{
    uint64_t now = clock_monotonic_us();
    struct known *k;

    if (name == NULL)
        name = u->default_user;
    *out = &u->own;
    if (name == NULL)
        return 0;
    for (unsigned i = 0; i < LIMIT_USERS_KNOWN; i++) {
        k = &u->known[i];
        if (k->asked != NULL && now < k->until_us && strcmp(k->asked, name) == 0) {
            *out = &k->user;
            return 0;
        }
    }
    k = &u->known[u->next++ % LIMIT_USERS_KNOWN];
    known_finish(k);
    if (look_up(u, &k->user, name, err) != 0) {
        known_finish(k);
        return -(int)err->code;
    }
    k->asked = mem_strdup(name);
    k->until_us = now + KEEP_US;
    *out = &k->user;
    return 0;
}

int users_create(struct users **out,
                 const struct users_options *options,
                 struct error *err)
{
    struct users *u = mem_zalloc(sizeof(*u));
    const struct passwd *own = getpwuid(geteuid());
    const struct user *user;

    u->allowed = options->allowed == NULL ? NULL : mem_strdup(options->allowed);
    u->default_user =
        options->default_user == NULL ? NULL : mem_strdup(options->default_user);
    u->own = (struct user){
        .name = own == NULL ? NULL : mem_strdup(own->pw_name),
        .home = own == NULL ? NULL : mem_strdup(own->pw_dir),
        .uid = geteuid(),
        .gid = getegid(),
    };
    if (users_find(u, NULL, &user, err) != 0) {
        users_destroy(u);
        return -(int)err->code;
    }
    *out = u;
    return 0;
}

void users_destroy(struct users *u)
{
    if (u == NULL)
        return;
    for (unsigned i = 0; i < LIMIT_USERS_KNOWN; i++)
        known_finish(&u->known[i]);
    user_finish(&u->own);
    mem_free(u->allowed);
    mem_free(u->default_user);
    mem_free(u);
}
