/* task_files.h - the files of a run's sandbox, for people, and nothing else.
 *
 * The agent may be root, and the sandbox belongs to a task that may wish to show us the files of
 * others, or to hold us up.  So a path is resolved by the kernel below the sandbox
 * (openat2(2), RESOLVE_BENEATH): links that stay in it are followed, none leads out of it or
 * over a mount, whatever is renamed meanwhile.  What is found is looked at before it is opened:
 * only regular files and directories are.  A file that is not the sandbox owner's, and has other
 * names or may not be read by everybody, is refused: who made the link to it, or moved it here,
 * need not be able to read it.
 */
#ifndef AGENT_TASK_FILES_H
#define AGENT_TASK_FILES_H

#include "base/buffer.h"
#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/* path: relative to the sandbox of the attempt; "" is the sandbox.  A descriptor to read from,
 * or a negative error; *st is filled. */
int task_files_open(const char *work_dir,
                    uint64_t attempt,
                    const char *path,
                    struct stat *st,
                    struct error *err);

/* stdout or stderr of the attempt, `flags` O_RDONLY or O_WRONLY.  No link is followed here, and
 * what is not a regular file of its own any more is not opened. */
int task_files_open_log(const char *work_dir,
                        uint64_t attempt,
                        const char *name,
                        int flags,
                        struct error *err);

/* The directory as JSON: {"entries": [{"name", "url", "type", "size", "mtime", "mode"; of a link
 * "target"}…], "next"}: at most LIMIT_FILES_PAGE of them in the order of the file system, from
 * `cursor` (0, or what "next" was; it is null at the end).  In "name" and "target" what is not printable UTF-8, and a
 * backslash beside it, is written as \xNN; "url" has the bytes, percent-encoded. */
int task_files_list(int fd, uint64_t cursor, struct buffer *out, struct error *err);
/* The same of one file. */
void task_files_describe(const char *name, const struct stat *st, struct buffer *out);

#endif
