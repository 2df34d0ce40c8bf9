/* job_wait.h - wait for the end of a job and show how it goes.
 *
 * On a terminal one line is redrawn: bar, counts by state, elapsed time, and for a moment
 * who leads now.  Elsewhere a line is written when something changed, at most one a
 * second.  The job goes on when the waiting ends: Ctrl-C says so.
 */
#ifndef CLIENT_JOB_WAIT_H
#define CLIENT_JOB_WAIT_H

#include "client/session.h"

/* Until it has ended: 0, and *ended is how it did, without texts.  Else the exit status of
 * who was interrupted, or a negative error.  A job that exists for sure is waited for
 * without any master, too. */
int job_wait_end(struct session *s,
                 uint64_t job,
                 bool exists,
                 struct screen *progress,
                 struct job_summary *ended,
                 struct error *err);

/* The same, and a job that did not end well is an error that tells of its tasks. */
int job_wait(struct session *s,
             uint64_t job,
             bool exists,
             struct screen *progress,
             struct error *err);

#endif
