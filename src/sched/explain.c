/* explain.c - why tasks wait, in the words of who asked for them.
 *
 * A listing asks for many jobs, so nothing here walks all agents for each: whether one has
 * room now is one search in the index, and capacities are counted by size (fleet.h), once
 * for all jobs of a shape.  Who needs more than amounts makes agents be asked one by one, also
 * once for a shape, and the looks at agents in one listing are bounded: when they are used
 * up, only what is needed is told.
 */
#include "sched/internal.h"
#include "sched/seek.h"

#include "base/limits.h"
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MORE            "…"
#define CONDITION_BYTES 80 /* of one that is told */

struct text {
    char *at;
    size_t room; /* with the zero at the end */
};

/* The text, which is longer, ends before the first character that is not whole within so many
 * bytes, and an ellipsis says so; its size. */
static size_t cut(char *text, size_t max)
{
    size_t size = max > sizeof(MORE) - 1 ? max - (sizeof(MORE) - 1) : 0;

    while (size > 0 && (text[size] & 0xc0) == 0x80)
        size--;
    strcpy(text + size, size + sizeof(MORE) - 1 <= max ? MORE : "");
    return strlen(text);
}

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
        n = (int)cut(t->at, t->room - 1);
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

static void say_ports(struct text *t, const struct extra_needs *n, const char **comma)
{
    if (n->port_count > 0) {
        say(t, "%s%u port%s", *comma, n->port_count, n->port_count == 1 ? "" : "s");
        *comma = ", ";
    }
    for (size_t i = 0; i < n->fixed_count; i++) {
        if (n->fixed[i].first == n->fixed[i].last)
            say(t, "%sport %u", *comma, n->fixed[i].first);
        else
            say(t, "%sports %u-%u", *comma, n->fixed[i].first, n->fixed[i].last);
        *comma = ", ";
    }
}

static void say_custom(struct text *t, const struct custom_resource *r)
{
    say_thousandths(t, r->amount);
    say(t, " %s", r->name);
}

static const struct {
    uint32_t feature;
    const char *need, *ability;
} FEATURES[] = {
#define X(bit, name, word, need, ability) {AGENT_FEATURE_##name, need, ability},
    AGENT_FEATURES(X)
#undef X
};
#define FEATURE_COUNT (sizeof(FEATURES) / sizeof(FEATURES[0]))

static void say_features(struct text *t, uint32_t features, const char *comma)
{
    for (size_t i = 0; i < FEATURE_COUNT; i++) {
        if ((features & FEATURES[i].feature) == 0 || FEATURES[i].need[0] == '\0')
            continue;
        say(t, "%s%s", comma, FEATURES[i].need);
        comma = ", ";
    }
}

/* What the first of these is that one can or cannot do. */
static const char *ability(uint32_t features)
{
    for (size_t i = 0; i < FEATURE_COUNT; i++)
        if ((features & FEATURES[i].feature) != 0)
            return FEATURES[i].ability;
    return "";
}

/* "2 cpus, 4096 MiB, port 8080, 1 licence" */
static void say_needs(struct text *t, const struct demand *d)
{
    const char *comma = "";

    for (int k = 0; k < RESOURCE_KINDS; k++) {
        if (d->need.amount[k] == 0)
            continue;
        say(t, "%s", comma);
        say_need(t, k, d->need.amount[k]);
        comma = ", ";
    }
    if (d->extras == NULL)
        return;
    say_ports(t, d->extras, &comma);
    for (size_t i = 0; i < d->extras->custom.count; i++) {
        say(t, "%s", comma);
        say_custom(t, &d->extras->custom.items[i]);
        comma = ", ";
    }
    say_features(t, d->extras->features, comma);
}

/* ---- reasons ---- */

/* What was spent is not there any more. */
static void pay(struct seek *k, unsigned *looks)
{
    unsigned spent = k->effort.spent;

    *looks -= spent < *looks ? spent : *looks;
    k->effort = (struct effort){.most = *looks};
}

