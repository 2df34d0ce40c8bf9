/* found.c - what an agent has to work with, told in its log when it starts.
 *
 * Groups, programs and users differ from host to host, and what is missing shows itself only
 * in the first task that needs it.  So one line says what was found: the first thing to look
 * at when a host behaves otherwise than the one beside it.
 *
 * Programs are asked for their versions, and the host's directory of users for names, by a
 * thread: they take their time, or never answer.  Nobody waits for it, and what it reads is
 * its own.
 */
#include "agent/found.h"

#include "agent/agent.h"
#include "agent/cgroup_internal.h"
#include "agent/containers.h"
#include "agent/launcher.h"
#include "agent/users.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/hooks.h"

#include <errno.h>
#include <pthread.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ENTRY_BYTES 65536 /* of a user */

struct found {
    char *groups;
    char *users;   /* whom tasks run as, in words */
    char *listed;  /* --users, or NULL */
    char *volumes; /* --volumes, or NULL */
};

/* ---- the line ---- */

static void add_groups(const struct cgroups *c, unsigned version, struct buffer *out)
{
    static const struct {
        uint32_t controller;
        const char *name;
    } names[] = {
        {CGROUP_CPU, "cpu"},
        {CGROUP_MEMORY, "memory"},
        {CGROUP_PIDS, "pids"},
        {CGROUP_IO, "io"},
    };
    uint32_t found = 0;
    unsigned places = 0;
    const char *comma = "";

    for (unsigned i = 0; i < c->count; i++) {
        if (c->places[i].ops->version != version)
            continue;
        found |= c->places[i].controllers;
        places++;
    }
    if (places == 0)
        return;
    buffer_printf(out, "%scgroup v%u (", out->size > 0 ? " and " : "", version);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if ((found & names[i].controller) == 0)
            continue;
        buffer_printf(out, "%s%s", comma, names[i].name);
        comma = ", ";
    }
    buffer_append_text(out, comma[0] == 0 ? "no controllers)" : ")");
}

char *found_groups(const struct cgroups *c)
{
    struct buffer text = {0};

    for (unsigned version = 1; version <= 2; version++)
        add_groups(c, version, &text);
    if (text.size == 0)
        buffer_append_text(&text, "no cgroups");
    buffer_append_u8(&text, 0);
    return (char *)text.data;
}

static void add_program(struct buffer *out, const char *name)
{
    char version[CONTAINERS_VERSION];

    if (containers_version(name, version))
        buffer_printf(out, ", %s %s", name, version);
    else
        buffer_printf(out, ", no %s", name);
}

static char *describe_users(const struct agent_config *c)
{
    const char *others = c->default_user != NULL ? c->default_user : "root";
    struct buffer out = {0};

    if (geteuid() != 0)
        buffer_printf(&out, "tasks run as uid %u", (unsigned)geteuid());
    else if (c->users == NULL)
        buffer_printf(&out,
                      "tasks run as %s, or as users with a uid from %d",
                      others,
                      UID_ORDINARY);
    else if (strcmp(c->users, "*") == 0)
        buffer_printf(&out, "tasks run as %s, or as any user", others);
    else
        buffer_printf(&out, "tasks run as %s, or as %s", others, c->users);
    buffer_append_u8(&out, 0);
    return (char *)out.data;
}

static void tell_line(const struct found *f)
{
    struct buffer line = {0};

    add_program(&line, "crun");
    add_program(&line, "skopeo");
    log_info("agent",
             "found %s%.*s; %s%s%s",
             f->groups,
             (int)line.size,
             (const char *)line.data,
             f->users,
             f->volumes != NULL ? "; volumes in " : "",
             f->volumes != NULL ? f->volumes : "");
    buffer_finish(&line);
}

/* ---- warnings ---- */

static void look_at_user(const char *name)
{
    char *room = mem_alloc(ENTRY_BYTES);
    struct passwd entry, *who = NULL;

    if (getpwnam_r(name, &entry, room, ENTRY_BYTES, &who) == 0 && who == NULL)
        log_warning("agent", "--users: this host has no user \"%s\"", name);
    mem_free(room);
}

static void look_at_volumes(const char *path)
{
    struct stat st;

    if (stat(path, &st) != 0)
        log_warning("agent", "--volumes: %s: %s", path, strerror(errno));
    else if (!S_ISDIR(st.st_mode))
        log_warning("agent", "--volumes: %s is not a directory", path);
}

/* What is not there now may come later, but most often the option is wrong. */
static void each_of(char *list, void (*look)(const char *item))
{
    char *item;

    while ((item = strsep(&list, ",")) != NULL)
        if (item[0] != 0)
            look(item);
}

/* ---- the thread ---- */

static void *run(void *arg)
{
    struct found *f = arg;

    tell_line(f);
    if (f->volumes != NULL)
        each_of(f->volumes, look_at_volumes);
    if (f->listed != NULL && strcmp(f->listed, "*") != 0)
        each_of(f->listed, look_at_user);
    mem_free(f->groups);
    mem_free(f->users);
    mem_free(f->listed);
    mem_free(f->volumes);
    mem_free(f);
    return NULL;
}

static char *copy_of(const char *text)
{
    return text == NULL ? NULL : mem_strdup(text);
}

void found_tell(const struct agent_config *config, const struct launcher *launcher)
{
    struct found *f = mem_zalloc(sizeof(*f));
    pthread_t thread;

    if (launcher->unlimited.code != ERROR_NONE)
        log_warning("agent", "%s", launcher->unlimited.text);
    if (launcher->no_images.code != ERROR_NONE)
        log_info("agent", "no tasks with an image: %s", launcher->no_images.text);
    if (geteuid() != 0 && config->users != NULL)
        log_warning("agent", "--users: only root can start tasks as other users");
    *f = (struct found){
        .groups = found_groups(launcher->groups),
        .users = describe_users(config),
        .listed = copy_of(config->users),
        .volumes = copy_of(config->volumes),
    };
    store_thread_start(&thread, "found", run, f);
    pthread_detach(thread);
}
