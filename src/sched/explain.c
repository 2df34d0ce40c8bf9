/* explain.c - why tasks wait, in the words of who asked for them.
 *
 * A listing asks for many jobs, so nothing here walks all agents for each: whether one has
 * room now is one search in the index, and capacities are counted by size (fleet.h), once
 * for all jobs of a shape.  Who needs more than amounts makes agents be asked one by one, also
 * once for a shape, and the looks at agents in one listing are bounded: when they are used
 * up, only what is needed is told.
 *
 *     reasons.h   how many agents cannot have a task, and why not
 *     when.h      what is kept for it, and when it may begin
 *     words.h     amounts and needs
 */
#include "sched/internal.h"

#include "sched/reasons.h"
#include "sched/seek.h"
#include "sched/when.h"

/* ---- asking ---- */

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
        int kind;

        if (*looks <= SCHED_EXPLAIN_LOOKS / 2)
            return false;
        kind = seek_matches(k, a) ? fleet_short_of(a, k->demand) : -1;
        if (!seek_pay_for_agent(k, looks))
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
    seek_pay(k, looks);
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
    seek_pay(k, looks);
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
        if (a->fit.is_in && *room < most && seek_matches(k, a))
            *room += seek_let_in(
                k, a, agent_room(state_agent(k->state, a->id), job, most - *room));
        if (!seek_pay_for_agent(k, looks))
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
        if (!seek_pay_for_agent(k, looks))
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

void sched_explain(const struct sched *s,
                   const struct state *state,
                   uint64_t now_us,
                   const struct job *job,
                   unsigned *looks,
                   char *out,
                   size_t size)
{
    const struct waiting *w = waiting_find(&s->lanes.jobs, job->id);
    struct told *told = w == NULL    ? NULL
                        : *looks > 0 ? shape_told(w->shape)
                                     : w->shape->told;
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
    if (d.at_once > 1 && count(s, told, &k, looks, &c) && census_has_able(&c) &&
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
        if (census_has_able(&c))
            say_when(&t, s, state, now_us, job, &k, looks);
    } else
        say_waiting_for(&t, &d);
}
