/* schedules.c - slots of schedules that are due (spec 14).
 *
 * The state holds the last slot of each schedule that was decided.  Whoever leads computes the
 * next one, waits for it by the time that stamps are made of, and proposes what becomes of it,
 * one slot of a schedule at a time.  Zones are files of the shell: it is asked for one at a time,
 * when a schedule needs it; what it answered is kept as long as we lead.
 */
#include "master/core/internal.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "sched/slots.h"

#include <stdio.h>
#include <string.h>

#define FIRES_PER_TURN 256u
#define SLOT_LOOKS     4096u /* slots of one schedule that are walked over at one time */
#define SECOND_US      1000000ull

struct zone_view {
    char name[LIMIT_ZONE_BYTES + 1];
    bool is_asked, is_known, is_wrong;
    struct zone zone;
    RB_ENTRY(zone_view) link;
};

/* Of a schedule. */
struct slot_view {
    uint64_t job;
    struct cron cron;
    enum job_missed missed;
    struct zone_view *zone;
    int64_t next; /* seconds since 1970; ZONE_NEVER while it is not to be waited for */
    bool flying;  /* a proposal for it is on its way … */
    bool is_refused; /* … or was refused, and is tried again at the next tick */
    RB_ENTRY(slot_view) by_job, by_time;
};

static int zone_by_name(const struct zone_view *a, const struct zone_view *b)
{
    return strcmp(a->name, b->name);
}

static int slot_by_job(const struct slot_view *a, const struct slot_view *b)
{
    return (a->job > b->job) - (a->job < b->job);
}

static int slot_by_time(const struct slot_view *a, const struct slot_view *b)
{
    int order = (a->next > b->next) - (a->next < b->next);

    return order != 0 ? order : slot_by_job(a, b);
}

RB_PROTOTYPE(zone_view_tree, zone_view, link, )
RB_PROTOTYPE(slot_job_tree, slot_view, by_job, )
RB_PROTOTYPE(slot_time_tree, slot_view, by_time, )
RB_GENERATE(zone_view_tree, zone_view, link, zone_by_name)
RB_GENERATE(slot_job_tree, slot_view, by_job, slot_by_job)
RB_GENERATE(slot_time_tree, slot_view, by_time, slot_by_time)

/* ---- zones ---- */

static void ask_zones(struct master_core *m)
{
    struct schedules *s = &m->schedules;
    struct zone_view *z;

    if (s->asking)
        return;
    RB_FOREACH (z, zone_view_tree, &s->zones) {
        struct master_action *a;

        if (z->is_asked)
            continue;
        z->is_asked = true;
        s->asking = true;
        a = core_act(m, MASTER_READ_ZONE);
        snprintf(a->text, sizeof(a->text), "%s", z->name);
        return;
    }
}

static struct zone_view *zone_of(struct schedules *s, const char *name)
{
    struct zone_view wanted = {.is_asked = false}, *z;

    snprintf(wanted.name, sizeof(wanted.name), "%s", name != NULL ? name : "UTC");
    z = RB_FIND(zone_view_tree, &s->zones, &wanted);
    if (z != NULL)
        return z;
    z = mem_dup(&wanted, sizeof(wanted));
    z->is_asked = z->is_known = name == NULL; /* UTC is a zone of zeroes */
    RB_INSERT(zone_view_tree, &s->zones, z);
    return z;
}

/* ---- slots ---- */

static struct slot_view *find_slot(struct schedules *s, uint64_t job)
{
    struct slot_view wanted = {.job = job};

    return RB_FIND(slot_job_tree, &s->by_job, &wanted);
}

static void wait_until(struct schedules *s, struct slot_view *v, int64_t next)
{
    RB_REMOVE(slot_time_tree, &s->by_time, v);
    v->next = next;
    RB_INSERT(slot_time_tree, &s->by_time, v);
}

/* The next slot, from what the state says. */
static void
set_next(struct schedules *s, struct slot_view *v, const struct job_template *t)
{
    if (v->flying || v->is_refused || !v->zone->is_known)
        return;
    wait_until(
        s, v, slot_after(&v->cron, &v->zone->zone, (int64_t)(t->last_us / SECOND_US)));
}

