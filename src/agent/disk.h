/* disk.h - tells when there is little room on the disk of the work directory.
 *
 * Low is: less than 5 % of the file system, and less than the reserve, is free for this
 * process.  It is over when a quarter more than that is free.
 */
#ifndef AGENT_DISK_H
#define AGENT_DISK_H

#include "net/loop.h"

#include <stdbool.h>
#include <stdint.h>

struct disk {
    struct loop *loop;
    struct loop_timer timer;
    const char *work_dir;
    uint64_t reserve_bytes; /* 0: never low */
    bool low;
    void (*changed)(void *user, bool low);
    void *user;
};

/* Looks every few seconds, the first time at the end of this turn. */
void disk_start(struct disk *d, struct loop *loop);
void disk_stop(struct disk *d); /* zeroed is fine */

/* Whether it is low now, if it was or was not before. */
bool disk_is_low(bool was, uint64_t total, uint64_t available, uint64_t reserve);

#endif
