/* log.h - one line per message to stderr.  For shells: pure folders return what
 * happened.
 *
 *     2026-03-01T12:00:00.123Z warning raft: peer is slow peer=2 behind=8192
 *
 * The text says what happened, then come key=value pairs.  Under systemd (stderr is the
 * stream that JOURNAL_STREAM names) the line is "<4>raft: …" instead: the journal adds
 * the time. A message is one write(), so lines of threads and processes do not mix;
 * errors of a write are ignored, and errno is kept.  Control characters are written as
 * escapes, so that a name from outside cannot forge a line.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

#define LOG_LINE_MAX 2048 /* bytes with the newline; a longer line is cut */

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Once, before threads start and before files are opened: a standard stream that is closed
 * becomes /dev/null, so that no line is ever written into another file.  Without it: level
 * info, with time. */
void log_init(enum log_level level);

/* Any time, from any thread. */
void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);

const char *log_level_name(enum log_level level);
bool log_level_parse(const char *name, enum log_level *level);

/* component: the folder or program that speaks ("raft", "store", "agent"). */
void log_write(enum log_level level, const char *component, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define log_error(...)   log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)    log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)   log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