static void forget(struct schedules *s, struct slot_view *v)
{
    RB_REMOVE(slot_job_tree, &s->by_job, v);
    RB_REMOVE(slot_time_tree, &s->by_time, v);
    mem_free(v);
}

static void add_slot(struct master_core *m, const struct job *j)
{
    struct schedules *s = &m->schedules;
    struct job_spec spec;
    struct slot_view *v;

    if (job_spec_unpack(&spec, j->spec, NULL) != 0)
        return; /* a later version has another opinion of it */
    v = mem_zalloc(sizeof(*v));
    v->job = j->id;
    v->missed = spec.schedule.missed;
    v->zone = zone_of(s, spec.schedule.timezone);
    cron_parse(&v->cron, spec.schedule.cron, NULL);
    RB_INSERT(slot_job_tree, &s->by_job, v);
    v->next = ZONE_NEVER;
    RB_INSERT(slot_time_tree, &s->by_time, v);
    set_next(s, v, j->made);
    job_spec_finish(&spec);
    ask_zones(m);
}

void schedules_changed(struct master_core *m, uint64_t job)
{
    struct slot_view *v = find_slot(&m->schedules, job);
    const struct job *j = state_job(m->state, job);

    if (v == NULL && (j == NULL || j->made == NULL || j->made->is_dispatched))
        return;
    if (j == NULL || j->kill_index != 0) { /* it may be purged already */
        if (v != NULL)
            forget(&m->schedules, v);
    } else if (v == NULL) {
        add_slot(m, j);
    } else {
        set_next(&m->schedules, v, j->made);
    }
}

void schedules_zone(struct master_core *m, const char *name, struct bytes file)
{
    struct schedules *s = &m->schedules;
    struct zone_view *z;
    struct slot_view *v;

    if (!m->leading.active || !s->asking)
        return; /* of a leadership that is over */
    s->asking = false;
    z = zone_of(s, name);
    z->is_known = zone_read(&z->zone, file, NULL) == 0;
    z->is_wrong = !z->is_known;
    if (z->is_wrong)
        core_log(
            m,
            MASTER_LOG_WARNING,
            "time zone %s is not known here: jobs with it are not started by their "
            "schedules; install tzdata, or give them another zone",
            name);
    RB_FOREACH (v, slot_job_tree, &s->by_job)
        if (v->zone == z)
            set_next(s, v, state_job(m->state, v->job)->made);
    ask_zones(m);
}

/* ---- what is due ---- */

/* Slots that were missed, as far as they are walked. */
struct missed {
    int64_t last;   /* of them */
    uint64_t count; /* with the last */
    bool more;      /* it is not the last one of all */
};

static struct missed
walk_missed(const struct slot_view *v, int64_t late_until, uint64_t most)
{
    struct missed m = {.last = v->next, .count = 1};

    while (m.count < most) {
        int64_t next = slot_after(&v->cron, &v->zone->zone, m.last);

        if (next > late_until)
            return m;
        m.last = next;
        m.count++;
    }
    m.more = slot_after(&v->cron, &v->zone->zone, m.last) <= late_until;
    return m;
}

/* Of those that `run_all` makes up for, the last ones; how many come before them. */
static uint64_t too_many(const struct slot_view *v, int64_t late_until)
{
    uint64_t count = walk_missed(v, late_until, SLOT_LOOKS).count;

    return count > LIMIT_SLOTS_MADE_UP ? count - LIMIT_SLOTS_MADE_UP : 0;
}

/* What becomes of the next slot, and of those behind it if they were missed. */
static struct command decide(const struct slot_view *v, int64_t now)
{
    struct command c = {.kind = COMMAND_FIRE, .fire = {.job = v->job, .make = true}};
    int64_t late_until = now - LIMIT_SLOT_LATE_MS / 1000 - 1;
    struct missed missed = {.last = v->next, .count = 1};
    uint64_t before;

