/* cgroup_find.c - where the groups of an agent's runs are.
 *
 * Version 1 has no rules: the directory is made below our own group of each hierarchy.
 * Version 2 gives controllers only to groups below one that has no processes of its own.
 * So the processes that are in our group, which is ours alone when it was delegated (by
 * the manager of services, to a user, or to a container), move to a leaf beside the
 * tasks.  A group that was not delegated has others in it; root then takes the top of the
 * hierarchy, to which the rule does not apply.
 */
#include "agent/cgroup_find.h"

#include "agent/cgroup_internal.h"
#include "agent/cgroup_memory.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define MOUNTS_MAX 32
#define LINE_ROOM  (3 * PATH_MAX)
#define LEAF       "triarch-agent"

static const struct {
    const char *v1, *v2;
    uint32_t controller;
    bool limits; /* missing, it leaves tasks without a limit */
} CONTROLLERS[] = {
    {"cpu", "cpu", CGROUP_CPU, true},
    {"cpuacct", NULL, CGROUP_CPUACCT, false},
    {"memory", "memory", CGROUP_MEMORY, true},
    {"pids", "pids", CGROUP_PIDS, true},
    {"blkio", "io", CGROUP_IO, false},
};

#define CONTROLLER_COUNT (sizeof(CONTROLLERS) / sizeof(CONTROLLERS[0]))

struct mount {
    unsigned version;
    uint32_t controllers; /* version 1: those of the hierarchy */
    char at[PATH_MAX];    /* on this host, with the root of a test before it */
    char top[PATH_MAX];   /* the group that is seen there */
    char own[PATH_MAX];   /* our group, below `at` */
};

struct search {
    const struct cgroup_find_options *options;
    struct mount *mounts;
    unsigned count;
    char id[64];
    struct cgroups *out;
    uint32_t found;
    struct error *why; /* the first reason */
};

static void blame(struct search *s, const char *what, const char *path, int reason)
{
    if (s->why->text[0] == 0)
        error_set(s->why, ERROR_IO, "%s %s: %s", what, path, strerror(reason));
}

/* ---- what is mounted, and where we are ---- */

/* "rw,cpu,cpuacct" or "cpu,cpuacct". */
static uint32_t controllers_v1(const char *list)
{
    uint32_t controllers = 0;

    for (const char *at = list; *at != 0; at += strcspn(at, ","), at += *at == ',') {
        for (size_t i = 0; i < CONTROLLER_COUNT; i++) {
            size_t size = strlen(CONTROLLERS[i].v1);

            if (strncmp(at, CONTROLLERS[i].v1, size) == 0 &&
                (at[size] == ',' || at[size] == 0))
                controllers |= CONTROLLERS[i].controller;
        }
    }
    return controllers;
}

/* proc(5): … ROOT MOUNT-POINT OPTIONS [FIELD...] - TYPE SOURCE SUPER-OPTIONS */
static void take_mount(struct search *s, char *line)
{
    char top[PATH_MAX], at[PATH_MAX], type[32], super[PATH_MAX];
    char *dash = strstr(line, " - ");
    struct mount *m = &s->mounts[s->count];

    if (s->count == MOUNTS_MAX || dash == NULL ||
        sscanf(line, "%*d %*d %*s %4095s %4095s", top, at) != 2 ||
        sscanf(dash, " - %31s %*s %4095s", type, super) != 2 ||
        (strcmp(type, "cgroup") != 0 && strcmp(type, "cgroup2") != 0))
        return;
    m->version = strcmp(type, "cgroup") == 0 ? 1 : 2;
    m->controllers = m->version == 1 ? controllers_v1(super) : 0;
    if (m->version == 1 && m->controllers == 0)
        return;
    snprintf(m->at, sizeof(m->at), "%.1024s%.3000s", s->options->root, at);
    strcpy(m->top, top);
    s->count++;
}

/* Our group as the mount shows it: the part behind what is mounted there. */
static void place_us(struct mount *m, const char *path)
{
    size_t size = strcmp(m->top, "/") == 0 ? 0 : strlen(m->top);

    m->own[0] = 0;
    if (strncmp(path, m->top, size) == 0 && strcmp(path + size, "/") != 0 &&
        strstr(path, "/..") == NULL)
        snprintf(m->own, sizeof(m->own), "%s", path + size);
}

