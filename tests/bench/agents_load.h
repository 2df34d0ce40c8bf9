/* agents_load.h - many agents in one process, for loading masters.
 *
 *   agents_load.c         options, commands, reports
 *   agents_load_agent.c   an agent: the core of triarch-agent and its sessions with masters
 *   agents_load_tasks.c   its launcher, which starts nothing: tasks are timers
 *   agents_load_specs.c   what an agent has, drawn from a seed
 *   agents_load_source.c  sockets with source addresses of their own
 *
 * Core, links and frames are those of triarch-agent, so what masters see cannot differ; only
 * disk and processes are missing.  A record is durable at the end of the turn.  One thread; an
 * agent is addressed by its number in this process, from 0.
 */
#ifndef TESTS_BENCH_AGENTS_LOAD_H
#define TESTS_BENCH_AGENTS_LOAD_H

#include "agent/core/agent_core.h"
#include "base/limits.h"
#include "net/address.h"
#include "net/link.h"
#include "net/loop.h"

#include <bsd/sys/tree.h>
#include <stdbool.h>
#include <stdint.h>

/* What all agents of the process are and did; reports are made of it. */
struct fleet {
    struct loop *loop;
    struct address masters[LIMIT_MASTERS];
    unsigned master_count;
    uint64_t start_ms; /* from launched to RUNNING */
    uint64_t end_ms;   /* how long tasks run that do not say it; NEVER_ENDS */
    uint64_t usage_ms; /* between two messages about usage; 0: none */
    struct agent_actions actions; /* of the step that runs */
    bool driving;

    struct fleet_counts {
        uint64_t sessions, registered, silent, running; /* now */
        uint64_t launches, repeats, started, repeats_started, ended, signalled;
        uint64_t forgotten;    /* whose end was acknowledged */
        uint64_t acknowledged; /* states of runs */
        uint64_t updates; /* runs told to leaders, again and again until acknowledged */
        uint64_t fatal;   /* agents that gave up */
    } counts;
};

#define NEVER_ENDS UINT64_MAX

struct load_agent;
struct load_task;
RB_HEAD(load_tasks, load_task);

struct load_link {
    struct load_agent *agent;
    struct link *link;
    uint32_t master;
    uint64_t session; /* 0: down */
};

struct load_agent {
    struct fleet *fleet;
    uint32_t number;
    struct agent_spec spec;
    struct agent_core *core;
    struct load_link links[LIMIT_MASTERS];
    uint64_t last_session;
    uint64_t recorded;       /* sequence of the last record */
    struct deferred durable; /* it is */
    struct loop_timer timer; /* of the core */
    struct deferred turn;    /* the same, when it is due at once */
    struct loop_timer usage; /* to tell the leader */
    struct load_tasks tasks;
    bool silent;      /* it neither reads nor says anything any more */
    bool registered;  /* counted as such */
    uint64_t updates; /* counted */
};

/* agents_load_agent.c */
void load_agent_start(struct load_agent *a, struct fleet *fleet, uint32_t number);
void load_agent_stop(struct load_agent *a); /* frees what it has */
/* The host stops without a word: its connections stay, and nothing moves on it. */
void load_agent_silence(struct load_agent *a);
void load_agent_disconnect(struct load_agent *a); /* it comes back at once */
/* Step the core with one event (the clock is filled in) and carry its actions out. */
void load_agent_drive(struct load_agent *a, struct agent_event *event);

/* agents_load_tasks.c */
RB_PROTOTYPE(load_tasks, load_task, by_attempt, )
void tasks_start(struct load_agent *a, const struct run_start *run);
void tasks_signal(struct load_agent *a, uint64_t attempt, enum run_signal signal);
void tasks_forget(struct load_agent *a, uint64_t attempt);
void tasks_end(struct load_agent *a); /* all that run now, of themselves */
void tasks_stand_still(struct load_agent *a);
void tasks_finish(struct load_agent *a);
void tasks_tell_usage(struct load_agent *a);

/* agents_load_specs.c: resources NULL: a mix of sizes and attributes. */
int specs_fill(struct agent_spec *spec,
               uint64_t seed,
               uint64_t number,
               const char *resources,
               struct error *err);

/* agents_load_source.c: sockets are bound to these addresses of 127/8 in turn. */
void sources_use(uint32_t first, uint32_t count);

#endif
