/* slots.c - the agent's side of the slot file. */
#include "agent/slots.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define GROW_BY 256

int slots_open(struct slots *s, const char *path, struct error *err)
{
    struct stat st;

    *s = (struct slots){.fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
    if (s->fd < 0 || fstat(s->fd, &st) != 0) {
        error_set(err, ERROR_IO, "open %s: %s", path, strerror(errno));
        slots_close(s);
        return -ERROR_IO;
    }
    s->count = (uint32_t)(st.st_size / SLOT_BYTES);
    return 0;
}

void slots_close(struct slots *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
    mem_free(s->free);
    s->free = NULL;
}

int slots_read(const struct slots *s,
               uint32_t number,
               struct slot *out,
               struct error *err)
{
    ssize_t n = pread(s->fd, out, sizeof(*out), (off_t)number * SLOT_BYTES);

    if (n == sizeof(*out))
        return 0;
    return error_set(err,
                     ERROR_IO,
                     "read slot %u: %s",
                     number,
                     n < 0 ? strerror(errno) : "the file is too short");
}

static int grow(struct slots *s, struct error *err)
{
    off_t end = (off_t)s->count * SLOT_BYTES;
    int rv = posix_fallocate(s->fd, end, (off_t)GROW_BY * SLOT_BYTES);

    if (rv != 0)
        return error_set(
            err, ERROR_IO, "no room for %u more slots: %s", GROW_BY, strerror(rv));
    for (uint32_t i = GROW_BY; i > 0; i--)
        slots_give(s, s->count + i - 1);
    s->count += GROW_BY;
    return 0;
}

int slots_take(struct slots *s, uint32_t *number, struct error *err)
{
    if (s->free_count == 0 && grow(s, err) != 0)
        return -ERROR_IO;
    *number = s->free[--s->free_count];
    return 0;
}

void slots_give(struct slots *s, uint32_t number)
{
    MEM_GROW(s->free, s->free_capacity, s->free_count + 1);
    s->free[s->free_count++] = number;
}
