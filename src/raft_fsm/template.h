/* template.h - jobs of which jobs are made: with a schedule, at each of its slots; with
 * parameters, when somebody asks for one (docs/spec/14-kinds.md).
 *
 * Nothing of a template is placed: it has no tasks, and is PENDING until it is killed.
 */
#ifndef RAFT_FSM_TEMPLATE_H
#define RAFT_FSM_TEMPLATE_H

#include <bsd/sys/tree.h>
#include <stdbool.h>
#include <stdint.h>

struct job;
struct state;

struct job_template {
    uint64_t last_us; /* the last slot that was decided; first when it was submitted */
    uint64_t fired, missed, skipped; /* slots so far */
    uint64_t child;                  /* the job of the last that was fired, or 0 */
    uint8_t overlap;                 /* enum job_overlap */
    bool is_dispatched;              /* when somebody asks: it has no slots */
    /* derived */
    struct job *job;
    RB_ENTRY(job_template) by_job; /* of schedules that are not killed */
};

RB_HEAD(template_tree, job_template);
RB_PROTOTYPE(template_tree, job_template, by_job, )

#endif
