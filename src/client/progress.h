/* progress.h - one job's progress as text. */
#ifndef CLIENT_PROGRESS_H
#define CLIENT_PROGRESS_H

#include "client/screen.h"
#include "wire/message_client.h"

struct progress {
    const struct job_summary *job;
    uint64_t elapsed_ms;
    const char *note; /* dim, at the end of the line; "" if there is none */
};

/* "120 of 300 finished, 40 running, 140 pending": no zeroes but the first number. */
void progress_counts(struct buffer *out,
                     const struct screen *s,
                     const struct job_summary *job);

/* The line that is redrawn, in at most `columns`; no newline. */
void progress_bar(struct buffer *out,
                  const struct screen *s,
                  const struct progress *p,
                  size_t columns);

/* The line for a pipe, with its newline. */
void progress_line(struct buffer *out,
                   const struct screen *s,
                   const struct progress *p);

/* Tasks that ended, in any way. */
uint32_t progress_ended(const struct job_summary *job);

#endif
