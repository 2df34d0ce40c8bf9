/* artifact.c - see artifact.h.
 *
 * Directories on the way are entered one by one and never through a link: an archive that
 * came before may have left one.
 */
#include "fetch/artifact.h"

#include "base/limits.h"
#include "base/text.h"
#include "fetch/deadline.h"
#include "fetch/digest.h"
#include "fetch/download.h"
#include "fetch/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEMPORARY ".triarch-fetch"

struct artifact {
    const char *source, *sha256, *path;
    int unpack, executable;
    json_int_t max_bytes, timeout_ms;
};

static int read_artifact(struct artifact *a, json_t *value, struct error *err)
{
    json_error_t why;

    *a = (struct artifact){0};
    if (json_unpack_ex(value,
                       &why,
                       JSON_STRICT,
                       "{s:s, s:s, s:s, s:b, s:b, s:I, s:I}",
                       "source",
                       &a->source,
                       "sha256",
                       &a->sha256,
                       "path",
                       &a->path,
                       "unpack",
                       &a->unpack,
                       "executable",
                       &a->executable,
                       "max_bytes",
                       &a->max_bytes,
                       "timeout_ms",
                       &a->timeout_ms) != 0)
        return error_set(err, ERROR_INVALID, "request: %s", why.text);
    if (!digest_valid(a->sha256) || a->max_bytes <= 0 || a->timeout_ms <= 0)
        return error_set(err, ERROR_INVALID, "request: %s: no good values", a->path);
    return unpack_check_name(a->path, err);
}

/* ---- where it goes ---- */

/* Takes dir; the directory `name` in it, made if it is not there; -1 and errno. */
static int enter(int dir, const char *name)
{
    int next = -1, reason;

    if (mkdirat(dir, name, 0777) == 0 || errno == EEXIST)
        next = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    reason = errno;
    close(dir);
    errno = reason;
    return next;
}

/* The directory of all but the last part of the path, which goes to *last. */
static int open_parent(const char *path, const char **last, struct error *err)
{
    int dir = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char name[NAME_MAX + 1];
    const char *slash;

    while (dir >= 0 && (slash = strchr(path, '/')) != NULL) {
        int size = snprintf(name, sizeof(name), "%.*s", (int)(slash - path), path);

        if (size >= (int)sizeof(name))
            return close(dir),
                   error_set(err, ERROR_INVALID, "a part of its path is too long");
        if (size > 0)
            dir = enter(dir, name);
        path = slash + 1;
    }
    *last = path;
    if (dir < 0)
        return error_set(err,
                         ERROR_IO,
                         "cannot enter the directory of its path: %s",
                         strerror(errno));
    return dir;
}

/* ---- fetch ---- */

static int unpack_into(
    const struct artifact *a, int dir, const char *name, int file, struct error *err)
{
    const struct unpack_limits limits = {
        .bytes = (uint64_t)a->max_bytes,
        .entries = LIMIT_ARTIFACT_ENTRIES,
    };
    int here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rv;

    dir = dup(dir);
    if (dir >= 0 && name[0] != 0)
        dir = enter(dir, name);
    if (here < 0 || dir < 0 || fchdir(dir) != 0 || lseek(file, 0, SEEK_SET) != 0)
        rv = error_set(err, ERROR_IO, "cannot unpack there: %s", strerror(errno));
    else
        rv = unpack_archive(file, &limits, err);
    if (here >= 0 && fchdir(here) != 0 && rv == 0)
        rv = error_set(err, ERROR_IO, "cannot go back: %s", strerror(errno));
    if (dir >= 0)
        close(dir);
    if (here >= 0)
        close(here);
    return rv;
}

static int give_name(
    const struct artifact *a, int dir, const char *name, int file, struct error *err)
{
    mode_t mode = a->executable ? 0755 : 0644;

    if (name[0] == 0)
        return error_set(err, ERROR_INVALID, "its path names no file");
    if (fchmod(file, mode) != 0 || renameat(dir, TEMPORARY, dir, name) != 0)
        return error_set(err, ERROR_IO, "cannot give it its name: %s", strerror(errno));
    return 0;
}

static int
fetch_into(const struct artifact *a, int dir, const char *name, struct error *err)
{
    struct download wish = {
        .source = a->source,
        .sha256 = a->sha256,
        .max_bytes = (uint64_t)a->max_bytes,
    };
    int rv;

    unlinkat(dir, TEMPORARY, 0);
    wish.to = openat(
        dir, TEMPORARY, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (wish.to < 0)
        return error_set(err, ERROR_IO, "cannot make a file: %s", strerror(errno));
    rv = download(&wish, err);
    if (rv == 0 && a->unpack)
        rv = unpack_into(a, dir, name, wish.to, err);
    else if (rv == 0)
        rv = give_name(a, dir, name, wish.to, err);
    close(wish.to);
    unlinkat(dir, TEMPORARY, 0);
    return rv;
}

#define LABEL_PATH_MAX 80

static void name_artifact(char *label, size_t room, const struct artifact *a)
{
    char source[TEXT_SOURCE_MAX];

    snprintf(label,
             room,
             "artifact %.*s from %s",
             LABEL_PATH_MAX,
             a->path,
             text_source(source, a->source));
}

static int fetch_one(json_t *value, struct error *err)
{
    struct artifact a;
    const char *name = NULL;
    char label[256];
    int dir, rv;

    if (read_artifact(&a, value, err) != 0)
        return -(int)err->code;
    name_artifact(label, sizeof(label), &a);
    deadline_begin((uint64_t)a.timeout_ms, label);
    dir = open_parent(a.path, &name, err);
    rv = dir < 0 ? dir : fetch_into(&a, dir, name, err);
    if (dir >= 0)
        close(dir);
    deadline_end();
    return rv == 0 ? 0 : error_wrap(err, "%s", label);
}

int artifacts_fetch(const json_t *list, struct error *err)
{
    size_t i;
    json_t *value;

    if (!json_is_array(list))
        return error_set(err, ERROR_INVALID, "request: not a list of artifacts");
    json_array_foreach (list, i, value) {
        if (fetch_one(value, err) != 0)
            return -(int)err->code;
    }
    return 0;
}
