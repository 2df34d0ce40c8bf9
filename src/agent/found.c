/* found.c - what an agent has to work with, told in its log when it starts.
 *
 * Groups, programs and users differ from host to host, and what is missing shows itself only
 * in the first task that needs it.  So one line says what was found: the first thing to look
 * at when a host behaves otherwise than the one beside it.
 */
#include "agent/found.h"

#include "agent/agent.h"
#include "agent/cgroup_internal.h"
#include "agent/containers.h"
#include "agent/launcher.h"
#include "agent/users.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

static void add_users(struct buffer *out, const struct agent_config *c)
{
    const char *others = c->default_user != NULL ? c->default_user : "root";

    if (geteuid() != 0)
        buffer_printf(out, "; tasks run as uid %u", (unsigned)geteuid());
    else if (c->users == NULL)
        buffer_printf(out,
                      "; tasks run as %s, or as users with a uid from %d",
                      others,
                      UID_ORDINARY);
    else if (strcmp(c->users, "*") == 0)
        buffer_printf(out, "; tasks run as %s, or as any user", others);
    else
        buffer_printf(out, "; tasks run as %s, or as %s", others, c->users);
}

static void tell_found(const struct agent_config *c, const struct launcher *launcher)
{
    char *groups = found_groups(launcher->groups);
    struct buffer line = {0};

    buffer_append_text(&line, groups);
    add_program(&line, "crun");
    add_program(&line, "skopeo");
    add_users(&line, c);
    if (c->volumes != NULL)
        buffer_printf(&line, "; volumes in %s", c->volumes);
    log_info("agent", "found %.*s", (int)line.size, (const char *)line.data);
    buffer_finish(&line);
    mem_free(groups);
}

/* ---- warnings ---- */

static void look_at_user(const char *name)
{
    if (getpwnam(name) == NULL)
        log_warning("agent", "--users: this host has no user \"%s\"", name);
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
static void each_of(const char *list, void (*look)(const char *item))
{
    char *items = mem_strdup(list), *rest = items, *item;

    while ((item = strsep(&rest, ",")) != NULL)
        if (item[0] != 0)
            look(item);
    mem_free(items);
}

void found_tell(const struct agent_config *config, const struct launcher *launcher)
{
    tell_found(config, launcher);
    if (launcher->unlimited.code != ERROR_NONE)
        log_warning("agent", "%s", launcher->unlimited.text);
    if (launcher->no_images.code != ERROR_NONE)
        log_info("agent", "no tasks with an image: %s", launcher->no_images.text);
    if (config->users != NULL && strcmp(config->users, "*") != 0)
        each_of(config->users, look_at_user);
    if (config->volumes != NULL)
        each_of(config->volumes, look_at_volumes);
    if (geteuid() != 0 && config->users != NULL)
        log_warning("agent", "--users: only root can start tasks as other users");
}