/* The same after an agent was asked, for that as well; false when what it said is not known. */
static bool pay_for_agent(struct seek *k, unsigned *looks)
{
    bool is_known = !k->effort.is_cut;

    k->effort.spent++;
    pay(k, looks);
    return is_known;
}

static struct told *told_of(struct shape *shape)
{
    if (shape->told == NULL)
        shape->told = mem_zalloc(sizeof(*shape->told));
    return shape->told;
}

/* Counted once for each shape as long as no agent comes, goes or changes; false when there
 * are not looks enough. */
static bool count(const struct sched *s,
                  struct told *told,
                  struct seek *k,
                  unsigned *looks,
                  struct census *out)
{
    uint64_t version =
        seek_depends_on_tasks(k) ? s->fleet.version : s->fleet.sizes_version;

    if (told != NULL && told->census_version == version) {
        *out = told->census;
        return true;
    }
    if (*looks > 0)
        *out = fleet_census(&s->fleet, k, looks);
    if (*looks == 0)
        return false;
    if (told != NULL) {
        told->census = *out;
        told->census_version = version;
    }
    return true;
}

/* Likewise, as long as nothing of an agent changes.  All agents are asked: not for the later ones of
 * a long listing, so that there are looks for the rest of what is said of them. */
static bool count_shortage(const struct sched *s,
                           struct told *told,
                           struct seek *k,
                           unsigned *looks,
                           struct shortage *out)
{
    struct fleet_agent *a;

    *out = (struct shortage){{0}};
    if (told != NULL && told->shortage_version == s->fleet.version) {
        *out = told->shortage;
        return true;
    }
    RB_FOREACH (a, fleet_tree, (struct fleet_tree *)&s->fleet.agents) {
        int kind = seek_matches(k, a) ? fleet_short_of(a, k->demand) : -1;

        if (*looks <= SCHED_EXPLAIN_LOOKS / 2 || !pay_for_agent(k, looks))
            return false;
        if (kind >= 0)
            out->full[kind]++;
    }
    if (told != NULL) {
        told->shortage = *out;
        told->shortage_version = s->fleet.version;
    }
    return true;
}

/* Asked once for each shape as long as nothing of an agent changes; likewise. */
static bool ask(const struct sched *s,
                struct told *told,
                struct seek *k,
                unsigned *looks,
                struct room *out)
{
    *out = (struct room){0};
    if (told != NULL && told->room_version == s->fleet.version) {
        *out = told->room;
        return true;
    }
    if (*looks > 0)
        out->is_there = seek_best(k, NULL) != NULL;
    pay(k, looks);
    if (*looks > 0 && !out->is_there)
        out->taken_port = fleet_taken_port(&s->fleet, k->demand, looks, &out->taken_on);
    if (*looks == 0)
        return out->is_there;
    if (told != NULL) {
        told->room = *out;
        told->room_version = s->fleet.version;
    }
    return true;
}

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
        say(t, "no agent can %s", ability(n->features & ~c->features));
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

static void say_waiting_for(struct text *t, const struct demand *d)
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

static void say_agents(struct text *t, uint64_t agents, const char *what)
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
            ability(c->missing));
}

static bool is_anyone_able(const struct census *c)
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
            cut((char *)what.data, CONDITION_BYTES);
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

static void say_reason(struct text *t,
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
    else if (!is_anyone_able(c) && m != NULL && c->matching == 0)
        say(t, "no agent keeps its constraints");
    else if (!is_anyone_able(c))
        say_nowhere(t, c, d);
    else if (c->able[STANDS_OPEN] > 0 && room->taken_port != 0)
        say_taken(t, room->taken_port, room->taken_on);
    else
        say_waiting(t, c, s, d, m);
    if (m != NULL)
        say_rejections(t, d, c, c->matching == 0 ? ": " : "; ");
}

static uint64_t listed(unsigned __int128 used)
{
    return used < LIMIT_RESOURCE ? (uint64_t)used : LIMIT_RESOURCE;
}

