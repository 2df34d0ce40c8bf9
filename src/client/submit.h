/* submit.h - what `run`, `submit` and `dispatch` have in common: a checked job with its key. */
#ifndef CLIENT_SUBMIT_H
#define CLIENT_SUBMIT_H

#include "client/session.h"
#include "wire/job.h"
#include "wire/job_set.h"

/* Rows that these commands have. */
#define SUBMIT_KEY_ROW                                                            \
    {                                                                             \
        .name = "key", .kind = OPTION_TEXT, .argument = "KEY",                    \
        .help =                                                                   \
            "name of this submission: the same key never makes a second job, so " \
            "a script may repeat it (default: a random one)",                     \
    }
#define SUBMIT_WAIT_ROW                                              \
    {                                                                \
        .name = "wait", .letter = 'w', .kind = OPTION_FLAG,          \
        .help = "show the progress and exit as `triarch wait` does", \
    }

#define SUBMIT_JSON_ROW                                                       \
    {                                                                         \
        .name = "json", .kind = OPTION_FLAG,                                  \
        .help =                                                               \
            "as JSON: `jobs`, each with `id` and `name`, and the `index` of " \
            "the log from which on they are there",                           \
    }

/* Submit, print the id alone on stdout (or --json), and wait if --wait says so.  Returns the
 * exit status or a negative error. */
int submit_job(struct session *s, const struct job_spec *spec, struct error *err);
/* The same of a job file; the ids of several jobs are printed in the order of the file.  `check` is
 * the index of a plan that is to hold still, or 0. */
int submit_set(struct session *s,
               const struct job_set *set,
               uint64_t check,
               struct error *err);
/* After ERROR_NOT_FOUND: which role or job they name, and is not there; returns the negative
 * code. */
int submit_tell_missing(struct session *s,
                        const struct job_set *set,
                        struct error *err);
/* The jobs of a file; "-" is standard input. */
int submit_read(struct job_set *set, const char *path, struct error *err);
/* Who we are, for the shares of a `fair` role. */
const char *submit_user(char out[LIMIT_OWNER_BYTES + 1]);
/* What can be said of them before they are sent: what they take together. */
int submit_check(const struct job_set *set, struct error *err);
/* The same of a job that is made of another one with these values ("NAME=value"); the session is
 * open.  It has the other one's name; NULL: that is not known any more. */
int submit_dispatch(struct session *s,
                    uint64_t job,
                    const char *name,
                    const char *const *values,
                    size_t count,
                    struct error *err);

#endif
