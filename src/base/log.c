/* log.c - one line per message to stderr. */
#include "base/log.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const struct {
    const char *name;
    int priority; /* syslog's, for the journal */
} levels[] = {
    [LOG_LEVEL_ERROR] = {"error", 3},
    [LOG_LEVEL_WARNING] = {"warning", 4},
    [LOG_LEVEL_INFO] = {"info", 6},
    [LOG_LEVEL_DEBUG] = {"debug", 7},
};
#define LEVEL_COUNT (sizeof(levels) / sizeof(levels[0]))

/* The only globals of src/base: stderr is global too. */
static atomic_uint level_now = LOG_LEVEL_INFO;
static atomic_bool to_journal;

/* JOURNAL_STREAM is inherited by children whose stderr may lead elsewhere;
 * systemd.exec(5) says to compare its "device:inode" with the stream itself. */
static bool stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    uintmax_t device, inode;
    struct stat st;

    return stream != NULL && sscanf(stream, "%ju:%ju", &device, &inode) == 2 &&
           fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

/* The next file that is opened would get the number of a stream that is closed. */
static void open_standard_streams(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd < STDERR_FILENO);
    if (fd > STDERR_FILENO)
        close(fd);
}

void log_init(enum log_level level)
{
    open_standard_streams();
    atomic_store(&to_journal, stderr_is_journal());
    log_set_level(level);
}

void log_set_level(enum log_level level)
{
    atomic_store(&level_now, level);
}

bool log_enabled(enum log_level level)
{
    return level <= atomic_load_explicit(&level_now, memory_order_relaxed);
}

const char *log_level_name(enum log_level level)
{
    return levels[level].name;
}

bool log_level_parse(const char *name, enum log_level *level)
{
    for (unsigned i = 0; i < LEVEL_COUNT; i++) {
        if (strcmp(levels[i].name, name) == 0) {
            *level = (enum log_level)i;
            return true;
        }
    }
    return false;
}

static int
head_format(char *out, size_t size, enum log_level level, const char *component)
{
    uint64_t now_us = clock_wall_us();
    time_t seconds = (time_t)(now_us / 1000000);
    char stamp[sizeof("2026-03-01T12:00:00")];
    struct tm utc;

    if (atomic_load_explicit(&to_journal, memory_order_relaxed))
        return snprintf(out, size, "<%d>%s: ", levels[level].priority, component);
    gmtime_r(&seconds, &utc);
    strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &utc);
    return snprintf(out,
                    size,
                    "%s.%03uZ %s %s: ",
                    stamp,
                    (unsigned)(now_us / 1000 % 1000),
                    levels[level].name,
                    component);
}

/* Append the text with control characters as escapes; returns the new length. */
static size_t escape(char *line, size_t length, const char *text)
{
    static const char hex[] = "0123456789abcdef";

    for (; *text != '\0' && length + 5 < LOG_LINE_MAX; text++) {
        unsigned char c = (unsigned char)*text;

        if (c == '\n') {
            line[length++] = '\\';
            line[length++] = 'n';
        } else if (c < 0x20 || c == 0x7f) {
            line[length++] = '\\';
            line[length++] = 'x';
            line[length++] = hex[c >> 4];
            line[length++] = hex[c & 15];
        } else {
            line[length++] = (char)c;
        }
    }
    return length;
}

void log_write(enum log_level level, const char *component, const char *format, ...)
{
    int saved_errno = errno;
    char line[LOG_LINE_MAX];
    char text[LOG_LINE_MAX];
    size_t length;
    ssize_t ignored;
    va_list args;

    if (!log_enabled(level))
        return;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    length = (size_t)head_format(line, LOG_LINE_MAX / 2, level, component);
    if (length >= LOG_LINE_MAX / 2)
        length = LOG_LINE_MAX / 2 - 1;
    length = escape(line, length, text);
    line[length++] = '\n';
    ignored = write(STDERR_FILENO, line, length); /* nobody is left to tell */
    (void)ignored;
    errno = saved_errno;
}
