/* explain.c - why tasks wait, in the words of who asked for them.
 *
 * A listing asks for many jobs, so nothing here walks all agents for each: whether one has
 * room now is one search in the index, and capacities are counted by size (fleet.h), once
 * for all jobs of a shape.
 */
#include "sched/internal.h"

#include "base/limits.h"

#include <stdarg.h>
#include <stdio.h>

struct text {
    char *at;
    size_t room; /* with the zero at the end */
};

__attribute__((format(printf, 2, 3))) static void
say(struct text *t, const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(t->at, t->room, format, args);
    va_end(args);
    if (n < 0 || t->room == 0)
        return;
    if ((size_t)n >= t->room)
        n = (int)t->room - 1; /* cut short */
    t->at += n;
    t->room -= (size_t)n;
}

/* ---- amounts ---- */

/* 1500 -> "1.5" */
static void say_thousandths(struct text *t, uint64_t amount)
{
    unsigned part = (unsigned)(amount % 1000);
    int digits = 3;

    say(t, "%llu", (unsigned long long)(amount / 1000));
    if (part == 0)
        return;
    for (; part % 10 == 0; part /= 10)
        digits--;
    say(t, ".%0*u", digits, part);
}

/* In MiB; what is needed is rounded up and what there is is rounded down. */
static void say_mib(struct text *t, uint64_t bytes, bool up)
{
    uint64_t part = bytes % MIB * 1000;

    say_thousandths(t, bytes / MIB * 1000 + (part + (up ? MIB - 1 : 0)) / MIB);
}

static void say_amount(struct text *t, int kind, uint64_t amount, bool up)
{
    switch ((enum resource_kind)kind) {
    case RESOURCE_CPUS:
        say_thousandths(t, amount);
        break;
    case RESOURCE_MEM:
    case RESOURCE_DISK:
        say_mib(t, amount, up);
        break;
    case RESOURCE_GPUS:
    case RESOURCE_KINDS:
        say(t, "%llu", (unsigned long long)amount);
        break;
    }
}

static const char *const UNITS[RESOURCE_KINDS] = {"cpus", "MiB", "MiB of disk", "gpus"};
static const char *const UNIT_OF_ONE[RESOURCE_KINDS] = {
    "cpu", "MiB", "MiB of disk", "gpu"};

static void say_need(struct text *t, int kind, uint64_t amount)
{
    bool one = amount == (kind == RESOURCE_CPUS ? 1000 : 1);

    say_amount(t, kind, amount, true);
    say(t, " %s", one ? UNIT_OF_ONE[kind] : UNITS[kind]);
}

/* "2 cpus, 4096 MiB" */
static void say_needs(struct text *t, const struct resources *need)
{
    const char *comma = "";

    for (int k = 0; k < RESOURCE_KINDS; k++) {
        if (need->amount[k] == 0)
            continue;
        say(t, "%s", comma);
        say_need(t, k, need->amount[k]);
        comma = ", ";
    }
}

/* ---- reasons ---- */

/* Counted once for each shape as long as no agent comes, goes or changes. */
static struct census count(const struct sched *s, const struct job *job)
{
    struct shape *shape = queue_shape(&s->queue, job);

    if (shape == NULL)
        return fleet_census(&s->fleet, &job->resources);
    if (shape->census_version != s->fleet.sizes_version)
        shape->census = fleet_census(&s->fleet, &job->resources);
    shape->census_version = s->fleet.sizes_version;
    return shape->census;
}

/* "no agent has 64 cpus (largest: 8)" */
static void
say_too_large(struct text *t, const struct census *c, const struct resources *need)
{
    const char *before = "no agent has ";

    for (int k = 0; k < RESOURCE_KINDS; k++) {
        if (need->amount[k] <= c->largest.amount[k])
            continue;
        say(t, "%s", before);
        say_need(t, k, need->amount[k]);
        say(t, " (largest: ");
        say_amount(t, k, c->largest.amount[k], false);
        say(t, ")");
        before = ", nor ";
    }
    if (!resources_contain(&c->largest, need))
        return;
    say(t, "no agent has all of ");
    say_needs(t, need);
}

static void say_large_enough(struct text *t, uint64_t agents, const char *what)
{
    if (agents == 1)
        say(t, ": the 1 agent that is large enough is %s", what);
    else
        say(t,
            ": the %llu agents that are large enough are %s",
            (unsigned long long)agents,
            what);
}

static void
say_waiting(struct text *t, const struct census *c, const struct resources *need)
{
    say(t, "waiting for ");
    say_needs(t, need);
    if (c->able[STANDS_OPEN] == 1)
        say(t, ": 1 agent has room when its tasks end");
    else if (c->able[STANDS_OPEN] > 1)
        say(t,
            ": %llu agents have room when their tasks end",
            (unsigned long long)c->able[STANDS_OPEN]);
    else if (c->able[STANDS_CLOSED] > 0)
        say_large_enough(t, c->able[STANDS_CLOSED], "cordoned or draining");
    else
        say_large_enough(t, c->able[STANDS_AWAY], "unreachable");
}

void sched_explain(const struct sched *s,
                   const struct state *state,
                   const struct job *job,
                   char *out,
                   size_t size)
{
    const struct resources *need = &job->resources;
    uint32_t pending = job_pending(job);
    struct text t = {out, size};
    struct census c;

    say(&t, "%s", "");
    if (pending == 0)
        return;
    if (fleet_best(&s->fleet, NULL, need) != NULL) {
        say(&t, "%u task%s; placed next", pending, pending == 1 ? " waits" : "s wait");
        return;
    }
    c = count(s, job);
    if (state->agents_by_state[AGENT_ACTIVE] +
            state->agents_by_state[AGENT_UNREACHABLE] ==
        0)
        say(&t, "no agent is registered");
    else if (c.able[STANDS_OPEN] + c.able[STANDS_CLOSED] + c.able[STANDS_AWAY] == 0)
        say_too_large(&t, &c, need);
    else
        say_waiting(&t, &c, need);
}
