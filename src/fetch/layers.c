/* layers.c - see layers.h. */
#include "fetch/layers.h"

#include "base/limits.h"
#include "base/tree.h"
#include "fetch/layout.h"
#include "fetch/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define BLOCK_BYTES    (64 * KIB)
#define ENTRY_BYTES    (4 * KIB) /* that a file takes beside its contents, about */
#define WHITEOUT       ".wh."
#define WHITEOUT_ALL   ".wh..wh..opq"
#define WHITEOUT_OTHER ".wh..wh." /* of aufs itself: means nothing */

/* ---- reading ---- */

struct source {
    int fd;
    struct digest digest;
    char block[BLOCK_BYTES];
};

static la_ssize_t on_read(struct archive *a, void *user, const void **block)
{
    struct source *s = user;
    ssize_t n = read(s->fd, s->block, sizeof(s->block));

    if (n < 0) {
        archive_set_error(a, errno, "%s", strerror(errno));
        return ARCHIVE_FATAL;
    }
    digest_add(&s->digest, s->block, (size_t)n);
    *block = s->block;
    return n;
}

static struct archive *open_layer(struct source *s, struct error *err)
{
    struct archive *a = archive_read_new();

    digest_begin(&s->digest);
    archive_read_support_filter_gzip(a);
    archive_read_support_filter_zstd(a);
    archive_read_support_filter_bzip2(a);
    archive_read_support_filter_xz(a);
    archive_read_support_format_tar(a);
    archive_read_support_format_empty(a);
    if (lseek(s->fd, 0, SEEK_SET) == 0 &&
        archive_read_open(a, s, NULL, on_read, NULL) == ARCHIVE_OK)
        return a;
    error_set(err, ERROR_CORRUPT, "a layer is no tar: %s", archive_error_string(a));
    archive_read_free(a);
    return NULL;
}

/* What each entry must be; a leading "/" is as good as "./". */
static const char *entry_name(struct archive_entry *entry)
{
    const char *name = archive_entry_pathname(entry);

    while (name != NULL && *name == '/')
        name++;
    return name != NULL && *name == 0 ? "." : name;
}

static const char *last_part(const char *name)
{
    const char *slash = strrchr(name, '/');

    return slash != NULL ? slash + 1 : name;
}

static int
next_entry(struct archive *a, struct archive_entry **entry, struct error *err)
{
    int rv = archive_read_next_header(a, entry);

    if (rv == ARCHIVE_OK || rv == ARCHIVE_WARN)
        return 1;
    if (rv == ARCHIVE_EOF)
        return 0;
    return error_set(
        err, ERROR_CORRUPT, "a layer cannot be read: %s", archive_error_string(a));
}

/* ---- first: verify, count, white out ---- */

static int white_out(const char *name, struct error *err)
{
    const char *last = last_part(name);
    char path[PATH_MAX + 4];
    int rv;

    if (strncmp(last, WHITEOUT, strlen(WHITEOUT)) != 0)
        return 0;
    if (strncmp(last, WHITEOUT_OTHER, strlen(WHITEOUT_OTHER)) == 0 &&
        strcmp(last, WHITEOUT_ALL) != 0)
        return 0;
    snprintf(path,
             sizeof(path),
             "./%.*s%s",
             (int)(last - name),
             name,
             strcmp(last, WHITEOUT_ALL) == 0 ? "" : last + strlen(WHITEOUT));
    if (last[strlen(WHITEOUT)] == 0 || unpack_check_name(path, err) != 0)
        return error_set(err, ERROR_INVALID, "a layer has a whiteout of no name");
    rv = strcmp(last, WHITEOUT_ALL) == 0 ? tree_empty(path) : tree_remove(path);
    if (rv != 0)
        return error_set(
            err, ERROR_IO, "cannot remove %.200s: %s", path, strerror(errno));
    return 0;
}

