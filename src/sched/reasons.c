/* reasons.c - how many agents cannot have a task, and why not. */
#include "sched/reasons.h"

#include "base/limits.h"
#include "base/mem.h"

#define CONDITION_BYTES 80 /* of one that is told */

/* "no agent has 64 cpus (largest: 8)"; false when of each kind one has enough. */
static bool say_amounts_nowhere(struct text *t,
                                const struct census *c,
                                const struct resources *need)
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
    return !resources_contain(&c->largest, need);
}

/* "no agent has licence" */
static bool
say_custom_nowhere(struct text *t, const struct census *c, const struct extra_needs *n)
{
    for (size_t i = 0; i < n->custom.count; i++) {
        const struct custom_resource *r = &n->custom.items[i];

        if (r->amount <= c->most_custom[i])
            continue;
        say(t, "no agent has ");
        if (c->most_custom[i] == 0) {
            say(t, "%s", r->name);
            return true;
        }
        say_custom(t, r);
        say(t, " (largest: ");
        say_thousandths(t, c->most_custom[i]);
        say(t, ")");
        return true;
    }
    return false;
}

/* The first of the extras that no agent has. */
static bool
say_extras_nowhere(struct text *t, const struct census *c, const struct extra_needs *n)
{
    if (n == NULL)
        return false;
    if ((n->features & ~c->features) != 0)
        say(t, "no agent can %s", ability_word(n->features & ~c->features));
    else if (c->port_nowhere != 0)
        say(t, "no agent offers port %u", c->port_nowhere);
    else if (extra_needs_ports(n) > c->most_ports)
        say(t,
            "no agent has %u port%s (largest: %u)",
            extra_needs_ports(n),
            extra_needs_ports(n) == 1 ? "" : "s",
            c->most_ports);
    else
        return say_custom_nowhere(t, c, n);
    return true;
}

static void say_nowhere(struct text *t, const struct census *c, const struct demand *d)
{
    if (say_amounts_nowhere(t, c, &d->need) || say_extras_nowhere(t, c, d->extras))
        return;
    say(t, "no agent has all of ");
    say_needs(t, d);
    if (c->matching > 0)
        say(t, " that keeps its constraints");
}

