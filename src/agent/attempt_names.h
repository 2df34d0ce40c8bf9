/* attempt_names.h - which attempt of which task a sandbox is of.
 *
 * Sandboxes are named by attempt ids; the checkpoint forgets a run when its end is acknowledged,
 * and masters know only the newest attempt of a task.  So two links stay beside each sandbox:
 *
 *     WORK_DIR/attempts/17.3.2 -> ../runs/71    job, instance and number of the attempt
 *     WORK_DIR/attempts/71     -> 17.3.2        so that both can be removed
 *
 * Shims write them, so nothing of ours is linked here.  They are not synced, and what cannot be
 * written is left out: then that sandbox is found by its id alone.
 */
#ifndef AGENT_ATTEMPT_NAMES_H
#define AGENT_ATTEMPT_NAMES_H

#include <stdint.h>

#define ATTEMPT_NAMES "attempts" /* the directory, which the agent makes */

struct attempt_name {
    uint64_t job;
    uint32_t instance;
    uint32_t number; /* from 1 */
};

/* work_dir: a descriptor of it, or AT_FDCWD. */
void attempt_names_add(int work_dir, uint64_t attempt, const struct attempt_name *name);
/* The id; 0: there is no sandbox of it. */
uint64_t attempt_names_find(int work_dir, const struct attempt_name *name);
void attempt_names_remove(int work_dir, uint64_t attempt);

#endif
