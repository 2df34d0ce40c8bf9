/* open_files.h - what a task holds open that has no name any more.
 *
 * Such files are in no directory, and take room until the last process lets go of them.
 * Counted are those of the task's own disk: of a task with an image what was opened by the
 * mount of its root or of its sandbox, of others what was last named in their sandbox; each
 * once, also when several processes hold it, and when it is only mapped, where the kernel
 * shows that (to root alone).
 *
 * Not found is what a task hides: behind mounts of its own, in a message between sockets that
 * nobody took, with io_uring, mapped by a process whose first thread has ended, or, from an agent that is not root, in a process that is
 * not dumpable (prctl(2)).
 * Source: proc(5), /proc/PID/task/TID/fd, /proc/PID/maps and /proc/PID/map_files.
 */
#ifndef AGENT_OPEN_FILES_H
#define AGENT_OPEN_FILES_H

#include <stdint.h>

struct open_files;

/* Of an attempt of the agent whose work directory is the current one. */
struct open_files *open_files_create(uint64_t attempt,
                                     void (*found)(void *arg, uint64_t bytes),
                                     void *arg);
void open_files_destroy(struct open_files *o);

/* Those of a process, `proc` being its directory in /proc; what cannot be looked at is passed
 * over.  `found` is called for each that is new, with its bytes on disk. */
void open_files_add(struct open_files *o, int proc);

#endif
