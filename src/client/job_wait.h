/* job_wait.h - wait for the end of a job and show how it goes.
 *
 * On a terminal one line is redrawn: bar, counts by state, elapsed time, and for a moment
 * who leads now.  Elsewhere a line is written when something changed, at most one a
 * second.  The job goes on when the waiting ends: Ctrl-C says so.
 */
#ifndef CLIENT_JOB_WAIT_H
#define CLIENT_JOB_WAIT_H

#include "client/session.h"

/* Exit status: 0 only if every task finished well; or a negative error.  A job that exists
 * for sure is waited for without any master, too. */
int job_wait(struct session *s,
             uint64_t job,
             bool exists,
             struct screen *progress,
             struct error *err);

#endif