static int survey(struct archive *a, struct unpack_limits *left, struct error *err)
{
    struct archive_entry *entry;
    int rv;

    while ((rv = next_entry(a, &entry, err)) > 0) {
        if (unpack_check_name(entry_name(entry), err) != 0 ||
            unpack_count(left, entry, err) != 0 ||
            white_out(entry_name(entry), err) != 0)
            return -(int)err->code;
    }
    return rv;
}

/* What comes after the archive counts as well. */
static int
check_sum(struct source *s, struct archive *a, const char *sha256, struct error *err)
{
    char sum[DIGEST_TEXT];
    const void *rest;
    la_ssize_t n;

    do {
        n = on_read(a, s, &rest);
    } while (n > 0);
    digest_end(&s->digest, sum);
    if (n < 0)
        return error_set(
            err, ERROR_IO, "layer %s: %s", sha256, archive_error_string(a));
    if (strcmp(sum, sha256) != 0)
        return error_set(err, ERROR_CORRUPT, "layer %s does not have that sum", sha256);
    return 0;
}

static int verify(struct source *s,
                  const char *sha256,
                  struct unpack_limits *left,
                  struct error *err)
{
    struct archive *a = open_layer(s, err);
    int rv = a == NULL ? -(int)err->code : survey(a, left, err);

    if (rv == 0)
        rv = check_sum(s, a, sha256, err);
    archive_read_free(a);
    return rv;
}

/* ---- then: write ---- */

/* A directory that gives way to something else. */
static int make_room(const char *name, struct archive_entry *entry, struct error *err)
{
    struct stat st;

    if (archive_entry_filetype(entry) == AE_IFDIR || lstat(name, &st) != 0 ||
        !S_ISDIR(st.st_mode))
        return 0;
    if (tree_remove(name) != 0)
        return error_set(
            err, ERROR_IO, "cannot remove %.200s: %s", name, strerror(errno));
    return 0;
}

static bool is_written(const char *name, struct archive_entry *entry)
{
    mode_t type = archive_entry_filetype(entry);

    return strncmp(last_part(name), WHITEOUT, strlen(WHITEOUT)) != 0 &&
           (archive_entry_hardlink(entry) != NULL || type == AE_IFREG ||
            type == AE_IFDIR || type == AE_IFLNK);
}

static int write_entry(struct archive *from,
                       struct archive *to,
                       struct archive_entry *entry,
                       struct unpack_limits *left,
                       struct error *err)
{
    char name[PATH_MAX];

    if (unpack_check_name(entry_name(entry), err) != 0)
        return -(int)err->code;
    strcpy(name, entry_name(entry));
    if (!is_written(name, entry))
        return 0;
    archive_entry_set_pathname(entry, name);
    if (make_room(name, entry, err) != 0)
        return -(int)err->code;
    if (archive_write_header(to, entry) < ARCHIVE_WARN)
        return error_set(
            err, ERROR_IO, "cannot write %.200s: %s", name, archive_error_string(to));
    if (unpack_data(from, to, left, err) != 0)
        return -(int)err->code;
    if (archive_write_finish_entry(to) < ARCHIVE_WARN)
        return error_set(
            err, ERROR_IO, "cannot write %.200s: %s", name, archive_error_string(to));
    return 0;
}

/* The file may have changed since it was verified. */
static int write_layer(struct source *s,
                       const char *sha256,
                       bool owners,
                       struct unpack_limits *left,
                       struct error *err)
{
    struct archive *to = archive_write_disk_new(), *from;
    struct archive_entry *entry;
    int rv;

    archive_write_disk_set_options(
        to,
        ARCHIVE_EXTRACT_SECURE_NODOTDOT | ARCHIVE_EXTRACT_TIME | ARCHIVE_EXTRACT_PERM |
            ARCHIVE_EXTRACT_UNLINK | (owners ? ARCHIVE_EXTRACT_OWNER : 0));
    from = open_layer(s, err);
    rv = from == NULL ? -(int)err->code : 1;
    while (rv > 0 && (rv = next_entry(from, &entry, err)) > 0) {
        if (write_entry(from, to, entry, left, err) != 0)
            rv = -(int)err->code;
    }
    if (rv == 0 && archive_write_close(to) < ARCHIVE_WARN)
        rv = error_set(err, ERROR_IO, "cannot write: %s", archive_error_string(to));
    if (rv == 0)
        rv = check_sum(s, from, sha256, err);
    archive_write_free(to);
    archive_read_free(from);
    return rv;
}