/* False when one task more, or all of a gang, keep the maximum of this kind. */
static bool say_maximum_of_kind(struct text *t,
                                const struct role *role,
                                const struct demand *d,
                                int k)
{
    const struct role_bound *max = &role->spec.max;
    uint64_t most = max->amount.amount[k], need = d->need.amount[k] * d->at_once;

    if ((max->kinds & 1u << k) == 0 || need == 0 || role->use.amount[k] + need <= most)
        return false;
    if (need > most) {
        say(t, " may never have more than ");
        say_need(t, k, most);
        return true;
    }
    say(t, " has ");
    say_need(t, k, listed(role->use.amount[k]));
    say(t, " of at most ");
    say_amount(t, k, most, false);
    return true;
}

static bool say_maximum_of_custom(struct text *t,
                                  const struct role *role,
                                  const struct demand *d,
                                  const struct custom_resource *most)
{
    unsigned __int128 used = use_of(&role->use, most->name);
    uint64_t need =
        d->extras == NULL
            ? 0
            : custom_resources_amount(&d->extras->custom, most->name) * d->at_once;
    struct custom_resource has = {most->name, listed(used)};

    if (need == 0 || used + need <= most->amount)
        return false;
    say(t, need > most->amount ? " may never have more than " : " has ");
    say_custom(t, need > most->amount ? most : &has);
    if (need > most->amount)
        return true;
    say(t, " of at most ");
    say_thousandths(t, most->amount);
    return true;
}

/* Its role has its maximum: of the first kind, or custom resource, that would pass it. */
static void say_maximum(struct text *t, const struct role *role, const struct demand *d)
{
    const struct role_bound *max = &role->spec.max;
    bool is_said = false;

    say_waiting_for(t, d);
    say(t, ": role %s", role->name);
    for (int k = 0; k < RESOURCE_KINDS && !is_said; k++)
        is_said = say_maximum_of_kind(t, role, d, k);
    for (size_t i = 0; i < max->custom.count && !is_said; i++)
        is_said = say_maximum_of_custom(t, role, d, &max->custom.items[i]);
}

/* Nothing that the scheduler knows is changed by a search but what it keeps to be quick.  Without
 * looks the tasks of the job are not counted: then only what was asked before is known. */
static void begin_seek(const struct sched *s,
                       const struct state *state,
                       uint64_t now_us,
                       const struct job *job,
                       const struct demand *d,
                       unsigned *looks,
                       struct seek *k)
{
    seek_begin(k, (struct fleet *)&s->fleet, state, job->owner->role, d, *looks);
    if (*looks > 0)
        seek_count(k, job, NULL, 0);
    seek_heed(k, &s->claims, &s->lanes, job, now_us);
    pay(k, looks);
}

/* How many tasks of a gang have room now; false when they count for each other, or there are not
 * looks enough. */
static bool
count_room(const struct job *job, struct seek *k, unsigned *looks, uint32_t *room)
{
    uint32_t most = k->demand->at_once;
    struct fleet_agent *a;

    *room = 0;
    if (seek_depends_on_tasks(k))
        return false;
    RB_FOREACH (a, fleet_tree, &k->fleet->agents) {
        if (*looks == 0)
            return false;
        if (a->fit.height > 0 && *room < most && seek_matches(k, a))
            *room += seek_let_in(
                k, a, agent_room(state_agent(k->state, a->id), job, most - *room));
        if (!pay_for_agent(k, looks))
            return false;
    }
    return true;
}

/* One of them has room; true if not all have. */
static bool
say_room(struct text *t, const struct job *job, struct seek *k, unsigned *looks)
{
    const struct demand *d = k->demand;
    uint32_t room;
    bool is_known = count_room(job, k, looks, &room);

    if (is_known && room == d->at_once) {
        say(t, "%u tasks wait; placed next", d->at_once);
        return false;
    }
    say_waiting_for(t, d);
    if (is_known)
        say(t, ": room for %u now", room);
    return true;
}

/* ---- system jobs ---- */

#define NAMED_AGENTS 3 /* in a text */

/* Agents that keep its constraints and are large enough: how many there are, how many wait for room
 * although they take work, with the first of those, and how many take none. */
