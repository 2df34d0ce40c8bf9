/* disk.c - tells when there is little room on the disk of the work directory. */
#include "agent/disk.h"

#include "base/log.h"

#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>

#define LOOK_MS     3000
#define LOW_PERCENT 5

bool disk_is_low(bool was, uint64_t total, uint64_t available, uint64_t reserve)
{
    uint64_t part = total / 100 * LOW_PERCENT;
    uint64_t limit = part < reserve ? part : reserve;

    return available < (was ? limit + limit / 4 : limit);
}

static void look(void *user)
{
    struct disk *d = user;
    struct statvfs fs;
    bool low = d->low;

    timer_set_in(d->loop, &d->timer, LOOK_MS, look, d);
    if (statvfs(d->work_dir, &fs) != 0)
        log_warning("agent", "statvfs %s: %s", d->work_dir, strerror(errno));
    else
        low = disk_is_low(d->low,
                          (uint64_t)fs.f_blocks * fs.f_frsize,
                          (uint64_t)fs.f_bavail * fs.f_frsize,
                          d->reserve_bytes);
    if (low == d->low)
        return;
    d->low = low;
    d->changed(d->user, low);
}

void disk_start(struct disk *d, struct loop *loop)
{
    d->loop = loop;
    timer_set_in(loop, &d->timer, 0, look, d);
}

void disk_stop(struct disk *d)
{
    if (d->loop != NULL)
        timer_stop(d->loop, &d->timer);
}