/* "NUMBER:CONTROLLERS:PATH"; version 2 has no controllers. */
static void take_group(struct search *s, char *line)
{
    char *list = strchr(line, ':');
    char *path = list == NULL ? NULL : strchr(list + 1, ':');
    uint32_t controllers;

    if (path == NULL)
        return;
    *path++ = 0;
    controllers = controllers_v1(++list);
    for (unsigned i = 0; i < s->count; i++) {
        struct mount *m = &s->mounts[i];

        if (m->version == 2 ? strncmp(line, "0:", 2) == 0 && *list == 0
                            : controllers == m->controllers)
            place_us(m, path);
    }
}

static void
each_line(struct search *s, const char *path, void (*take)(struct search *, char *))
{
    char name[PATH_MAX], *line = mem_alloc(LINE_ROOM);
    FILE *f;

    snprintf(name, sizeof(name), "%s%s", s->options->root, path);
    f = fopen(name, "re");
    while (f != NULL && fgets(line, LINE_ROOM, f) != NULL) {
        line[strcspn(line, "\n")] = 0;
        take(s, line);
    }
    if (f != NULL)
        fclose(f);
    mem_free(line);
}

/* ---- places ---- */

static bool make_directory(struct search *s, const char *path)
{
    if (mkdir(path, 0755) == 0 || errno == EEXIST)
        return true;
    blame(s, "cannot make the cgroup", path, errno);
    return false;
}

static void
add_place(struct search *s, unsigned version, uint32_t controllers, const char *path)
{
    char text[CGROUP_TEXT];
    int rv;

    snprintf(text, sizeof(text), "%u:%x:%.4000s", version, controllers, path);
    rv = faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) != 0 ? -errno
                                                          : cgroups_add(s->out, text);
    if (rv != 0)
        blame(s, "cannot use the cgroup", path, -rv);
    else
        s->found |= controllers;
}

static void use_v1(struct search *s, const struct mount *m)
{
    uint32_t wanted = m->controllers & ~s->found;
    char path[PATH_MAX];

    if (wanted == 0 || m->version != 1)
        return;
    snprintf(path, sizeof(path), "%.2000s%.1900s/triarch", m->at, m->own);
    if (!make_directory(s, path))
        return;
    snprintf(path, sizeof(path), "%.2000s%.1900s/triarch/%s", m->at, m->own, s->id);
    if (make_directory(s, path))
        add_place(s, 1, wanted, path);
}

static bool exists(const char *path, const char *file)
{
    char name[PATH_MAX];

    snprintf(name, sizeof(name), "%.4000s/%s", path, file);
    return access(name, F_OK) == 0;
}

static bool is_marked(const char *path)
{
    char mark = 0;

    return (getxattr(path, "trusted.delegate", &mark, 1) == 1 && mark == '1') ||
           (getxattr(path, "user.delegate", &mark, 1) == 1 && mark == '1');
}

/* Ours alone.  The real top of a hierarchy has no type. */
static bool is_delegated(const struct mount *m, const char *path)
{
    return geteuid() != 0 || is_marked(path) ||
           (m->own[0] == 0 && exists(path, "cgroup.type"));
}

/* All that is there, which is the agent and who started it. */
static void move_to_leaf(struct search *s, const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char leaf[PATH_MAX], *text = mem_alloc(MIB);
    int to = -1;

    snprintf(leaf, sizeof(leaf), "%.4000s/" LEAF, path);
    if (make_directory(s, leaf))
        to = open(leaf, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0 && to >= 0 && cgroup_read(fd, "cgroup.procs", text, MIB) > 0) {
        for (char *at = strtok(text, "\n"); at != NULL; at = strtok(NULL, "\n")) {
            int rv = cgroup_write(to, "cgroup.procs", at);

            if (rv != 0 && rv != -ESRCH)
                blame(s, "cannot move a process to the cgroup", leaf, -rv);
        }
    }
    if (to >= 0)
        close(to);
    if (fd >= 0)
        close(fd);
    mem_free(text);
}

/* The wanted controllers that groups below `path` can have now. */
static uint32_t enable(struct search *s, const char *path, uint32_t wanted)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    uint32_t enabled = 0;

    for (size_t i = 0; fd >= 0 && i < CONTROLLER_COUNT; i++) {
        char text[32];
        int rv;

        if ((wanted & CONTROLLERS[i].controller) == 0 || CONTROLLERS[i].v2 == NULL)
            continue;
        snprintf(text, sizeof(text), "+%s", CONTROLLERS[i].v2);
        rv = cgroup_write(fd, "cgroup.subtree_control", text);
        if (rv == 0)
            enabled |= CONTROLLERS[i].controller;
        else if (CONTROLLERS[i].limits)
            blame(s, "cannot enable a controller in", path, -rv);
    }
    if (fd >= 0)
        close(fd);
    return enabled;
}

