/* users.c - whom the tasks of this agent may run as. */
#include "agent/users.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define KEEP_US     (60 * 1000000ull)
#define KEEP_BAD_US 1000000ull /* so that many who ask get one answer */
#define MOMENT_US   200000ull

struct known {
    char *asked;           /* owned; NULL: free */
    struct lookup *lookup; /* on the way; or NULL */
    bool answered;
    struct user user; /* owned */
    struct error err; /* code 0: there is this user */
    uint64_t until_us;
};

struct users {
    char *allowed;      /* or NULL */
    char *default_user; /* or NULL */
    struct user own;
    struct users_of_images images;
    struct lookups *lookups;
    struct known known[LIMIT_USERS_KNOWN];
    unsigned next;       /* to be replaced */
    struct lookup *last; /* that began; for comparing only */
    uint64_t moment_us;  /* until then it is worth waiting for it */
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
    lookup_abandon(k->lookup);
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
static bool is_allowed(const struct users *u, const struct found_user *who)
{
    if (u->allowed == NULL && who->uid == geteuid())
        return u->default_user == NULL;
    if (u->allowed == NULL)
        return who->uid >= UID_ORDINARY;
    return strcmp(u->allowed, "*") == 0 || is_listed(u->allowed, who->name);
}

/* As getpwnam(3) has it: with all other errors nobody can say whether there is one. */
static bool is_unknown(int reason)
{
    return reason == 0 || reason == ENOENT || reason == ESRCH || reason == EBADF ||
           reason == EPERM;
}

static int check_allowed(const struct users *u,
                         const char *name,
                         const struct found_user *who,
                         struct error *err)
{
    if (who->name == NULL && !is_unknown(who->reason))
        return error_set(err,
                         ERROR_UNAVAILABLE,
                         "the host's directory of users cannot say who \"%s\" is: %s",
                         name,
                         strerror(who->reason));
    if (who->name == NULL)
        return error_set(err, ERROR_INVALID, "this host has no user \"%s\"", name);
    if ((u->default_user != NULL && strcmp(name, u->default_user) == 0) ||
        is_allowed(u, who))
        return 0;
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
}

static int check_possible(const struct found_user *who, struct error *err)
{
    if (who->uid == geteuid())
        return 0;
    if (geteuid() != 0)
        return error_set(err,
                         ERROR_INVALID,
                         "the agent runs as an ordinary user (uid %u) and cannot start "
                         "tasks as %s",
                         (unsigned)geteuid(),
                         who->name);
    if (who->group_count > LIMIT_USER_GROUPS)
        return error_set(err,
                         ERROR_TOO_LARGE,
                         "user %s is in %u groups, at most %d are possible",
                         who->name,
                         who->group_count,
                         LIMIT_USER_GROUPS);
    return 0;
}

/* What was found belongs to the user afterwards. */
static void fill(struct user *user, struct found_user *found)
{
    user_finish(user);
    *user = (struct user){
        .name = found->name,
        .home = found->home,
        .uid = found->uid,
        .gid = found->gid,
        .change = found->uid != geteuid(),
        .groups = found->groups,
        .group_count = found->group_count,
    };
    *found = (struct found_user){0};
}

/* ---- what is known ---- */

static void take_answer(struct users *u, struct known *k)
{
    struct found_user found;

    if (k->lookup == NULL || !lookup_take(k->lookup, &found))
        return;
    k->lookup = NULL;
    k->answered = true;
    k->err = (struct error){0};
    k->until_us = clock_monotonic_us() + KEEP_US;
    if (check_allowed(u, k->asked, &found, &k->err) == 0 &&
        check_possible(&found, &k->err) == 0)
        fill(&k->user, &found);
    else
        k->until_us = clock_monotonic_us() + KEEP_BAD_US;
    found_user_finish(&found);
}

/* The one with that name, or one that it replaces; NULL: all are being looked up. */
static struct known *known_of(struct users *u, const char *name)
{
    for (unsigned i = 0; i < LIMIT_USERS_KNOWN; i++)
        if (u->known[i].asked != NULL && strcmp(u->known[i].asked, name) == 0)
            return &u->known[i];
    for (unsigned i = 0; i < LIMIT_USERS_KNOWN; i++) {
        struct known *k = &u->known[u->next++ % LIMIT_USERS_KNOWN];

        if (k->lookup != NULL)
            continue;
        known_finish(k);
        k->asked = mem_strdup(name);
        return k;
    }
    return NULL;
}

static void ask(struct users *u, struct known *k)
{
    if (k->lookup != NULL)
        return;
    k->lookup = lookups_begin(u->lookups, k->asked);
    if (k->lookup == NULL)
        return;
    u->last = k->lookup;
    u->moment_us = clock_monotonic_us() + MOMENT_US;
}

static int find(struct users *u,
                const char *name,
                bool any_age,
                const struct user **out,
                struct error *err)
{
    struct known *k;

