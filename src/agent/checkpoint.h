/* checkpoint.h - what an agent must know again after it was killed.
 *
 *     WORK_DIR/lock          flock'd while an agent runs; its text is the pid
 *     WORK_DIR/checkpoint/   an LMDB environment with the core's records
 *
 * A thread makes records durable: everything that was queued while the last commit was on its
 * way goes into the next one, so the loop never waits for a disk, and a thousand launches cost
 * the same two syncs as one.  A commit that failed is fail-stop (store/hooks.h); tasks go on.
 */
#ifndef AGENT_CHECKPOINT_H
#define AGENT_CHECKPOINT_H

#include "agent/core/agent_core.h"
#include "base/error.h"
#include "store/hooks.h"

struct checkpoint;

/* Locks the work directory, makes it when it is not there, and reads what is kept.  hooks may be
 * called from the thread as soon as something is written. */
int checkpoint_open(struct checkpoint **out,
                    const char *work_dir,
                    const struct store_hooks *hooks,
                    struct error *err);

/* Makes durable what is queued.  NULL is fine. */
void checkpoint_close(struct checkpoint *c);

/* What was kept, for the core's AGENT_START; until the first write. */
const struct agent_record *checkpoint_records(const struct checkpoint *c,
                                              size_t *count);

/* Queue the records of one AGENT_RECORD; copies them. */
void checkpoint_write(struct checkpoint *c,
                      uint64_t sequence,
                      const struct agent_record *records,
                      size_t count);

/* The last sequence that is durable; hooks.notify says when it grew. */
uint64_t checkpoint_durable(const struct checkpoint *c);

#endif