    if (v->next <= late_until && v->missed != MISSED_RUN_ALL) {
        missed = walk_missed(v, late_until, SLOT_LOOKS);
        c.fire.make = v->missed == MISSED_RUN_LAST && !missed.more;
    } else if (v->next <= late_until) {
        before = too_many(v, late_until);
        if (before > 0) {
            missed = walk_missed(v, late_until, before);
            c.fire.make = false;
        }
    }
    c.fire.slot_us = (uint64_t)missed.last * SECOND_US;
    c.fire.missed = missed.count - c.fire.make;
    return c;
}

static void fire(struct master_core *m, struct slot_view *v, int64_t now)
{
    struct command command = decide(v, now);

    wait_until(&m->schedules, v, ZONE_NEVER);
    v->flying = true;
    propose(m, &command, &(struct origin){.kind = ORIGIN_FIRE, .agent = v->job});
}

void schedules_turn(struct master_core *m)
{
    struct schedules *s = &m->schedules;
    int64_t now = (int64_t)(m->leading.time_us / SECOND_US);

    for (unsigned n = 0; n < FIRES_PER_TURN && propose_has_room(m); n++) {
        struct slot_view *v = RB_MIN(slot_time_tree, &s->by_time);

        if (v == NULL || v->next > now)
            return;
        fire(m, v, now);
    }
}

/* There was no room for more jobs: there may be now. */
void schedules_tick(struct master_core *m)
{
    struct schedules *s = &m->schedules;
    struct slot_view *v;

    if (!s->has_refused)
        return;
    s->has_refused = false;
    RB_FOREACH (v, slot_job_tree, &s->by_job)
        if (v->is_refused) {
            v->is_refused = false;
            set_next(s, v, state_job(m->state, v->job)->made);
        }
}

void schedules_fired(struct master_core *m, uint64_t job, const struct result *r)
{
    struct slot_view *v = find_slot(&m->schedules, job);

    m->counters.slots_fired += r->code == ERROR_NONE && r->id != 0;
    if (v == NULL)
        return; /* it was killed */
    v->flying = false;
    v->is_refused = r->code != ERROR_NONE;
    m->schedules.has_refused |= v->is_refused;
    schedules_changed(m, job);
}

/* ---- begin, end, and what users see ---- */

void schedules_begin(struct master_core *m)
{
    struct job_template *t;

    schedules_end(m);
    RB_FOREACH (t, template_tree, &m->state->templates)
        add_slot(m, t->job);
}

void schedules_end(struct master_core *m)
{
    struct schedules *s = &m->schedules;
    struct slot_view *v;
    struct zone_view *z;

    while ((v = RB_MIN(slot_job_tree, &s->by_job)) != NULL)
        forget(s, v);
    while ((z = RB_MIN(zone_view_tree, &s->zones)) != NULL) {
        RB_REMOVE(zone_view_tree, &s->zones, z);
        zone_finish(&z->zone);
        mem_free(z);
    }
    s->asking = s->has_refused = false;
}

void schedules_say(struct master_core *m, const struct job *j, char *why, size_t size)
{
    const struct job_template *t = j->made;
    struct slot_view *v = find_slot(&m->schedules, j->id);
    char at[TEXT_TIME_MAX], last[48] = "";

    if (t->is_dispatched) {
        snprintf(why,
                 size,
                 "a job is made of it by `triarch dispatch`; %llu so far",
                 (unsigned long long)t->fired);
        return;
    }
    if (v == NULL || v->zone->is_wrong) {
        snprintf(why,
                 size,
                 "its time zone is not known to the leader: install tzdata there");
        return;
    }
    text_time(at, v->next == ZONE_NEVER ? 0 : (uint64_t)v->next * SECOND_US);
    if (t->child != 0)
        snprintf(
            last, sizeof(last), ", the last as job %llu", (unsigned long long)t->child);
    snprintf(why,
             size,
             "next at %.19sZ; %llu started%s, %llu missed, %llu skipped",
             at,
             (unsigned long long)t->fired,
             last,
             (unsigned long long)t->missed,
             (unsigned long long)t->skipped);
}