    if (name == NULL)
        name = u->default_user;
    *out = &u->own;
    if (name == NULL)
        return 0;
    k = known_of(u, name);
    if (k == NULL)
        return USERS_ASKED;
    take_answer(u, k);
    if (!k->answered || clock_monotonic_us() >= k->until_us)
        ask(u, k);
    if (!k->answered || (clock_monotonic_us() >= k->until_us && !any_age))
        return USERS_ASKED;
    *out = &k->user;
    if (k->err.code != ERROR_NONE && err != NULL)
        *err = k->err;
    return -(int)k->err.code;
}

int users_find(struct users *u,
               const char *name,
               const struct user **out,
               struct error *err)
{
    return find(u, name, false, out, err);
}

int users_find_again(struct users *u,
                     const char *name,
                     const struct user **out,
                     struct error *err)
{
    return find(u, name, true, out, err);
}

bool users_wait(struct users *u)
{
    for (unsigned i = 0; i < LIMIT_USERS_KNOWN; i++)
        if (u->known[i].lookup != NULL && u->known[i].lookup == u->last)
            return lookup_wait(u->last, u->moment_us);
    return false;
}

void users_wake(struct users *u, int fd)
{
    lookups_wake(u->lookups, fd);
}

/* ---- of images ---- */

/* At the start of the agent, which has nothing else to do. */
static int find_at_start(struct users *u,
                         const char *name,
                         struct found_user *out,
                         struct error *err)
{
    struct lookup *l = lookups_begin(u->lookups, name);

    if (l != NULL &&
        lookup_wait(l, clock_monotonic_us() + LIMIT_USER_LOOKUP_MS * 1000ull))
        return lookup_take(l, out) ? 0 : -ERROR_TIMEOUT;
    lookup_abandon(l);
    return error_set(err,
                     ERROR_TIMEOUT,
                     "the host's directory of users says nothing of %s; see that it "
                     "answers (`getent passwd`)",
                     name != NULL ? name : "the agent's own user");
}

static int add_ids(struct users *u, const char *name, struct error *err)
{
    struct users_of_images *images = &u->images;
    struct found_user who;

    if (find_at_start(u, name, &who, err) != 0)
        return -(int)err->code;
    if (who.name != NULL) {
        MEM_GROW(images->list, images->capacity, images->count + 1);
        images->list[images->count++] =
            (struct users_ids){.uid = who.uid, .gid = who.gid};
    }
    found_user_finish(&who);
    return 0;
}

static int add_listed(struct users *u, const char *list, struct error *err)
{
    char *names = mem_strdup(list), *rest = names, *name;
    int rv = 0;

    while (rv == 0 && (name = strsep(&rest, ",")) != NULL)
        rv = add_ids(u, name, err);
    mem_free(names);
    return rv;
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
static int find_users_of_images(struct users *u, bool image_root, struct error *err)
{
    struct users_of_images *images = &u->images;

    images->from = u->allowed == NULL ? UID_ORDINARY : 0;
    if (u->default_user != NULL && add_ids(u, u->default_user, err) != 0)
        return -(int)err->code;
    if (u->allowed != NULL && add_listed(u, u->allowed, err) != 0)
        return -(int)err->code;
    images->any =
        image_root || geteuid() != 0 || has_uid(images, geteuid()) ||
        (u->allowed == NULL ? u->default_user == NULL : strcmp(u->allowed, "*") == 0);
    return 0;
}

const struct users_of_images *users_of_images(const struct users *u)
{
    return &u->images;
}

static int find_own(struct users *u, struct error *err)
{
    struct found_user own;

    if (find_at_start(u, NULL, &own, err) != 0)
        return -(int)err->code;
    fill(&u->own, &own);
    u->own.uid = geteuid();
    u->own.gid = getegid();
    u->own.change = false;
    return 0;
}

static int check_default(struct users *u, struct error *err)
{
    struct found_user who;
    int rv = 0;

    if (u->default_user == NULL)
        return 0;
    rv = find_at_start(u, u->default_user, &who, err);
    if (rv != 0)
        return rv;
    rv = check_allowed(u, u->default_user, &who, err);
    if (rv == 0)
        rv = check_possible(&who, err);
    found_user_finish(&who);
    return rv;
}

int users_create(struct users **out,
                 const struct users_options *options,
                 struct error *err)
{
    struct users *u = mem_zalloc(sizeof(*u));

    u->lookups = lookups_create(options->find);
    u->allowed = options->allowed == NULL ? NULL : mem_strdup(options->allowed);
    u->default_user =
        options->default_user == NULL ? NULL : mem_strdup(options->default_user);
    if (find_own(u, err) != 0 || check_default(u, err) != 0 ||
        find_users_of_images(u, options->image_root, err) != 0) {
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
    lookups_destroy(u->lookups);
    user_finish(&u->own);
    mem_free(u->images.list);
    mem_free(u->allowed);
    mem_free(u->default_user);
    mem_free(u);
}
