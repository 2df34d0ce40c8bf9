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
#define LINE_BYTES     4096
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
    if ((*end != 0 && *end != '\n') || errno != 0 || value >= NO_ID)
        return false;
    *out = (uint32_t)value;
    return true;
}

/* One line "name:x:number[:group…]": true if it is of that name or number. */
static bool line_is_of(char *line, const char *name, uint32_t number, uint32_t ids[2])
{
    char *rest = line, *fields[4];

    for (unsigned i = 0; i < 4; i++)
        fields[i] = strsep(&rest, ":");
    ids[1] = NO_ID;
    if (!read_number(fields[2], &ids[0]))
        return false;
    (void)read_number(fields[3], &ids[1]);
    return name != NULL ? strcmp(fields[0], name) == 0 : ids[0] == number;
}

/* By name, or by number if that is NULL. */
static bool look_up(
    int rootfs, const char *path, const char *name, uint32_t number, uint32_t ids[2])
{
    FILE *f = open_inside(rootfs, path);
    char line[LINE_BYTES];
    bool found = false;

    while (f != NULL && !found && fgets(line, sizeof(line), f) != NULL)
        found = line_is_of(line, name, number, ids);
    if (f != NULL)
        fclose(f);
    return found;
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

int oci_user_find(
    int rootfs, const char *text, uint32_t *uid, uint32_t *gid, struct error *err)
{
    char user[NAME_MAX_BYTES], *group;
    uint32_t ids[2] = {0, NO_ID};

    if (snprintf(user, sizeof(user), "%s", text[0] != 0 ? text : "0") >=
        (int)sizeof(user))
        return error_set(err, ERROR_INVALID, "the name of its user is too long");
    group = strchr(user, ':');
    if (group != NULL)
        *group++ = 0;
    if (read_number(user, uid)) {
        if (!look_up(rootfs, "etc/passwd", NULL, *uid, ids))
            ids[1] = 0;
    } else if (look_up(rootfs, "etc/passwd", user, 0, ids)) {
        *uid = ids[0];
    } else {
        return not_there("user", user, err);
    }
    *gid = ids[1] != NO_ID ? ids[1] : 0;
    if (group == NULL || read_number(group, gid))
        return 0;
    if (!look_up(rootfs, "etc/group", group, 0, ids))
        return not_there("group", group, err);
    *gid = ids[0];
    return 0;
}
