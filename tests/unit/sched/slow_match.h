/* slow_match.h - constraints, affinities and scores of docs/spec/7-scheduling.md, written a second
 * time: every agent is asked everything.  For the reference model.
 */
#ifndef TESTS_UNIT_SCHED_SLOW_MATCH_H
#define TESTS_UNIT_SCHED_SLOW_MATCH_H

#include "base/rng.h"
#include "raft_fsm/state.h"
#include "wire/job.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An agent, and the jobs of the tasks on it. */
struct slow_place {
    uint64_t id;
    bool is_gone;
    struct agent_spec spec;
    const struct job **jobs; /* one for each task */
    size_t job_count, job_room;
    uint64_t worth; /* empty */
};

void slow_place_read(struct slow_place *p, const struct agent *agent);
void slow_place_finish(struct slow_place *p);
void slow_place_add(struct slow_place *p, const struct job *j);

/* Whether the job's tasks may be on place number `i` of all. */
bool slow_may_be(const struct match *m,
                 const struct job *j,
                 const struct slow_place *all,
                 size_t count,
                 size_t i);
/* alpha * affinity + (1000 - alpha) * balance there, when so much is left. */
uint64_t slow_score(const struct match *m,
                    const struct job *j,
                    const struct slow_place *all,
                    size_t count,
                    size_t i,
                    uint64_t left);

/* ---- random ones ---- */

/* Attributes from a small choice; `list` holds them. */
#define SLOW_ATTRIBUTES 4
void any_attributes(struct rng *rng, struct agent_spec *spec, struct attribute *list);
/* Its parts are good until the next one is made. */
struct match any_match(struct rng *rng);
char *any_job_name(struct rng *rng);

#endif
