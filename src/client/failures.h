/* failures.h - which tasks of a job did not end well, and why. */
#ifndef CLIENT_FAILURES_H
#define CLIENT_FAILURES_H

#include "client/session.h"

/* Worth a look: ended badly, or had to be tried more than once. */
bool task_is_unusual(const struct task_info *t);

/* "exited with status 3", "its agent is gone", …: how it ended, for people. */
void task_append_why(struct buffer *out, const struct task_info *t);

/* Fill *err with one line about the job and the first of its failed tasks; returns the
 * negative code. */
int failures_tell(struct session *s, const struct job_summary *job, struct error *err);

#endif
