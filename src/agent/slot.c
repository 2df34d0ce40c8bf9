/* slot.c - what a shim keeps of its run. */
#include "agent/shim.h"
#include "base/crc32c.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static uint32_t start_crc(const struct slot_start *start)
{
    return crc32c(0, start, offsetof(struct slot_start, crc));
}

static uint32_t end_crc(const struct slot_end *end)
{
    return crc32c(0, end, offsetof(struct slot_end, crc));
}

static int write_at(int fd, const void *bytes, size_t size, off_t at)
{
    ssize_t n;

    do {
        n = pwrite(fd, bytes, size, at);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    return (size_t)n == size ? 0 : -ENOSPC;
}

int slot_write_start(int fd, uint32_t slot, struct slot_start *start)
{
    start->version = SLOT_VERSION;
    start->crc = start_crc(start);
    return write_at(fd, start, sizeof(*start), (off_t)slot * SLOT_BYTES);
}

int slot_write_end(int fd, uint32_t slot, struct slot_end *end)
{
    off_t at = (off_t)slot * SLOT_BYTES + (off_t)offsetof(struct slot, end);

    end->crc = end_crc(end);
    return write_at(fd, end, sizeof(*end), at);
}

bool slot_start_valid(const struct slot *slot)
{
    return slot->start.version == SLOT_VERSION &&
           slot->start.crc == start_crc(&slot->start);
}

bool slot_end_valid(const struct slot *slot)
{
    return slot_start_valid(slot) && slot->end.attempt == slot->start.attempt &&
           slot->end.shim_start == slot->start.shim_start &&
           slot->end.restarts == slot->start.restarts &&
           slot->end.crc == end_crc(&slot->end) &&
           memchr(slot->end.text, 0, sizeof(slot->end.text)) != NULL;
}
