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
    struct users_of_images images;
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

/* A user that a job names.  Who gives tasks a default user does not want them to be the agent. */
static bool is_allowed(const struct users *u, const struct passwd *who)
{
    if (u->allowed == NULL && who->pw_uid == geteuid())
        return u->default_user == NULL;
    if (u->allowed == NULL)
        return who->pw_uid >= UID_ORDINARY;
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
                                            : "is not given, so neither users of the "
                                              "system nor, with --default-user, the "
                                              "agent's own are allowed",
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

/* ---- of images ---- */

static void add_ids(struct users_of_images *images, const char *name)
{
    const struct passwd *who = getpwnam(name);

    if (who == NULL)
        return;
    MEM_GROW(images->list, images->capacity, images->count + 1);
    images->list[images->count++] =
        (struct users_ids){.uid = who->pw_uid, .gid = who->pw_gid};
}

static void add_listed(struct users_of_images *images, const char *list)
{
    char *names = mem_strdup(list), *rest = names, *name;

    while ((name = strsep(&rest, ",")) != NULL)
        add_ids(images, name);
    mem_free(names);
}

static bool has_uid(const struct users_of_images *images, uint32_t uid)
{
    for (size_t i = 0; i < images->count; i++)
        if (images->list[i].uid == uid)
            return true;
    return false;
}

/* In a container of root's agent uids are those of the host, and root can become any of them:
 * so where a task without an image may be who the agent is, one with an image may be anybody. */
static void find_users_of_images(struct users *u, bool image_root)
{
    struct users_of_images *images = &u->images;

    images->from = u->allowed == NULL ? UID_ORDINARY : 0;
    if (u->default_user != NULL)
        add_ids(images, u->default_user);
    if (u->allowed != NULL)
        add_listed(images, u->allowed);
    images->any =
        image_root || geteuid() != 0 || has_uid(images, geteuid()) ||
        (u->allowed == NULL ? u->default_user == NULL : strcmp(u->allowed, "*") == 0);
}

const struct users_of_images *users_of_images(const struct users *u)
{
    return &u->images;
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
    find_users_of_images(u, options->image_root);
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
    mem_free(u->images.list);
    mem_free(u->allowed);
    mem_free(u->default_user);
    mem_free(u);
}
