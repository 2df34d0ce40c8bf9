/* oci_user.c - see oci_user.h. */
#include "fetch/oci_user.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NAME_MAX_BYTES 256
#define NO_ID          UINT32_MAX

static FILE *open_inside(int rootfs, const char *path)
{
    struct open_how how = {
        .flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK,
        .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
    };
    int fd = (int)syscall(SYS_openat2, rootfs, path, &how, sizeof(how));

    return fd < 0 ? NULL : fdopen(fd, "r");
}

static bool read_number(const char *text, uint32_t *out)
{
    char *end;
    unsigned long long value;

    if (text == NULL || text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    value = strtoull(text, &end, 10);
    if (*end != 0 || errno != 0 || value >= NO_ID)
        return false;
    *out = (uint32_t)value;
    return true;
}

/* A line "name:x:number:…" of passwd or group, cut into its fields. */
struct entry {
    const char *name, *rest; /* rest: the fourth field */
    uint32_t id;
};

static bool read_entry(char *line, struct entry *out)
{
    char *rest = line, *fields[4];

    line[strcspn(line, "\n")] = 0;
    for (unsigned i = 0; i < 4; i++)
        fields[i] = strsep(&rest, ":");
    out->name = fields[0];
    out->rest = fields[3];
    return read_number(fields[2], &out->id);
}

struct lines {
    FILE *file; /* NULL: it is not there */
    char *line;
    size_t room;
};

static bool next_entry(struct lines *l, struct entry *out)
{
    while (l->file != NULL && getline(&l->line, &l->room, l->file) > 0) {
        if (read_entry(l->line, out))
            return true;
    }
    return false;
}

static void lines_finish(struct lines *l)
{
    if (l->file != NULL)
        fclose(l->file);
    free(l->line);
}

/* ---- users ---- */

/* By name, or by number if that is not one: then a user need not be in the file. */
static bool find_user(int rootfs, char name[NAME_MAX_BYTES], struct oci_user *out)
{
    struct lines passwd = {.file = open_inside(rootfs, "etc/passwd")};
    bool by_number = read_number(name, &out->uid), found = false;
    struct entry e;

    while (!found && next_entry(&passwd, &e))
        found = by_number ? e.id == out->uid : strcmp(e.name, name) == 0;
    if (found) {
        out->uid = e.id;
        if (!read_number(e.rest, &out->gid))
            out->gid = 0;
        snprintf(name, NAME_MAX_BYTES, "%s", e.name);
    }
    lines_finish(&passwd);
    return found || by_number;
}

static bool find_group(int rootfs, const char *name, uint32_t *gid)
{
    struct lines group = {.file = open_inside(rootfs, "etc/group")};
    bool found = read_number(name, gid);
    struct entry e;

    while (!found && next_entry(&group, &e)) {
        found = strcmp(e.name, name) == 0;
        *gid = e.id;
    }
    lines_finish(&group);
    return found;
}

static bool has_member(const char *list, const char *name)
{
    size_t size = strlen(name);

    for (; list != NULL && *list != 0; list += strcspn(list, ","), list += *list == ',')
        if (strncmp(list, name, size) == 0 && (list[size] == ',' || list[size] == 0))
            return true;
    return false;
}

/* False: there are too many. */
static bool find_memberships(int rootfs, const char *name, struct oci_user *out)
{
    struct lines group = {.file = open_inside(rootfs, "etc/group")};
    bool fits = true;
    struct entry e;

    while (fits && next_entry(&group, &e)) {
        if (!has_member(e.rest, name))
            continue;
        fits = out->group_count < LIMIT_USER_GROUPS;
        if (fits)
            out->groups[out->group_count++] = e.id;
    }
    lines_finish(&group);
    return fits;
}

static int not_there(const char *what, const char *name, struct error *err)
{
    return error_set(err,
                     ERROR_INVALID,
                     "the image has no %s \"%.100s\"; give a number, or one that is in "
                     "its /etc/%s",
                     what,
                     name,
                     strcmp(what, "user") == 0 ? "passwd" : "group");
}

int oci_user_find(int rootfs, const char *text, struct oci_user *out, struct error *err)
{
    char user[NAME_MAX_BYTES], *group;

    *out = (struct oci_user){0};
    if (snprintf(user, sizeof(user), "%s", text[0] != 0 ? text : "0") >=
        (int)sizeof(user))
        return error_set(err, ERROR_INVALID, "the name of its user is too long");
    group = strchr(user, ':');
    if (group != NULL)
        *group++ = 0;
    if (!find_user(rootfs, user, out))
        return not_there("user", user, err);
    if (group != NULL)
        return find_group(rootfs, group, &out->gid) ? 0
                                                    : not_there("group", group, err);
    if (!find_memberships(rootfs, user, out))
        return error_set(err,
                         ERROR_TOO_LARGE,
                         "user \"%.100s\" of the image is in more than %d groups",
                         user,
                         LIMIT_USER_GROUPS);
    return 0;
}

/* ---- who it may be on the host ---- */

static bool is_allowed(const json_t *users, size_t which, uint32_t id)
{
    json_int_t from = json_integer_value(json_object_get(users, "from"));
    const json_t *listed = json_object_get(users, "listed"), *ids;
    size_t i;

    json_array_foreach (listed, i, ids) {
        if (json_integer_value(json_array_get(ids, which)) == id)
            return true;
    }
    return from > 0 && id >= from;
}

int oci_user_restrict(struct oci_user *user, const json_t *users, struct error *err)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < user->group_count; i++)
        if (is_allowed(users, 1, user->groups[i]))
            user->groups[kept++] = user->groups[i];
    user->group_count = kept;
    if (is_allowed(users, 0, user->uid) && is_allowed(users, 1, user->gid))
        return 0;
    return error_set(
        err,
        ERROR_INVALID,
        "tasks may not be user %u of group %u on this agent: let the job say "
        "another user, like \"1000:1000\", or start the agent with "
        "--image-root",
        user->uid,
        user->gid);
}
