/* lookups.c - asking the host's directory of users, which may be far away and not answer.
 *
 * A thread that hangs may outlive the agent's interest in its answer, and the agent's users:
 * what it touches belongs to the last who lets go of it.
 */
#include "agent/lookups.h"

#include "base/limits.h"
#include "base/mem.h"

#include <errno.h>
#include <grp.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define ENTRY_BYTES     4096
#define ENTRY_BYTES_MAX (1024 * 1024)

struct lookups {
    find_user *find;
    pthread_mutex_t mutex; /* of all below */
    pthread_cond_t answered;
    int wake;
    unsigned running;
    bool closed; /* goes with the last that runs */
};

struct lookup {
    struct lookups *of;
    char *name; /* owned; NULL: the agent's own */
    struct found_user found;
    bool done, abandoned;
};

void found_user_finish(struct found_user *f)
{
    mem_free(f->name);
    mem_free(f->home);
    mem_free(f->groups);
    *f = (struct found_user){0};
}

/* ---- the host's ---- */

static int get(const char *name,
               struct passwd *entry,
               char *bytes,
               size_t room,
               struct passwd **found)
{
    return name == NULL ? getpwuid_r(geteuid(), entry, bytes, room, found)
                        : getpwnam_r(name, entry, bytes, room, found);
}

static void find_groups(const struct passwd *who, struct found_user *out)
{
    int count = LIMIT_USER_GROUPS;

    out->groups = mem_alloc(LIMIT_USER_GROUPS * sizeof(*out->groups));
    if (getgrouplist(who->pw_name, who->pw_gid, out->groups, &count) < 0) {
        mem_free(out->groups);
        out->groups = NULL;
    } else {
        out->groups = mem_realloc(out->groups, (size_t)count * sizeof(*out->groups));
    }
    out->group_count = (uint32_t)count;
}

static void find_on_host(const char *name, struct found_user *out)
{
    struct passwd entry, *who = NULL;
    size_t room = ENTRY_BYTES;
    char *bytes = mem_alloc(room);

    while ((out->reason = get(name, &entry, bytes, room, &who)) == ERANGE &&
           room < ENTRY_BYTES_MAX) {
        room *= 2;
        bytes = mem_realloc(bytes, room);
    }
    if (who != NULL) {
        out->name = mem_strdup(who->pw_name);
        out->home = mem_strdup(who->pw_dir);
        out->uid = who->pw_uid;
        out->gid = who->pw_gid;
        if (geteuid() == 0 && who->pw_uid != 0)
            find_groups(who, out);
    }
    mem_free(bytes);
}

/* ---- threads ---- */

static void lookup_destroy(struct lookup *l)
{
    found_user_finish(&l->found);
    mem_free(l->name);
    mem_free(l);
}

static void lookups_free(struct lookups *s)
{
    pthread_cond_destroy(&s->answered);
    pthread_mutex_destroy(&s->mutex);
    mem_free(s);
}

static void *look_up(void *arg)
{
    struct lookup *l = arg;
    struct lookups *s = l->of;
    struct found_user found = {0};
    bool last;

    s->find(l->name, &found);
    pthread_mutex_lock(&s->mutex);
    l->found = found;
    l->done = true;
    if (l->abandoned)
        lookup_destroy(l);
    s->running--;
    last = s->closed && s->running == 0;
    if (s->wake >= 0)
        eventfd_write(s->wake, 1);
    pthread_cond_signal(&s->answered);
    pthread_mutex_unlock(&s->mutex);
    if (last)
        lookups_free(s);
    return NULL;
}

struct lookups *lookups_create(find_user *find)
{
    struct lookups *s = mem_zalloc(sizeof(*s));
    pthread_condattr_t clock;

    s->find = find != NULL ? find : find_on_host;
    s->wake = -1;
    pthread_mutex_init(&s->mutex, NULL);
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&s->answered, &clock);
    pthread_condattr_destroy(&clock);
    return s;
}

void lookups_destroy(struct lookups *s)
{
    bool last;

    if (s == NULL)
        return;
    pthread_mutex_lock(&s->mutex);
    s->wake = -1;
    s->closed = true;
    last = s->running == 0;
    pthread_mutex_unlock(&s->mutex);
    if (last)
        lookups_free(s);
}

void lookups_wake(struct lookups *s, int fd)
{
    pthread_mutex_lock(&s->mutex);
    s->wake = fd;
    pthread_mutex_unlock(&s->mutex);
}

/* The loop's signals are not for it. */
static bool start_thread(struct lookup *l)
{
    sigset_t all, old;
    pthread_t thread;
    int rc;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    rc = pthread_create(&thread, NULL, look_up, l);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc != 0)
        return false;
    pthread_setname_np(thread, "user");
    pthread_detach(thread);
    return true;
}

struct lookup *lookups_begin(struct lookups *s, const char *name)
{
    struct lookup *l = NULL;

    pthread_mutex_lock(&s->mutex);
    if (s->running < LIMIT_USER_LOOKUPS) {
        l = mem_zalloc(sizeof(*l));
        l->of = s;
        l->name = name == NULL ? NULL : mem_strdup(name);
        if (start_thread(l)) {
            s->running++;
        } else {
            lookup_destroy(l);
            l = NULL;
        }
    }
    pthread_mutex_unlock(&s->mutex);
    return l;
}

bool lookup_take(struct lookup *l, struct found_user *out)
{
    struct lookups *s = l->of;
    bool done;

    pthread_mutex_lock(&s->mutex);
    done = l->done;
    pthread_mutex_unlock(&s->mutex);
    if (!done)
        return false;
    *out = l->found;
    l->found = (struct found_user){0};
    lookup_destroy(l);
    return true;
}

void lookup_abandon(struct lookup *l)
{
    struct lookups *s;

    if (l == NULL)
        return;
    s = l->of;
    pthread_mutex_lock(&s->mutex);
    l->abandoned = true;
    if (l->done)
        lookup_destroy(l);
    pthread_mutex_unlock(&s->mutex);
}

bool lookup_wait(struct lookup *l, uint64_t monotonic_us)
{
    const struct timespec at = {
        .tv_sec = (time_t)(monotonic_us / 1000000),
        .tv_nsec = (long)(monotonic_us % 1000000) * 1000,
    };
    struct lookups *s = l->of;
    bool done;
    int rv = 0;

    pthread_mutex_lock(&s->mutex);
    while (!l->done && rv == 0)
        rv = pthread_cond_timedwait(&s->answered, &s->mutex, &at);
    done = l->done;
    pthread_mutex_unlock(&s->mutex);
    return done;
}