static uint32_t available(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    uint32_t controllers = 0;
    char text[1024] = "";

    if (fd >= 0 && cgroup_read(fd, "cgroup.controllers", text, sizeof(text)) < 0)
        text[0] = 0;
    if (fd >= 0)
        close(fd);
    for (char *at = strtok(text, " \n"); at != NULL; at = strtok(NULL, " \n")) {
        for (size_t i = 0; i < CONTROLLER_COUNT; i++)
            if (CONTROLLERS[i].v2 != NULL && strcmp(at, CONTROLLERS[i].v2) == 0)
                controllers |= CONTROLLERS[i].controller;
    }
    return controllers;
}

/* Our own group, or what is above the leaf that an agent before moved us to. */
static void base_v2(const struct mount *m, char out[PATH_MAX])
{
    size_t own = strlen(m->own), leaf = strlen("/" LEAF);

    if (own >= leaf && strcmp(m->own + own - leaf, "/" LEAF) == 0)
        own -= leaf;
    snprintf(out, PATH_MAX, "%.2000s%.*s", m->at, (int)own, m->own);
    if (!is_delegated(m, out))
        snprintf(out, PATH_MAX, "%.4000s", m->at);
}

/* It is used for the controllers that it has, and for the sure kill where version 1 has
 * no group that counts processes. */
static void use_v2(struct search *s, const struct mount *m)
{
    char base[PATH_MAX], path[PATH_MAX];
    uint32_t wanted;

    if (m->version != 2)
        return;
    base_v2(m, base);
    wanted = available(base) & ~s->found;
    if (wanted == 0 && (s->found & CGROUP_PIDS) != 0)
        return;
    if (wanted != 0 && exists(base, "cgroup.type"))
        move_to_leaf(s, base);
    wanted = enable(s, base, wanted);
    snprintf(path, sizeof(path), "%.4000s/triarch", base);
    if (!make_directory(s, path))
        return;
    wanted = enable(s, path, wanted);
    snprintf(path, sizeof(path), "%.4000s/triarch/%s", base, s->id);
    if (!make_directory(s, path))
        return;
    wanted = enable(s, path, wanted);
    add_place(s, 2, wanted, path);
    s->found |= CGROUP_CPUACCT;
}

/* ---- where an agent before had them ---- */

/* The group that both are in or below, and the lowest such. */
static void common_group(const struct mount *m, const char *path, char out[PATH_MAX])
{
    char own[PATH_MAX];
    size_t at = strlen(m->at), common = at;

    snprintf(own, sizeof(own), "%.2000s%.2000s", m->at, m->own);
    while (own[at] == path[at] && own[at] != 0) {
        at++;
        if ((own[at] == '/' || own[at] == 0) && (path[at] == '/' || path[at] == 0))
            common = at;
    }
    snprintf(out, PATH_MAX, "%.*s", (int)common, path);
}

/* In version 2 it takes more than the right to write to the group that a process is to
 * be in: the same in the group that both are below.  `out`: such a group that we cannot
 * write to. */
static bool is_closed(const struct search *s, char out[PATH_MAX])
{
    for (unsigned i = 0; i < s->out->count; i++) {
        const struct cgroup_place *p = &s->out->places[i];

        for (unsigned j = 0; p->ops->version == 2 && j < s->count; j++) {
            const struct mount *m = &s->mounts[j];
            char procs[PATH_MAX];

            if (m->version != 2 || strncmp(p->path, m->at, strlen(m->at)) != 0)
                continue;
            common_group(m, p->path, out);
            snprintf(procs, sizeof(procs), "%.4000s/cgroup.procs", out);
            if (faccessat(AT_FDCWD, procs, W_OK, AT_EACCESS) != 0 && errno == EACCES)
                return true;
        }
    }
    return false;
}