/* ---- all of them, in a child ---- */

struct outcome { /* in memory that the child shares */
    struct error err;
    uint64_t bytes;
    bool owners; /* can be kept */
};

static int unpack_layers(int layout, const json_t *layers, struct outcome *out)
{
    static struct source s;
    struct unpack_limits declared = {LIMIT_IMAGE_BYTES, LIMIT_IMAGE_ENTRIES};
    struct unpack_limits left = declared;
    const char *sha256;
    json_t *layer;
    size_t i;
    int rv = 0;

    json_array_foreach (layers, i, layer) {
        if (layout_digest(layer, &sha256, &out->err) != 0)
            return -1;
        s.fd = layout_blob(layout, sha256, &out->err);
        if (s.fd < 0)
            return -1;
        rv = verify(&s, sha256, &declared, &out->err);
        rv = rv == 0 ? write_layer(&s, sha256, out->owners, &left, &out->err) : rv;
        close(s.fd);
        if (rv != 0)
            return -1;
    }
    out->bytes = LIMIT_IMAGE_BYTES - left.bytes +
                 (LIMIT_IMAGE_ENTRIES - declared.entries) * ENTRY_BYTES;
    return 0;
}

static int write_map(const char *path, unsigned id)
{
    char text[32];
    int fd = open(path, O_WRONLY | O_CLOEXEC), size;
    bool good;

    size = snprintf(text, sizeof(text), "0 %u 1", id);
    good = fd >= 0 && write(fd, text, (size_t)size) == size;
    if (fd >= 0)
        close(fd);
    return good ? 0 : -1;
}

/* Root of a namespace of its own may change its root directory. */
static int become_root(void)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();
    int fd;

    if (uid == 0)
        return 0;
    if (unshare(CLONE_NEWUSER) != 0)
        return -1;
    fd = open("/proc/self/setgroups", O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "deny", 4) != 4)
        return -1;
    close(fd);
    return write_map("/proc/self/uid_map", uid) != 0 ||
                   write_map("/proc/self/gid_map", gid) != 0
               ? -1
               : 0;
}

static _Noreturn void
child(int layout, const json_t *layers, const char *directory, struct outcome *out)
{
    umask(0);
    out->owners = geteuid() == 0;
    if (become_root() != 0 || chroot(directory) != 0 || chdir("/") != 0) {
        error_set(&out->err,
                  ERROR_IO,
                  "cannot enter a directory of its own to unpack it: %s%s",
                  strerror(errno),
                  !out->owners ? "; this takes root, or user namespaces" : "");
        _exit(1);
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* kept from here on: no more changes of rights */
    _exit(unpack_layers(layout, layers, out) == 0 ? 0 : 1);
}

int layers_unpack(int layout,
                  const json_t *layers,
                  const char *directory,
                  uint64_t *bytes,
                  struct error *err)
{
    struct outcome *out = mmap(
        NULL, sizeof(*out), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int status = -1, rv = 0;
    pid_t pid;

    if (out == MAP_FAILED)
        return error_set(err, ERROR_IO, "mmap: %s", strerror(errno));
    pid = fork();
    if (pid == 0)
        child(layout, layers, directory, out);
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        rv = error_set(err, ERROR_IO, "fork: %s", strerror(errno));
    else if (status != 0 && out->err.code == ERROR_NONE)
        rv = error_set(err, ERROR_IO, "the process that unpacks it was killed");
    else if (status != 0)
        rv = error_set(err, out->err.code, "%s", out->err.text);
    *bytes = out->bytes;
    munmap(out, sizeof(*out));
    return rv;
}
