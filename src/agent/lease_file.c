/* lease_file.c - until when the shims may let runs with a lease go on. */
#include "agent/lease_file.h"

#include "agent/process.h"
#include "agent/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct content {
    uint64_t renewed_ms;
    char boot_id[BOOT_ID_BYTES];
};

#define CONTENT_BYTES (offsetof(struct content, boot_id) + BOOT_ID_BYTES)

static int begin(struct lease_file *f, struct error *err)
{
    struct content kept = {0}, now = {0};

    if (process_boot_id(now.boot_id) != 0)
        return error_set(err, ERROR_IO, "cannot read " BOOT_ID_PATH);
    if (pread(f->fd, &kept, CONTENT_BYTES, 0) == (ssize_t)CONTENT_BYTES &&
        memcmp(kept.boot_id, now.boot_id, BOOT_ID_BYTES) == 0) {
        f->renewed_ms = kept.renewed_ms;
        return 0;
    }
    if (pwrite(f->fd, &now, CONTENT_BYTES, 0) != (ssize_t)CONTENT_BYTES)
        return error_set(err, ERROR_IO, "cannot write it: %s", strerror(errno));
    return 0;
}

int lease_file_open(struct lease_file *f, const char *work_dir, struct error *err)
{
    char path[PATH_MAX];
    int rv;

    *f = (struct lease_file){.fd = -1};
    snprintf(path, sizeof(path), "%s/" SHIM_LEASE, work_dir);
    f->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (f->fd < 0)
        rv = error_set(err, ERROR_IO, "%s", strerror(errno));
    else
        rv = begin(f, err);
    return rv == 0 ? 0 : error_wrap(err, "%s", path);
}

void lease_file_close(struct lease_file *f)
{
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
}

int lease_file_renew(struct lease_file *f, uint64_t renewed_ms, struct error *err)
{
    if (pwrite(f->fd, &renewed_ms, sizeof(renewed_ms), 0) != sizeof(renewed_ms))
        return error_set(
            err, ERROR_IO, "cannot renew leases in " SHIM_LEASE ": %s", strerror(errno));
    f->renewed_ms = renewed_ms;
    return 0;
}