struct spread_out {
    uint64_t agents, waiting, standing[STANDINGS];
    uint64_t first[NAMED_AGENTS];
};

static void count_agent(struct spread_out *o,
                        const struct job *job,
                        struct seek *k,
                        const struct fleet_agent *a)
{
    const struct task *t = system_task(job, a->id);
    bool is_live = t != NULL && t->state >= TASK_STAGING && t->state <= TASK_RUNNING;

    if (!resources_contain(&a->size->capacity, &k->demand->need) ||
        (k->matcher != NULL &&
         !matcher_holds(k->matcher, &a->attributes, &k->effort)) ||
        (k->demand->extras != NULL &&
         !extra_is_able(&fleet_extras_of(a)->offered, k->demand->extras)))
        return;
    o->agents++;
    if (is_live || !systems_wants(job, a->id))
        return;
    if (a->standing != STANDS_OPEN)
        o->standing[a->standing]++;
    else if (o->waiting++ < NAMED_AGENTS)
        o->first[o->waiting - 1] = a->id;
}

/* False when there are not looks enough. */
static bool count_agents(struct spread_out *o,
                         const struct sched *s,
                         const struct job *job,
                         struct seek *k,
                         unsigned *looks)
{
    struct fleet_agent *a;

    RB_FOREACH (a, fleet_tree, (struct fleet_tree *)&s->fleet.agents) {
        if (*looks == 0)
            return false;
        count_agent(o, job, k, a);
        if (!pay_for_agent(k, looks))
            return false;
    }
    return true;
}

static void
say_no_room(struct text *t, const struct spread_out *o, const struct demand *d)
{
    say(t, "; no room for ");
    say_needs(t, d);
    say(t, o->waiting == 1 ? " on agent" : " on agents");
    for (uint64_t i = 0; i < o->waiting && i < NAMED_AGENTS; i++)
        say(t, "%s%llu", i == 0 ? " " : ", ", (unsigned long long)o->first[i]);
    if (o->waiting > NAMED_AGENTS)
        say(t, " and %llu more", (unsigned long long)(o->waiting - NAMED_AGENTS));
}

static void say_spread_out(struct text *t,
                           const struct job *job,
                           const struct spread_out *o,
                           const struct demand *d)
{
    const struct role *role = job->owner->role;

    say(t,
        "on %u of %llu agent%s",
        job_live(job),
        (unsigned long long)o->agents,
        o->agents == 1 ? "" : "s");
    if (o->waiting > 0 && !bound_has_room(&role->spec.max, &role->use, job, 1)) {
        say(t, "; ");
        say_maximum(t, role, d);
    } else if (o->waiting > 0) {
        say_no_room(t, o, d);
    }
    say_agents(t, o->standing[STANDS_REFUSING], "short of disk");
    say_agents(t, o->standing[STANDS_CLOSED], "cordoned or draining");
    say_agents(t, o->standing[STANDS_AWAY], "unreachable");
}

static void explain_system(const struct sched *s,
                           const struct state *state,
                           uint64_t now_us,
                           const struct job *job,
                           unsigned *looks,
                           struct text *t)
{
    struct demand d = job_demand(job);
    struct spread_out o = {0};
    struct census c;
    struct seek k;

    begin_seek(s, state, now_us, job, &d, looks, &k);
    if (!count_agents(&o, s, job, &k, looks))
        say(t, "on %u agent%s", job_live(job), job_live(job) == 1 ? "" : "s");
    else if (o.agents > 0)
        say_spread_out(t, job, &o, &d);
    else if (count(s, NULL, &k, looks, &c))
        say_reason(t, state, &c, &(struct room){0}, NULL, &k);
    else
        say_waiting_for(t, &d);
}

/* ---- what is kept ---- */

bool sched_reservation(const struct sched *s,
                       uint64_t now_us,
                       uint64_t job,
                       uint64_t *agent,
                       uint64_t *at_us)
{
    uint64_t set = claims_of(&s->claims, job);
    const struct claim *c;

    if (set == 0)
        return false;
    c = &s->claims.of[claim_next(&set)];
    *agent = c->agent;
    *at_us = c->at_us == CLAIM_NEVER || c->at_us < now_us ? 0 : c->at_us;
    return true;
}

