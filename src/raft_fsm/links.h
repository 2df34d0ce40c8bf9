/* links.h - what jobs wait for, and what waits for them (docs/spec/14-kinds.md).
 *
 * Only jobs that have any of it have links.  What a job waits for is a part of that job: it is
 * in its canonical bytes, and changes inside an edit of it.  What waits for a job is derived
 * from that, and so is the tree of those that have ended and have not told all of it yet.
 */
#ifndef RAFT_FSM_LINKS_H
#define RAFT_FSM_LINKS_H

#include "base/hash.h"
#include "wire/job.h"

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>
#include <stdbool.h>
#include <stdint.h>

struct job;
struct state;

struct dependency {
    struct job *job;                 /* that waits … */
    struct job *on_job;              /* … for this one, which is older */
    uint8_t on;                      /* enum job_on */
    TAILQ_ENTRY(dependency) in_job;  /* by id of on_job */
    TAILQ_ENTRY(dependency) in_peer; /* of on_job: by id of job */
};

TAILQ_HEAD(dependency_list, dependency);

struct job_links {
    struct dependency_list after;
    uint64_t
        stopped_by;     /* the job that did not end as this one wanted, so that it never
                          * begins; 0: none */
    struct hash128 set; /* of what was asked with its key, where that is not its spec
                          * alone: of all jobs that were submitted with it, or of the
                          * values it was made with; else 0 */
    uint64_t parent;    /* the job that it was made of; 0: none */
    /* derived */
    struct job *job;
    struct dependency_list dependents;
    bool is_ending; /* in the tree */
    RB_ENTRY(job_links) by_job;
};

RB_HEAD(ending_tree, job_links);
RB_PROTOTYPE(ending_tree, job_links, by_job, )

/* Something that it waits for has not ended. */
bool job_is_blocked(const struct job *j);
/* The hash that a submission with its key must have. */
struct hash128 job_said(const struct job *j);

/* Those of the job, made if it has none. */
struct job_links *job_links(struct job *j);
void job_links_destroy(struct job *j); /* nothing waits for it */

/* Inside an edit of `j`, or before it is added: it waits for an older job that has not ended,
 * the youngest so far; forget one; forget all. */
void links_add(struct job *j, struct job *on_job, enum job_on on);
void links_remove(struct state *s, struct dependency *d);
void links_clear(struct state *s, struct job *j);

/* Whether a job that ended so is what was waited for. */
bool links_met(enum job_on on, const struct job *ended);

/* For state_edit.c: the job may have ended, or not any more. */
void links_count(struct state *s, struct job *j);
void links_uncount(struct state *s, struct job *j);

#endif