static void say_taken(struct text *t, uint16_t port, uint64_t agents)
{
    if (agents == 1)
        say(t, "port %u is taken on the 1 agent that has it", port);
    else
        say(t,
            "port %u is taken on all %llu agents that have it",
            port,
            (unsigned long long)agents);
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

void say_waiting_for(struct text *t, const struct demand *d)
{
    say(t, "waiting for ");
    if (d->at_once > 1)
        say(t, "%u x ", d->at_once);
    say_needs(t, d);
    if (d->at_once > 1)
        say(t, " at once");
}

/* Where tasks of other jobs, or of its own, keep it away, room is not what it waits for. */
static void
say_who_is_able(struct text *t, const struct census *c, const struct matcher *m)
{
    size_t constraints = m == NULL ? 0 : matcher_constraints(m);
    bool is_kept_away = m != NULL && c->rejected[constraints] > 0;

    for (size_t i = 0; i < constraints; i++)
        is_kept_away |= (m->is_distinct >> i & 1) != 0 && c->rejected[i] > 0;
    if (is_kept_away && c->able[STANDS_OPEN] > 0)
        say(t,
            ": %llu agent%s large enough",
            (unsigned long long)c->able[STANDS_OPEN],
            c->able[STANDS_OPEN] == 1 ? " is" : "s are");
    else if (c->able[STANDS_OPEN] == 1)
        say(t, ": 1 agent has room when its tasks end");
    else if (c->able[STANDS_OPEN] > 1)
        say(t,
            ": %llu agents have room when their tasks end",
            (unsigned long long)c->able[STANDS_OPEN]);
    else if (c->able[STANDS_REFUSING] > 0)
        say_large_enough(t, c->able[STANDS_REFUSING], "short of disk or damped");
    else if (c->able[STANDS_CLOSED] > 0)
        say_large_enough(t, c->able[STANDS_CLOSED], "cordoned or draining");
    else
        say_large_enough(t, c->able[STANDS_AWAY], "unreachable");
}

/* "; cpus: 2 full, 1 too small; mem: 1 full" */
static void say_short(struct text *t, const struct census *c, const struct shortage *s)
{
    for (int k = 0; k <= RESOURCE_KINDS; k++) {
        uint64_t full = s == NULL ? 0 : s->full[k];
        uint64_t small = k < RESOURCE_KINDS ? c->small[k] : 0;

        if (full == 0 && small == 0)
            continue;
        say(t,
            "; %s: ",
            k < RESOURCE_KINDS ? resource_name((enum resource_kind)k)
                               : "ports and the like");
        if (full > 0)
            say(t, "%llu full", (unsigned long long)full);
        if (small > 0)
            say(t, "%s%llu too small", full > 0 ? ", " : "", (unsigned long long)small);
    }
}

void say_agents(struct text *t, uint64_t agents, const char *what)
{
    if (agents > 0)
        say(t,
            "; %llu %s %s",
            (unsigned long long)agents,
            agents == 1 ? "is" : "are",
            what);
}

/* Who waits sees agents with room, so it is told why they do not count. */
static void say_waiting(struct text *t,
                        const struct census *c,
                        const struct shortage *s,
                        const struct demand *d,
                        const struct matcher *m)
{
    say_waiting_for(t, d);
    say_who_is_able(t, c, m);
    if (c->able[STANDS_OPEN] > 0) {
        say_short(t, c, s);
        say_agents(t, c->able[STANDS_REFUSING], "short of disk or damped");
        say_agents(t, c->able[STANDS_CLOSED], "cordoned or draining");
        say_agents(t, c->able[STANDS_AWAY], "unreachable");
    }
    if (c->unable > 0)
        say(t,
            "; %llu agent%s cannot %s",
            (unsigned long long)c->unable,
            c->unable == 1 ? "" : "s",
            ability_word(c->missing));
}

bool census_has_able(const struct census *c)
{
    for (int s = 0; s < STANDINGS; s++)
        if (c->able[s] > 0)
            return true;
    return false;
}

static void print_view(const struct condition_view *v, struct buffer *out)
{
    void *room = mem_alloc(condition_room(v));
    struct condition c;

    condition_lay(&c, v, room);
    c.most = (uint32_t)v->number;
    condition_print(&c, out);
    mem_free(room);
}

/* ": rack = a rejects 7 of 10 agents, host distinct rejects 2" */
static void say_rejections(struct text *t,
                           const struct demand *d,
                           const struct census *c,
                           const char *before)
{
    bool is_first = true;
    struct match_view m;

    match_view(&m, d->match);
    for (size_t i = 0; i <= m.constraint_count; i++) {
        struct buffer what = {0};

        if (c->rejected[i] == 0)
            continue;
        if (i < m.constraint_count)
            print_view(&m.constraints[i], &what);
        else
            buffer_printf(&what, "anti_affinity");
        if (what.size > CONDITION_BYTES)
            words_cut((char *)what.data, CONDITION_BYTES);
        say(t,
            "%s%s rejects %llu",
            is_first ? before : ", ",
            (const char *)what.data,
            (unsigned long long)c->rejected[i]);
        if (is_first)
            say(t,
                " of %llu agent%s%s",
                (unsigned long long)c->open,
                c->open == 1 ? "" : "s",
                c->shut == 0   ? ""
                : c->open == 1 ? " that takes work"
                               : " that take work");
        is_first = false;
        buffer_finish(&what);
    }
}

void say_reason(struct text *t,
                const struct state *state,
                const struct census *c,
                const struct room *room,
                const struct shortage *s,
                const struct seek *k)
{
    const struct demand *d = k->demand;
    const struct matcher *m = k->matcher;

    if (state->agents_by_state[AGENT_ACTIVE] +
            state->agents_by_state[AGENT_UNREACHABLE] ==
        0)
        say(t, "no agent is registered");
    else if (!census_has_able(c) && m != NULL && c->matching == 0)
        say(t, "no agent keeps its constraints");
    else if (!census_has_able(c))
        say_nowhere(t, c, d);
    else if (c->able[STANDS_OPEN] > 0 && room->taken_port != 0)
        say_taken(t, room->taken_port, room->taken_on);
    else
        say_waiting(t, c, s, d, m);
    if (m != NULL)
        say_rejections(t, d, c, c->matching == 0 ? ": " : "; ");
}
