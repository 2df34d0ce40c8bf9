/* log_times.c - how long a log was at which time. */
#include "agent/log_times.h"

#include "base/limits.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SAMPLE_BYTES ((off_t)sizeof(struct log_time))
#define LINE_BYTES   (64 * KIB) /* of a line whose beginning is looked for */

struct name {
    char text[40];
};

static struct name name_of(uint64_t attempt, const char *log)
{
    struct name n;

    snprintf(n.text, sizeof(n.text), "%llu.%.8s", (unsigned long long)attempt, log);
    return n;
}

int log_times_open(const char *work_dir, struct error *err)
{
    char path[PATH_MAX];
    int fd;

    snprintf(path, sizeof(path), "%s/times", work_dir);
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return error_set(err, ERROR_IO, "mkdir %s: %s", path, strerror(errno));
    fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_set(err, ERROR_IO, "open %s: %s", path, strerror(errno));
    return fd;
}

/* ---- samples ---- */

/* Whole ones: an agent that was killed may have left a part of the last. */
static off_t count(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 ? st.st_size / SAMPLE_BYTES : 0;
}

static bool read_sample(int fd, off_t number, struct log_time *out)
{
    return pread(fd, out, sizeof(*out), number * SAMPLE_BYTES) == SAMPLE_BYTES;
}

static int open_samples(int times, uint64_t attempt, const char *log)
{
    return openat(times, name_of(attempt, log).text, O_RDONLY | O_CLOEXEC);
}

struct log_time log_times_last(int times, uint64_t attempt, const char *log)
{
    int fd = open_samples(times, attempt, log);
    struct log_time last = {0};

    if (fd < 0)
        return last;
    if (count(fd) == 0 || !read_sample(fd, count(fd) - 1, &last))
        last = (struct log_time){0};
    close(fd);
    return last;
}

/* Every second one, in a new file: a reader has the old or the new. */
static void thin(int times, const char *name, int fd)
{
    off_t n = count(fd), kept = 0;
    struct log_time *all = mem_alloc((size_t)n * sizeof(*all));
    ssize_t size = pread(fd, all, (size_t)n * sizeof(*all), 0);
    int to = openat(times, "new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (size == n * SAMPLE_BYTES && to >= 0) {
        for (off_t i = 1; i < n; i += 2)
            all[kept++] = all[i];
        if (write(to, all, (size_t)kept * sizeof(*all)) == kept * SAMPLE_BYTES)
            (void)!renameat(times, "new", times, name);
    }
    if (to >= 0)
        close(to);
    mem_free(all);
}

void log_times_add(int times,
                   uint64_t attempt,
                   const char *log,
                   const struct log_time *sample)
{
    struct name name = name_of(attempt, log);
    int fd = openat(times, name.text, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    off_t n;

    if (fd < 0)
        return;
    n = count(fd);
    (void)!pwrite(fd, sample, sizeof(*sample), n * SAMPLE_BYTES);
    if (n + 1 >= LIMIT_LOG_SAMPLES)
        thin(times, name.text, fd);
    close(fd);
}

void log_times_remove(int times, uint64_t attempt)
{
    unlinkat(times, name_of(attempt, "stdout").text, 0);
    unlinkat(times, name_of(attempt, "stderr").text, 0);
    unlinkat(times, name_of(attempt, "usage").text, 0);
}

int log_times_open_beside(int times, uint64_t attempt, const char *name, int flags)
{
    return openat(times, name_of(attempt, name).text, flags | O_CLOEXEC, 0600);
}

/* ---- what was written since ---- */

/* The length at the last sample that is not after `since_us`. */
static uint64_t length_at(int fd, uint64_t since_us)
{
    off_t low = 0, high = count(fd); /* those below low are not after it */
    struct log_time sample;
    uint64_t length = 0;

    while (low < high) {
        off_t middle = low + (high - low) / 2;

        if (!read_sample(fd, middle, &sample))
            return 0;
        if (sample.at_us > since_us) {
            high = middle;
        } else {
            low = middle + 1;
            length = sample.length;
        }
    }
    return length;
}

/* A line that had begun then is shown whole. */
static uint64_t line_begin(int log, uint64_t offset)
{
    uint64_t from = offset > LINE_BYTES ? offset - LINE_BYTES : 0;
    char *text = mem_alloc(LINE_BYTES);
    ssize_t n = pread(log, text, (size_t)(offset - from), (off_t)from);
    const char *newline = n > 0 ? memrchr(text, '\n', (size_t)n) : NULL;
    uint64_t begin = newline != NULL ? from + (uint64_t)(newline - text) + 1 : from;

    mem_free(text);
    return newline == NULL && from > 0 ? offset : begin;
}

uint64_t log_times_find(
    int times, uint64_t attempt, const char *name, int log, uint64_t since_us)
{
    int fd = open_samples(times, attempt, name);
    uint64_t length = 0;
    struct stat st;

    if (fd >= 0) {
        length = length_at(fd, since_us);
        close(fd);
    }
    if (fstat(log, &st) != 0 || length > (uint64_t)st.st_size)
        return 0; /* the task made it shorter */
    if (st.st_mtim.tv_sec >= 0 && (uint64_t)st.st_mtim.tv_sec + 1 < since_us / 1000000)
        return (uint64_t)st.st_size;
    return line_begin(log, length);
}