/* "in 12 min", "in 40 s" */
static void say_in(struct text *t, uint64_t us)
{
    uint64_t s = (us + 999999) / 1000000;

    if (s <= 120)
        say(t, " in %llu s", (unsigned long long)s);
    else if (s <= 120 * 60)
        say(t, " in %llu min", (unsigned long long)(s + 59) / 60);
    else
        say(t, " in %llu h", (unsigned long long)(s + 3599) / 3600);
}

static uint32_t agents_of(const struct claim *c)
{
    uint32_t n = 0;

    for (size_t k = 0; k < claim_places(c); k++)
        n += claim_tasks(c, k) > 0;
    return n;
}

static void say_reserved(struct text *t, const struct sched *s, int i, uint64_t now_us)
{
    const struct claim *c = &s->claims.of[i];
    uint32_t agents, ends;

    if (c->kind == CLAIM_MOVE) {
        say(t, "; it moves to agent %llu", (unsigned long long)c->agent);
        return;
    }
    if (c->kind == CLAIM_PREEMPTION) { /* somebody ends for it, or soon does anyway */
        say(t, "; room is made for it on agent %llu", (unsigned long long)c->agent);
        return;
    }
    agents = agents_of(c);
    if (agents == 1)
        say(t, "; agent %llu is reserved for it", (unsigned long long)c->agent);
    else
        say(t, "; %u agents are reserved for it", agents);
    ends = reservation_ends(s, i);
    if (c->at_us != CLAIM_NEVER && c->at_us >= now_us)
        say_in(t, c->at_us - now_us);
    else if (ends == 1)
        say(t, ", when 1 task ends");
    else if (ends > 1)
        say(t, ", when %u tasks end", ends);
    if (c->at_us < now_us)
        say(t, " that should have");
}

/* The first agent of a claim that has room for it, as far as that is known; NULL: there is none. */
static struct fleet_agent *
find_kept(const struct sched *s, const struct claim *c, struct seek *k, unsigned *looks)
{
    for (size_t n = 0; n < claim_places(c) && *looks > 0; n++) {
        struct fleet_agent *a = fleet_agent(&s->fleet, claim_agent(c, n));
        bool has_room = a != NULL && seek_is_refused(k, a, seek_together(k)) &&
                        resources_contain(&a->fit.vector, &k->demand->need) &&
                        fleet_has_extras(a, k->demand->extras) && seek_matches(k, a);

        if (pay_for_agent(k, looks) && has_room)
            return a;
    }
    return NULL;
}

/* The first agent that has room for it and is kept for somebody else. */
static void
say_kept(struct text *t, const struct sched *s, struct seek *k, unsigned *looks)
{
    uint64_t set = k->refused;

    while (set != 0 && *looks > 0) {
        const struct claim *c = &s->claims.of[claim_next(&set)];
        const struct fleet_agent *a = find_kept(s, c, k, looks);

        if (a == NULL)
            continue;
        say(t,
            "; agent %llu has room and is reserved for job %llu",
            (unsigned long long)a->id,
            (unsigned long long)c->job);
        return;
    }
}

/* Of those that nothing is kept for, if it is known and a quarter of the looks are enough. */
static void say_soonest(struct text *t,
                        const struct sched *s,
                        const struct state *state,
                        uint64_t now_us,
                        struct shape *shape,
                        unsigned *looks)
{
    unsigned some = *looks / 4, left = some;
    struct told *told = told_of(shape);
    const struct soonest *f = &told->soonest;

    if (told->soonest_version != s->fleet.version) {
        if (!reserve_soonest(
                (struct sched *)s, state, now_us, shape, &left, &told->soonest))
            told->soonest.agent = 0;
        told->soonest_version = s->fleet.version;
        *looks -= some - left;
    }
    if (f->agent == 0 || f->at_us == FORECAST_NEVER || f->at_us < now_us)
        return;
    if (f->agents == 1)
        say(t, "; agent %llu may have room", (unsigned long long)f->agent);
    else
        say(t, "; %u agents may have room", f->agents);
    say_in(t, f->at_us - now_us);
}

