/* step.h - what is done before a command starts: programs that fetch what it needs.
 *
 * A step is a process of the same making as the command (task.h), in the same group, so it
 * counts under the task's limits and ends with it.  What it says goes into memory files of
 * that group; the last line of its errors is the reason when it fails.
 */
#ifndef AGENT_STEP_H
#define AGENT_STEP_H

#include "agent/shim.h"
#include "agent/task.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct steps {
    const struct shim_request *request;
    const struct shim_request *user; /* whose ids a step has that is as the task */
    const char *strings;             /* of the next one */
    char *mark; /* TRIARCH_SANDBOX=…: by it leftovers are found */
    uint32_t next;
    int out, err;  /* what the last one that was started says; -1: nothing */
    char said[64]; /* on its output, the beginning; after steps_finish() */
};

/* command: after task_from_request(). */
void steps_init(struct steps *s, const struct task *command);
static inline bool steps_left(const struct steps *s)
{
    return s->next < s->request->step_count;
}

/* Start the next one.  0 and its pid; or errno and what failed. */
int steps_start(struct steps *s,
                const struct task *command,
                pid_t *pid,
                const char **what);

/* Of the one that was started last. */
enum slot_how steps_how(const struct steps *s);
/* What was said in a memory file goes on in a log, and its last line to text. */
void steps_heard(int said, int log, char *text, size_t room);

/* Of its errors that. */
void steps_finish(struct steps *s, int log, char *text, size_t room);

#endif
