/* one_run.h - the rig of a test about run 1: its job, how far it is, what became of it. */
#ifndef TESTS_UNIT_AGENT_CORE_ONE_RUN_H
#define TESTS_UNIT_AGENT_CORE_ONE_RUN_H

#include "tests/unit/agent_core/rig.h"

extern struct rig rig;

/* ---- how it comes to where the test begins ---- */

enum phase { NEW, PAST, RECORDED, STARTING, RUNNING, STOPPING_EARLY, STOPPING, ENDED };

/* A run of the usual job, under leader 0 in term 1. */
void bring_to(enum phase phase);

/* The usual job, to be changed; the rig is new. */
struct job_spec *changed(struct job_spec *spec);
/* Launches are of this job, and master 0 leads in term 1. */
void follow(struct job_spec *spec);
void run_it(struct job_spec *spec);
/* Restarted three times in a minute, after 1 s, 2 s, 3 s. */
void run_restarting(void);
/* It ends with status 3, and starts again after that time. */
void fail_and_wait(uint64_t delay_ms);

/* ---- what was done ---- */

size_t starts(void);
/* The newest, in 50 ms; it must be there. */
struct run_report report(void);
void check_end(enum task_state state, enum task_reason reason, int exit_code);
/* The same, once everything is durable. */
void check_durable_end(enum task_state state, enum task_reason reason, int exit_code);

#endif