static bool remove_all(const struct cgroups *c)
{
    uint64_t *attempts;
    size_t count = cgroup_list(c, &attempts);
    bool removed = true;

    for (size_t i = 0; i < count; i++) {
        struct cgroup g;

        int rv = cgroup_open(&g, c, attempts[i]);

        if (rv == 0)
            rv = cgroup_remove(&g);
        if (rv != 0 && rv != -ENOENT)
            removed = false;
        cgroup_close(&g);
    }
    mem_free(attempts);
    return removed;
}

/* As long as they can be used.  When they cannot, and nothing runs there any more, they
 * are forgotten. */
static int recall(struct search *s, bool *recalled, struct error *err)
{
    char closed[PATH_MAX];

    *recalled = cgroup_recall(s->out, s->options);
    if (!*recalled || !is_closed(s, closed))
        return 0;
    if (!remove_all(s->out))
        return error_set(
            err,
            ERROR_IO,
            "tasks run in groups that an agent started here cannot use: "
            "%s/cgroup.procs "
            "cannot be written; start it in its cgroup of before, or end those tasks",
            closed);
    cgroups_close(s->out);
    *recalled = false;
    return 0;
}

/* ---- all of it ---- */

/* Tasks together leave room for the processes of the host itself. */
static void limit_all(const struct cgroups *c)
{
    uint64_t most = cgroup_number(AT_FDCWD, "/proc/sys/kernel/pid_max") / 4 * 3;

    for (unsigned i = 0; most > 0 && i < c->count; i++)
        if ((c->places[i].controllers & CGROUP_PIDS) != 0)
            cgroup_write_number(c->places[i].fd, "pids.max", most);
}

static void tell_missing(const struct search *s)
{
    char list[64] = "";
    struct error reason = *s->why;

    for (size_t i = 0; i < CONTROLLER_COUNT; i++) {
        if (!CONTROLLERS[i].limits || (s->found & CONTROLLERS[i].controller) != 0)
            continue;
        if (list[0] != 0)
            strcat(list, ", ");
        strcat(list, CONTROLLERS[i].v1);
    }
    *s->why = (struct error){0};
    if (list[0] != 0)
        error_set(s->why,
                  ERROR_IO,
                  "limits of tasks are not enforced: %s: %s",
                  list,
                  reason.text[0] != 0 ? reason.text : "this host has no such cgroups");
}

static void search(struct search *s)
{
    for (unsigned i = 0; i < s->count; i++)
        use_v1(s, &s->mounts[i]);
    for (unsigned i = 0; i < s->count; i++)
        use_v2(s, &s->mounts[i]);
}

int cgroup_find(struct cgroups *out,
                const struct cgroup_find_options *options,
                struct error *why,
                struct error *err)
{
    struct search s = {.options = options, .out = out, .why = why};
    bool recalled;
    struct stat st;
    int rv;

    *out = (struct cgroups){0};
    *why = (struct error){0};
    if (stat(options->work_dir, &st) != 0)
        return error_set(
            err, ERROR_IO, "stat %s: %s", options->work_dir, strerror(errno));
    snprintf(s.id,
             sizeof(s.id),
             "%llx-%llx",
             (unsigned long long)st.st_dev,
             (unsigned long long)st.st_ino);
    s.mounts = mem_zalloc(MOUNTS_MAX * sizeof(*s.mounts));
    each_line(&s, "/proc/self/mountinfo", take_mount);
    each_line(&s, "/proc/self/cgroup", take_group);
    rv = recall(&s, &recalled, err);
    if (rv == 0 && recalled) {
        for (unsigned i = 0; i < out->count; i++)
            s.found |= out->places[i].controllers;
    } else if (rv == 0) {
        search(&s);
        rv = cgroup_remember(out, options, err);
    }
    mem_free(s.mounts);
    if (rv != 0)
        return rv;
    limit_all(out);
    tell_missing(&s);
    return 0;
}

size_t cgroup_list(const struct cgroups *c, uint64_t **out)
{
    size_t count = 0, capacity = 0;

    *out = NULL;
    for (unsigned i = 0; i < c->count; i++) {
        DIR *d = opendir(c->places[i].path);
        struct dirent *entry;

        while (d != NULL && (entry = readdir(d)) != NULL) {
            uint64_t attempt = strtoull(entry->d_name, NULL, 10);

            if (entry->d_type != DT_DIR || attempt == 0)
                continue;
            MEM_GROW(*out, capacity, count + 1);
            (*out)[count++] = attempt;
        }
        if (d != NULL)
            closedir(d);
    }
    return count;
}
