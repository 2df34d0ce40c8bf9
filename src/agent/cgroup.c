/* cgroup.c - groups of attempts, in all places at once.
 *
 * A group is empty for sure when it could be removed: the kernel refuses to remove one that
 * has processes.  So the usual end of a task is one rmdir() for each place and nothing is
 * read.  A task that runs as root may have made groups below its own; they are looked for
 * only when removing fails.
 *
 * Making and removing groups is most of what a short task costs where the hierarchies are
 * several.  So a group may be kept, under another name, for the next attempt with the same
 * spare number: only when it is empty, and cheap to make as new.
 */
#include "agent/cgroup_internal.h"
#include "agent/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 64 /* of groups that a task made below its own */

/* ---- files ---- */

int cgroup_write(int fd, const char *file, const char *text)
{
    size_t size = strlen(text);
    int to = openat(fd, file, O_WRONLY | O_CLOEXEC);
    ssize_t n;

    if (to < 0)
        return -errno;
    n = write(to, text, size);
    n = n == (ssize_t)size ? 0 : n < 0 ? -errno : -EIO;
    close(to);
    return (int)n;
}

int cgroup_write_number(int fd, const char *file, uint64_t number)
{
    char text[24];

    snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
    return cgroup_write(fd, file, text);
}

ssize_t cgroup_read(int fd, const char *file, char *text, size_t room)
{
    int from = openat(fd, file, O_RDONLY | O_CLOEXEC);
    size_t size = 0;
    ssize_t n = 0;

    if (from < 0)
        return -errno;
    while (size < room - 1 && (n = read(from, text + size, room - 1 - size)) > 0)
        size += (size_t)n;
    n = n < 0 ? -errno : (ssize_t)size;
    close(from);
    text[size] = 0;
    return n;
}

uint64_t cgroup_number(int fd, const char *file)
{
    char text[64];

    return cgroup_read(fd, file, text, sizeof(text)) > 0 ? strtoull(text, NULL, 10) : 0;
}

uint64_t cgroup_field(const char *text, const char *key)
{
    size_t size = strlen(key);

    for (const char *at = text; *at != 0; at += strcspn(at, "\n"), at += *at == '\n') {
        if (strncmp(at, key, size) == 0 && at[size] == ' ')
            return strtoull(at + size + 1, NULL, 10);
    }
    return 0;
}

/* ---- places ---- */

void cgroups_print(const struct cgroups *c, unsigned place, char out[CGROUP_TEXT])
{
    const struct cgroup_place *p = &c->places[place];

    snprintf(out, CGROUP_TEXT, "%u:%x:%s", p->ops->version, p->controllers, p->path);
}