static bool is_shared(const struct column *column, unsigned *looks)
{
    struct value *v;

    RB_FOREACH (v, value_tree, (struct value_tree *)&column->values) {
        if (*looks == 0 || v->agent_count > 1)
            return *looks > 0;
        --*looks;
    }
    return false;
}

/* For a gang whose agents are in groups of two kinds (seek_crowding()) nothing is reserved. */
static void say_not_reserved(struct text *t,
                             const struct job *job,
                             const struct seek *k,
                             unsigned *looks)
{
    const struct matcher *m = k->matcher;
    const char *first = NULL;

    if (m == NULL || job->owner->role->spec.reserve_ms == ROLE_NEVER)
        return;
    for (size_t i = 0; i < m->distinct_count; i++) {
        const struct column *column = m->distincts[i].column;

        if (!is_shared(column, looks))
            continue;
        if (first != NULL) {
            say(t,
                "; nothing is reserved for a gang with %s and %s distinct",
                first,
                column->name);
            return;
        }
        first = column->name;
    }
}

/* What begins when, as far as that is known. */
static void say_when(struct text *t,
                     const struct sched *s,
                     const struct state *state,
                     uint64_t now_us,
                     const struct job *job,
                     struct seek *k,
                     unsigned *looks)
{
    const struct waiting *w = waiting_find(&s->lanes.jobs, job->id);
    uint64_t set = claims_of(&s->claims, job->id);

    if (set != 0) {
        say_reserved(t, s, claim_next(&set), now_us);
        return;
    }
    say_kept(t, s, k, looks);
    if (k->demand->at_once > 1)
        say_not_reserved(t, job, k, looks);
    if (w != NULL)
        say_soonest(t, s, state, now_us, w->shape, looks);
}

void sched_explain(const struct sched *s,
                   const struct state *state,
                   uint64_t now_us,
                   const struct job *job,
                   unsigned *looks,
                   char *out,
                   size_t size)
{
    const struct waiting *w = waiting_find(&s->lanes.jobs, job->id);
    struct told *told = w == NULL ? NULL : told_of(w->shape);
    const struct role *role = job->owner->role;
    struct demand d = job_demand(job);
    uint32_t pending = job_pending(job);
    struct text t = {out, size};
    struct shortage shortage;
    struct room room;
    struct census c;
    bool is_known;
    struct seek k;

    say(&t, "%s", "");
    if (job->system != NULL && job_may_place(job)) {
        explain_system(s, state, now_us, job, looks, &t);
        return;
    }
    if (pending == 0)
        return;
    if (!bound_has_room(&role->spec.max, &role->use, job, d.at_once)) {
        say_maximum(&t, role, &d);
        return;
    }
    begin_seek(s, state, now_us, job, &d, looks, &k);
    is_known = ask(s, told, &k, looks, &room);
    if (d.at_once > 1 && count(s, told, &k, looks, &c) && is_anyone_able(&c) &&
        c.together < d.at_once) {
        say_waiting_for(&t, &d);
        say(&t, ": all agents together can hold %llu", (unsigned long long)c.together);
    } else if (room.is_there && d.at_once > 1) {
        if (say_room(&t, job, &k, looks))
            say_when(&t, s, state, now_us, job, &k, looks);
    } else if (room.is_there)
        say(&t, "%u task%s; placed next", pending, pending == 1 ? " waits" : "s wait");
    else if (is_known && count(s, told, &k, looks, &c)) {
        say_reason(&t,
                   state,
                   &c,
                   &room,
                   count_shortage(s, told, &k, looks, &shortage) ? &shortage : NULL,
                   &k);
        if (is_anyone_able(&c))
            say_when(&t, s, state, now_us, job, &k, looks);
    } else
        say_waiting_for(&t, &d);
}
