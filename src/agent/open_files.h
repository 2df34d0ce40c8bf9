/* open_files.h - what a task holds open that has no name any more.
 *
 * Such files are in no directory, and take room until the last process lets go of them.
 * Counted are those that were last named in the task's sandbox, whatever it is called
 * where the process lives, and all that it wrote over its image; each once, also when
 * several processes hold it, and when it is only mapped, where the kernel lets us see that
 * (to root alone).  Not found is what a task hides behind mounts of its own, or in a
 * message between sockets that nobody took.
 * Source: proc(5), /proc/PID/fd, /proc/PID/maps and /proc/PID/map_files.
 */
#ifndef AGENT_OPEN_FILES_H
#define AGENT_OPEN_FILES_H

#include <stdbool.h>
#include <stdint.h>

struct open_files;

/* sandbox: its path, without links, is kept as a pointer.  files_max: no more are told apart. */
struct open_files *open_files_create(const char *sandbox, uint64_t files_max);
void open_files_destroy(struct open_files *o);

/* Add those of a process, `proc` being its directory in /proc; what cannot be looked at is
 * passed over. */
void open_files_add(struct open_files *o, int proc);

uint64_t open_files_bytes(const struct open_files *o); /* on disk */
uint64_t open_files_count(const struct open_files *o);

#endif