int cgroups_add(struct cgroups *c, const char *text)
{
    struct cgroup_place *p = &c->places[c->count];
    unsigned version, controllers;
    int at = 0;

    if (c->count == CGROUP_PLACES ||
        sscanf(text, "%u:%x:%n", &version, &controllers, &at) < 2 || at == 0 ||
        (version != 1 && version != 2) || strlen(text + at) >= sizeof(p->path))
        return -EINVAL;
    p->fd = open(text + at, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (p->fd < 0)
        return -errno;
    p->ops = version == 1 ? &cgroup_v1 : &cgroup_v2;
    p->controllers = controllers;
    strcpy(p->path, text + at);
    c->count++;
    return 0;
}

void cgroups_close(struct cgroups *c)
{
    for (unsigned i = 0; i < c->count; i++)
        close(c->places[i].fd);
    c->count = 0;
}

bool cgroups_have(const struct cgroups *c, uint32_t controller)
{
    for (unsigned i = 0; i < c->count; i++) {
        if ((c->places[i].controllers & controller) != 0)
            return true;
    }
    return false;
}

static void spare_name(unsigned spare, char out[24])
{
    snprintf(out, 24, "spare-%u", spare);
}

void cgroups_remove_spares(const struct cgroups *c)
{
    char name[24];

    for (unsigned i = 0; i < c->count; i++) {
        for (unsigned spare = 0; spare < CGROUP_SPARES; spare++) {
            spare_name(spare, name);
            unlinkat(c->places[i].fd, name, AT_REMOVEDIR);
        }
    }
}

/* ---- one group ---- */

void cgroup_init(struct cgroup *g, const struct cgroups *all, uint64_t attempt)
{
    g->all = all;
    g->spare = -1;
    snprintf(g->name, sizeof(g->name), "%llu", (unsigned long long)attempt);
    for (unsigned i = 0; i < CGROUP_PLACES; i++)
        g->fds[i] = -1;
}

static int open_at(int place, const char *name)
{
    int fd = openat(place, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

static int open_in(struct cgroup *g, unsigned i)
{
    int fd = open_at(g->all->places[i].fd, g->name);

    g->fds[i] = fd < 0 ? -1 : fd;
    return fd < 0 ? fd : 0;
}

int cgroup_open(struct cgroup *g, const struct cgroups *all, uint64_t attempt)
{
    int rv = -ENOENT;

    cgroup_init(g, all, attempt);
    for (unsigned i = 0; i < all->count; i++) {
        int one = open_in(g, i);

        if (one != -ENOENT && (rv == -ENOENT || rv == 0))
            rv = one;
    }
    return rv;
}

void cgroup_close(struct cgroup *g)
{
    for (unsigned i = 0; i < CGROUP_PLACES; i++) {
        if (g->fds[i] >= 0)
            close(g->fds[i]);
        g->fds[i] = -1;
    }
}

static bool is_spare(const struct cgroup_place *p, int fd)
{
    struct stat st;

    return p->ops->is_spare != NULL && fstat(fd, &st) == 0 &&
           st.st_nlink == 2 && /* no group below it */
           p->ops->is_spare(fd, p->controllers);
}

/* Nothing should be in it; but whoever may write to the place can have moved there. */
static int take_spare(struct cgroup *g, unsigned i)
{
    const struct cgroup_place *p = &g->all->places[i];
    char name[24];
    int fd;

    if (g->spare < 0 || p->ops->is_spare == NULL)
        return -ENOENT;
    spare_name((unsigned)g->spare, name);
    fd = open_at(p->fd, name);
    if (fd < 0)
        return fd;
    if (!is_spare(p, fd) || p->ops->renew(fd, p->controllers) != 0 ||
        renameat(p->fd, name, p->fd, g->name) != 0) {
        close(fd);
        return -EBUSY;
    }
    g->fds[i] = fd;
    return 0;
}

static int make_in(struct cgroup *g,
                   unsigned i,
                   const struct cgroup_limits *limits,
                   const char **file)
{
    const struct cgroup_place *p = &g->all->places[i];
    int rv;

    if (take_spare(g, i) == 0)
        return p->ops->limit(g->fds[i], p->controllers, limits, file);
    if (mkdirat(p->fd, g->name, 0755) != 0 &&
        (errno != EEXIST || unlinkat(p->fd, g->name, AT_REMOVEDIR) != 0 ||
         mkdirat(p->fd, g->name, 0755) != 0))
        return -errno;
    rv = open_in(g, i);
    return rv != 0 ? rv : p->ops->limit(g->fds[i], p->controllers, limits, file);
}

int cgroup_make(struct cgroup *g, const struct cgroup_limits *limits, const char **file)
{
    int rv = 0;

    for (unsigned i = 0; rv == 0 && i < g->all->count; i++) {
        *file = NULL;
        rv = make_in(g, i, limits, file);
    }
    return rv;
}

int cgroup_limit(struct cgroup *g,
                 const struct cgroup_limits *limits,
                 const char **file)
{
    int rv = 0;

    *file = NULL;
    for (unsigned i = 0; rv == 0 && i < g->all->count; i++) {
        const struct cgroup_place *p = &g->all->places[i];

        if (g->fds[i] >= 0)
            rv = p->ops->limit(g->fds[i], p->controllers, limits, file);
    }
    return rv;
}

int cgroup_clone_fd(const struct cgroup *g)
{
    for (unsigned i = 0; i < g->all->count; i++) {
        if (g->all->places[i].ops == &cgroup_v2)
            return g->fds[i];
    }
    return -1;
}

int cgroup_join(const struct cgroup *g, bool cloned)
{
    int rv = 0;

    for (unsigned i = 0; rv == 0 && i < g->all->count; i++) {
        const struct cgroup_ops *ops = g->all->places[i].ops;

        if (g->fds[i] >= 0 && !(cloned && ops == &cgroup_v2))
            rv = cgroup_write(g->fds[i], ops->join, "0");
    }
    return rv;
}

/* ---- the processes of a group ---- */

struct search {
    const struct cgroup_place *place;
    const char *group; /* as /proc/PID/cgroup shows it */
    cgroup_process_fn *visit;
    void *arg;
};

#define GROUPS_TEXT 8192 /* of /proc/PID/cgroup */

static bool has_group(const char *text, const char *group)
{
    size_t size = strlen(group);

    for (const char *at = text; (at = strstr(at, group)) != NULL; at += size) {
        if (at[size] == '\n' || at[size] == '/')
            return true;
    }
    return false;
}

/* A line is NUMBER:CONTROLLERS:PATH. */
static bool is_at_top(const char *text)
{
    for (const char *at = text; *at != 0; at += *at == '\n') {
        size_t size = strcspn(at, "\n");

        if (size < 2 || memcmp(at + size - 2, ":/", 2) != 0)
            return false;
        at += size;
    }
    return true;
}

/* The groups of a process, by its directory in /proc.  A first thread that has ended is in none
 * any more, which is the top of all, when the others still are. */
static void read_groups(int proc, char text[GROUPS_TEXT])
{
    char file[300];
    struct dirent *entry;
    DIR *threads;
    int fd;

    if (cgroup_read(proc, "cgroup", text, GROUPS_TEXT) <= 0)
        text[0] = 0;
    if (!is_at_top(text))
        return;
    fd = openat(proc, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    threads = fd < 0 ? NULL : fdopendir(fd);
    while (threads != NULL && is_at_top(text) && (entry = readdir(threads)) != NULL) {
        snprintf(file, sizeof(file), "%s/cgroup", entry->d_name);
        if (entry->d_name[0] != '.' && cgroup_read(fd, file, text, GROUPS_TEXT) <= 0)
            text[0] = 0;
    }
    if (threads != NULL)
        closedir(threads);
    else if (fd >= 0)
        close(fd);
}

/* The number of a process that ended may pass to another one of the host: held by its
 * directory, it is asked where it is. */
static void visit_member(const struct search *s, pid_t pid)
{
    int proc = process_open(pid);
    char text[GROUPS_TEXT];

    if (proc < 0)
        return;
    read_groups(proc, text);
    if (has_group(text, s->group))
        s->visit(proc, s->arg);
    close(proc);
}

static void visit_members(const struct search *s, int dir)
{
    int fd = openat(dir, "cgroup.procs", O_RDONLY | O_CLOEXEC);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "re");
    char text[4096];
    int pid;

    if (f == NULL) {
        if (fd >= 0)
            close(fd);
        return;
    }
    setvbuf(f, text, _IOFBF, sizeof(text));
    while (fscanf(f, "%d", &pid) == 1)
        visit_member(s, pid);
    fclose(f);
}

typedef void visit_fn(int parent, const char *name, int dir, const void *arg);

/* Each group below this one, the deepest first. */
static void walk(int dir, unsigned depth, visit_fn *visit, const void *arg)
{
    int copy =
        depth < DEPTH_MAX ? openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    DIR *d = copy < 0 ? NULL : fdopendir(copy);
    struct dirent *entry;

    while (d != NULL && (entry = readdir(d)) != NULL) {
        int below;

        if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
            continue;
        below =
            openat(dir, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (below < 0)
            continue;
        walk(below, depth + 1, visit, arg);
        visit(dir, entry->d_name, below, arg);
        close(below);
    }
    if (d != NULL)
        closedir(d);
    else if (copy >= 0)
        close(copy);
}

/* As /proc/PID/cgroup shows it: the last two names of the path. */
static const char *place_name(const struct cgroup_place *p)
{
    const char *at = p->path + strlen(p->path);

    for (int names = 0; at > p->path && names < 2;)
        names += *--at == '/' ? 1 : 0;
    return at;
}

static void group_name(const struct cgroup *g, unsigned i, char out[PATH_MAX])
{
    snprintf(out, PATH_MAX, "%s/%s", place_name(&g->all->places[i]), g->name);
}

static void search_in(int parent, const char *name, int dir, const void *arg)
{
    (void)parent;
    (void)name;
    visit_members(arg, dir);
}

void cgroup_each_process(const struct cgroups *all,
                         uint64_t attempt,
                         cgroup_process_fn *visit,
                         void *arg)
{
    char group[PATH_MAX];
    struct search s = {.group = group, .visit = visit, .arg = arg};
    struct cgroup g;

    cgroup_init(&g, all, attempt);
    if (all->count == 0 || open_in(&g, 0) != 0)
        return;
    group_name(&g, 0, group);
    walk(g.fds[0], 0, search_in, &s);
    visit_members(&s, g.fds[0]);
    cgroup_close(&g);
}

bool cgroups_hold(const struct cgroups *all, int proc)
{
    char text[GROUPS_TEXT];

    if (all->count == 0)
        return false;
    read_groups(proc, text);
    for (unsigned i = 0; i < all->count; i++) {
        if (has_group(text, place_name(&all->places[i])))
            return true;
    }
    return false;
}

/* ---- the end of a group ---- */

static void kill_process(int proc, void *arg)
{
    (void)arg;
    pidfd_send_signal(proc, SIGKILL, NULL, 0);
}

static void kill_in(int parent, const char *name, int dir, const void *arg)
{
    const struct search *s = arg;

    (void)parent;
    (void)name;
    s->place->ops->kill(dir, s->place->controllers);
    visit_members(s, dir);
}

static void remove_in(int parent, const char *name, int dir, const void *arg)
{
    (void)dir;
    (void)arg;
    unlinkat(parent, name, AT_REMOVEDIR);
}

void cgroup_kill(const struct cgroup *g)
{
    char group[PATH_MAX];

    for (unsigned i = 0; i < g->all->count; i++) {
        struct search s = {
            .place = &g->all->places[i], .group = group, .visit = kill_process};

        if (g->fds[i] < 0)
            continue;
        group_name(g, i, group);
        kill_in(-1, NULL, g->fds[i], &s);
        walk(g->fds[i], 0, kill_in, &s);
    }
}

static int remove_from(struct cgroup *g, unsigned i)
{
    int place = g->all->places[i].fd;

    if (unlinkat(place, g->name, AT_REMOVEDIR) == 0 || errno == ENOENT)
        return 0;
    if (errno != EBUSY)
        return -errno;
    walk(g->fds[i], 0, remove_in, NULL);
    return unlinkat(place, g->name, AT_REMOVEDIR) == 0 ? 0 : -errno;
}

static bool keep(struct cgroup *g, unsigned i)
{
    const struct cgroup_place *p = &g->all->places[i];
    char name[24];

    spare_name((unsigned)g->spare, name);
    return is_spare(p, g->fds[i]) && renameat(p->fd, g->name, p->fd, name) == 0;
}

static int end(struct cgroup *g, bool keeps)
{
    int rv = 0;

    for (unsigned i = 0; i < g->all->count; i++) {
        int failure = g->fds[i] < 0 || (keeps && keep(g, i)) ? 0 : remove_from(g, i);

        if (failure != 0) {
            rv = failure;
        } else if (g->fds[i] >= 0) {
            close(g->fds[i]);
            g->fds[i] = -1;
        }
    }
    return rv;
}

int cgroup_remove(struct cgroup *g)
{
    return end(g, false);
}

/* That no process is left somewhere is known from the place that counts them. */
int cgroup_leave(struct cgroup *g)
{
    const struct cgroup_place *p;
    bool empty = false;

    for (unsigned i = 0; g->spare >= 0 && i < g->all->count; i++) {
        p = &g->all->places[i];
        if (g->fds[i] >= 0 && p->ops->is_spare != NULL &&
            (p->controllers & CGROUP_PIDS) != 0)
            empty = p->ops->is_spare(g->fds[i], CGROUP_PIDS);
    }
    return end(g, empty);
}

/* ---- memory and usage ---- */

static const struct cgroup_place *memory_of(const struct cgroup *g, int *fd)
{
    for (unsigned i = 0; i < g->all->count; i++) {
        const struct cgroup_place *p = &g->all->places[i];

        *fd = g->fds[i];
        if (*fd >= 0 && (p->controllers & CGROUP_MEMORY) != 0)
            return p;
    }
    return NULL;
}

int cgroup_oom_event(const struct cgroup *g)
{
    int fd;
    const struct cgroup_place *p = memory_of(g, &fd);

    return p == NULL ? -1 : p->ops->oom_event(fd);
}

bool cgroup_oom_killed(const struct cgroup *g)
{
    int fd;
    const struct cgroup_place *p = memory_of(g, &fd);

    return p != NULL && p->ops->oom_killed(fd);
}

void cgroup_used(const struct cgroup *g, struct usage *out)
{
    *out = (struct usage){0};
    for (unsigned i = 0; i < g->all->count; i++) {
        const struct cgroup_place *p = &g->all->places[i];

        if (g->fds[i] >= 0)
            p->ops->usage(g->fds[i], p->controllers, out);
    }
}

int cgroup_usage(const struct cgroups *all, uint64_t attempt, struct usage *out)
{
    struct cgroup g;
    int rv = cgroup_open(&g, all, attempt);

    cgroup_used(&g, out);
    cgroup_close(&g);
    return rv;
}
