/* schedules.c - slots of schedules that are due (spec 14).
 *
 * The state holds the last slot of each schedule that was decided.  Whoever leads computes the
 * next one, waits for it by the time that stamps are made of, and proposes what becomes of it,
 * one slot of a schedule at a time.  Zones are files of the shell: it is asked for one at a time,
 * when a schedule needs it, and again now and then, as tz data is installed and replaced.
 *
 * There may be as many schedules as the limit says, and a slot costs microseconds.  So the
 * schedules of a new leader are taken up in slices, next slots are computed by a list of those
 * that lack it, and missed slots are walked over in parts: LOOKS_PER_TURN for all of these.
 */
#include "master/core/internal.h"

#include "base/hash.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "sched/slots.h"

#include <stdio.h>
#include <string.h>

#define FIRES_PER_TURN 256u
#define LOOKS_PER_TURN 2048u   /* at slots that were missed, of all schedules … */
#define LOOKS_AT_ONCE  1024u   /* … and of one, when it is its turn */
#define SCHEDULE_LOOKS 4u      /* what else is done of a schedule counts as so many */
#define ROOM_AGAIN_MS  2000u   /* from one look whether there is room to the next */
#define ZONE_AGAIN_MS  600000u /* from one look at the file of a zone to the next */
#define SECOND_US      1000000ull

struct zone_view {
    char name[LIMIT_ZONE_BYTES + 1];
    bool has_place;           /* among those that are read */
    bool is_known, is_wrong;  /* neither: it was not read yet */
    struct zone zone;         /* if it is known … */
    struct hash128 file;      /* … and of what */
    uint64_t ask_ms;          /* when it is to be read */
    struct slot_list in_zone; /* not empty */
    RB_ENTRY(zone_view) link;
    TAILQ_ENTRY(zone_view) ask_link; /* but UTC */
};

enum slot_state {
    SLOT_NO_ZONE, /* its zone is not known */
    SLOT_STALE,   /* its next slot is to be computed */
    SLOT_WAITING, /* for its time */
    SLOT_FLYING,  /* a proposal for it is on its way … */
    SLOT_NO_ROOM, /* … or there is no room for its job */
};

/* Of a schedule. */
struct slot_view {
    uint64_t job;
    struct cron cron;
    enum job_missed missed;
    bool forbids; /* a job beside the last one */
    uint32_t instances;
    struct zone_view *zone;
    enum slot_state state;
    int64_t next;      /* SLOT_WAITING: seconds since 1970, or ZONE_NEVER */
    uint64_t again_ms; /* SLOT_NO_ROOM: when it is tried again */
    RB_ENTRY(slot_view) by_job, by_time;
    TAILQ_ENTRY(slot_view) queue, zone_link;
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

/* ---- states of slots ---- */

static void leave(struct schedules *s, struct slot_view *v)
{
    switch (v->state) {
    case SLOT_NO_ZONE:
        break;
    case SLOT_STALE:
        TAILQ_REMOVE(&s->stale, v, queue);
        break;
    case SLOT_WAITING:
        RB_REMOVE(slot_time_tree, &s->by_time, v);
        break;
    case SLOT_FLYING:
        s->jobs_flying--;
        s->tasks_flying -= v->instances;
        break;
    case SLOT_NO_ROOM:
        TAILQ_REMOVE(&s->no_room, v, queue);
        break;
    }
}

static void enter(struct schedules *s, struct slot_view *v, enum slot_state state)
{
    v->state = state;
    switch (state) {
    case SLOT_NO_ZONE:
        break;
    case SLOT_STALE:
        TAILQ_INSERT_TAIL(&s->stale, v, queue);
        break;
    case SLOT_WAITING:
        RB_INSERT(slot_time_tree, &s->by_time, v);
        break;
    case SLOT_FLYING:
        s->jobs_flying++;
        s->tasks_flying += v->instances;
        break;
    case SLOT_NO_ROOM:
        TAILQ_INSERT_TAIL(&s->no_room, v, queue);
        break;
    }
}

static void change(struct schedules *s, struct slot_view *v, enum slot_state state)
{
    leave(s, v);
    enter(s, v, state);
}

/* ---- zones ---- */

static struct zone_view *find_zone(struct schedules *s, const char *name)
{
    struct zone_view wanted = {.has_place = false};

    snprintf(wanted.name, sizeof(wanted.name), "%s", name);
    return RB_FIND(zone_view_tree, &s->zones, &wanted);
}

/* UTC is a zone of zeroes: no file is needed for it. */
static bool is_utc(const struct zone_view *z)
{
    return strcmp(z->name, "UTC") == 0;
}

static struct zone_view *zone_of(struct schedules *s, const char *name)
{
    struct zone_view *z = find_zone(s, name);

    if (z != NULL)
        return z;
    z = mem_zalloc(sizeof(*z));
    snprintf(z->name, sizeof(z->name), "%s", name);
    TAILQ_INIT(&z->in_zone);
    RB_INSERT(zone_view_tree, &s->zones, z);
    z->is_known = is_utc(z);
    if (!z->is_known)
        TAILQ_INSERT_HEAD(&s->to_ask, z, ask_link);
    return z;
}

static void forget_zone(struct schedules *s, struct zone_view *z)
{
    s->zones_read -= z->has_place;
    if (!is_utc(z))
        TAILQ_REMOVE(&s->to_ask, z, ask_link);
    RB_REMOVE(zone_view_tree, &s->zones, z);
    zone_finish(&z->zone);
    mem_free(z);
}

/* False when too many others have one; it may be another time. */
static bool take_place(struct master_core *m, struct zone_view *z)
{
    struct schedules *s = &m->schedules;

    if (!z->has_place && s->zones_read == LIMIT_ZONES) {
        z->is_wrong = true;
        if (!s->zones_full_said)
            core_log(m,
                     MASTER_LOG_WARNING,
                     "schedules have more than %d time zones: jobs with others, as %s, "
                     "are not started by theirs",
                     LIMIT_ZONES,
                     z->name);
        s->zones_full_said = true;
        return false;
    }
    s->zones_read += !z->has_place;
    z->has_place = true;
    return true;
}

static void ask_zone(struct master_core *m)
{
    struct schedules *s = &m->schedules;
    struct zone_view *z = TAILQ_FIRST(&s->to_ask);
    struct master_action *a;

    if (s->asking || z == NULL || z->ask_ms > m->now_ms)
        return;
    TAILQ_REMOVE(&s->to_ask, z, ask_link);
    TAILQ_INSERT_TAIL(&s->to_ask, z, ask_link);
    z->ask_ms = m->now_ms + ZONE_AGAIN_MS;
    if (!take_place(m, z)) {
        m->actions->again = true; /* for the next one */
        return;
    }
    s->asking = true;
    a = core_act(m, MASTER_READ_ZONE);
    snprintf(a->text, sizeof(a->text), "%s", z->name);
}

static void zone_is_wrong(struct master_core *m, struct zone_view *z)
{
    if (z->is_known || z->is_wrong)
        return; /* what was read before is better than nothing */
    z->is_wrong = true;
    core_log(m,
             MASTER_LOG_WARNING,
             "time zone %s is not known here: jobs with it are not started by their "
             "schedules; install tzdata, or give them another zone",
             z->name);
}

void schedules_zone(struct master_core *m, const char *name, struct bytes file)
{
    struct schedules *s = &m->schedules;
    struct hash128 hash = hash128_of(file);
    struct zone_view *z;
    struct slot_view *v;
    struct zone zone;

    if (!m->leading.active || !s->asking)
        return; /* of a leadership that is over */
    s->asking = false;
    z = find_zone(s, name);
    if (z == NULL || is_utc(z) || (z->is_known && hash128_equal(z->file, hash)))
        return; /* nobody needs it any more, or it is as it was */
    if (zone_read(&zone, file, NULL) != 0) {
        zone_is_wrong(m, z);
        return;
    }
    zone_finish(&z->zone);
    z->zone = zone;
    z->file = hash;
    z->is_known = true;
    z->is_wrong = false;
    TAILQ_FOREACH (v, &z->in_zone, zone_link)
        if (v->state == SLOT_NO_ZONE || v->state == SLOT_WAITING)
            change(s, v, SLOT_STALE);
}

/* ---- schedules ---- */

static struct slot_view *find_slot(struct schedules *s, uint64_t job)
{
    struct slot_view wanted = {.job = job};

    return RB_FIND(slot_job_tree, &s->by_job, &wanted);
}

static void forget(struct schedules *s, struct slot_view *v)
{
    leave(s, v);
    RB_REMOVE(slot_job_tree, &s->by_job, v);
    TAILQ_REMOVE(&v->zone->in_zone, v, zone_link);
    if (TAILQ_EMPTY(&v->zone->in_zone))
        forget_zone(s, v->zone);
    mem_free(v);
}

static void add_slot(struct master_core *m, const struct job *j)
{
    struct schedules *s = &m->schedules;
    struct job_spec spec;
    struct slot_view *v;
    struct cron cron;

    if (job_spec_unpack(&spec, j->spec, NULL) != 0)
        return; /* a later version has another opinion of it */
    if (spec.schedule.cron != NULL &&
        cron_parse(&cron, spec.schedule.cron, NULL) == 0) {
        v = mem_zalloc(sizeof(*v));
        v->job = j->id;
        v->cron = cron;
        v->missed = spec.schedule.missed;
        v->forbids = spec.schedule.overlap == OVERLAP_FORBID;
        v->instances = spec.instances;
        v->zone =
            zone_of(s, spec.schedule.timezone != NULL ? spec.schedule.timezone : "UTC");
        TAILQ_INSERT_TAIL(&v->zone->in_zone, v, zone_link);
        RB_INSERT(slot_job_tree, &s->by_job, v);
        enter(s, v, v->zone->is_known ? SLOT_STALE : SLOT_NO_ZONE);
    }
    job_spec_finish(&spec);
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
    } else if (v->state == SLOT_WAITING) {
        change(&m->schedules, v, SLOT_STALE);
    }
}

/* Those that were there before we led. */
static void take_up(struct master_core *m, unsigned *looks)
{
    struct schedules *s = &m->schedules;

    for (; *looks < LOOKS_PER_TURN && s->taken_up != UINT64_MAX;
         *looks += SCHEDULE_LOOKS) {
        struct job after = {.id = s->taken_up + 1};
        struct job_template key = {.job = &after},
                            *t = RB_NFIND(template_tree, &m->state->templates, &key);

        s->taken_up = t != NULL ? t->job->id : UINT64_MAX;
        if (t != NULL && find_slot(s, t->job->id) == NULL)
            add_slot(m, t->job);
    }
}

/* The next slots, from what the state says. */
static void compute(struct master_core *m, unsigned *looks)
{
    struct schedules *s = &m->schedules;
    struct slot_view *v;

    for (; *looks < LOOKS_PER_TURN && (v = TAILQ_FIRST(&s->stale)) != NULL;
         *looks += SCHEDULE_LOOKS) {
        const struct job_template *t = state_job(m->state, v->job)->made;
        uint64_t from_us = t->last_us;

#ifdef MUTANT_SLOTS_FROM_NOW
        from_us = m->leading.time_us;
#endif
        v->next = slot_after(&v->cron, &v->zone->zone, (int64_t)(from_us / SECOND_US));
        change(s, v, SLOT_WAITING);
    }
}

/* ---- what is due ---- */

/* Slots that were missed, as far as they are walked. */
struct missed {
    int64_t last;   /* of them */
    uint64_t count; /* with the last */
    bool more;      /* it is not the last one of all */
};

static struct missed walk_missed(const struct slot_view *v,
                                 int64_t late_until,
                                 uint64_t most,
                                 unsigned *looks)
{
    struct missed m = {.last = v->next, .count = 1};

    for (;; m.count++) {
        int64_t next = slot_after(&v->cron, &v->zone->zone, m.last);

        ++*looks;
        m.more = next <= late_until;
        if (!m.more || m.count == most)
            return m;
        m.last = next;
    }
}

/* Of those that `run_all` makes up for, the last ones; how many come before them. */
static uint64_t too_many(const struct slot_view *v, int64_t late_until, unsigned *looks)
{
    uint64_t count = walk_missed(v, late_until, LOOKS_AT_ONCE, looks).count;

#ifdef MUTANT_MADE_UP_ONE_MORE
    return count > LIMIT_SLOTS_MADE_UP + 1 ? count - LIMIT_SLOTS_MADE_UP - 1 : 0;
#endif
    return count > LIMIT_SLOTS_MADE_UP ? count - LIMIT_SLOTS_MADE_UP : 0;
}

/* What becomes of the next slot, and of those behind it if they were missed. */
static struct command decide(const struct slot_view *v, int64_t now, unsigned *looks)
{
    struct command c = {.kind = COMMAND_FIRE, .fire = {.job = v->job, .make = true}};
    int64_t late_until = now - LIMIT_SLOT_LATE_MS / 1000 - 1;
    struct missed missed = {.last = v->next, .count = 1};
    uint64_t before;

    if (v->next <= late_until && v->missed != MISSED_RUN_ALL) {
        missed = walk_missed(v, late_until, LOOKS_AT_ONCE, looks);
        c.fire.make = v->missed == MISSED_RUN_LAST && !missed.more;
    } else if (v->next <= late_until) {
        before = too_many(v, late_until, looks);
        if (before > 0) {
            missed = walk_missed(v, late_until, before, looks);
            c.fire.make = false;
        }
    }
    c.fire.slot_us = (uint64_t)missed.last * SECOND_US;
    c.fire.missed = missed.count - c.fire.make;
    return c;
}

/* What is refused is an entry of the log for nothing. */
static bool has_room(const struct master_core *m, const struct slot_view *v)
{
    const struct schedules *s = &m->schedules;
    const struct job *last =
        state_job(m->state, state_job(m->state, v->job)->made->child);

    if (v->forbids && last != NULL && !job_state_is_final(job_state(last)))
        return true; /* none is made */
    return m->state->job_count + s->jobs_flying < LIMIT_JOBS &&
           m->state->task_count + s->tasks_flying + v->instances <= LIMIT_TASKS;
}

static void wait_for_room(struct master_core *m, struct slot_view *v)
{
    v->again_ms = m->now_ms + ROOM_AGAIN_MS;
    change(&m->schedules, v, SLOT_NO_ROOM);
}

static void
fire(struct master_core *m, struct slot_view *v, int64_t now, unsigned *looks)
{
    struct command command = decide(v, now, looks);

    if (command.fire.make && !has_room(m, v)) {
        wait_for_room(m, v);
        return;
    }
    change(&m->schedules, v, SLOT_FLYING);
    propose(m, &command, &(struct origin){.kind = ORIGIN_FIRE, .agent = v->job});
}

static void fire_due(struct master_core *m, unsigned *looks)
{
    struct schedules *s = &m->schedules;
    int64_t now = (int64_t)(m->leading.time_us / SECOND_US);

    for (unsigned n = 0;
         n < FIRES_PER_TURN && *looks < LOOKS_PER_TURN && propose_has_room(m);
         n++, *looks += SCHEDULE_LOOKS) {
        struct slot_view *v = RB_MIN(slot_time_tree, &s->by_time);

        if (v == NULL || v->next > now)
            return;
        fire(m, v, now, looks);
    }
}

static void try_again(struct master_core *m, unsigned *looks)
{
    struct schedules *s = &m->schedules;
    struct slot_view *v;

    for (; *looks < LOOKS_PER_TURN && (v = TAILQ_FIRST(&s->no_room)) != NULL &&
           v->again_ms <= m->now_ms;
         *looks += SCHEDULE_LOOKS)
        change(s, v, SLOT_STALE);
}

void schedules_turn(struct master_core *m)
{
    unsigned looks = 0;

    take_up(m, &looks);
    try_again(m, &looks);
    compute(m, &looks);
    fire_due(m, &looks);
    ask_zone(m);
    if (looks >= LOOKS_PER_TURN)
        m->actions->again = true;
}

void schedules_fired(struct master_core *m, uint64_t job, const struct result *r)
{
    struct slot_view *v = find_slot(&m->schedules, job);

    m->counters.slots_fired += r->code == ERROR_NONE && r->id != 0;
    if (v == NULL)
        return; /* it was killed */
    if (r->code == ERROR_NONE)
        change(&m->schedules, v, SLOT_STALE);
    else
        wait_for_room(m, v); /* that there was when it was proposed */
}

/* ---- begin, end, and what users see ---- */

void schedules_begin(struct master_core *m)
{
    struct schedules *s = &m->schedules;

    schedules_end(m);
    TAILQ_INIT(&s->stale);
    TAILQ_INIT(&s->no_room);
    TAILQ_INIT(&s->to_ask);
    m->actions->again = true; /* to take up what there is */
}

void schedules_end(struct master_core *m)
{
    struct schedules *s = &m->schedules;
    struct slot_view *v;

    while ((v = RB_MIN(slot_job_tree, &s->by_job)) != NULL)
        forget(s, v); /* and the zones with the last of theirs */
    *s = (struct schedules){.asking = false};
}

/* When the next slot is, or what it waits for. */
static void say_next(const struct slot_view *v, char *text, size_t size)
{
    const struct zone_view *z;
    char at[TEXT_TIME_MAX];

    if (v == NULL) {
        snprintf(text, size, "the leader has not come to it yet");
        return;
    }
    z = v->zone;
    switch (v->state) {
    case SLOT_NO_ZONE:
        if (z->is_wrong && z->has_place)
            snprintf(text,
                     size,
                     "its time zone is not known to the leader: install tzdata there");
        else if (z->is_wrong)
            snprintf(text,
                     size,
                     "its time zone is not read: there are %d others",
                     LIMIT_ZONES);
        else
            snprintf(text, size, "its time zone is being read");
        break;
    case SLOT_STALE:
        snprintf(text, size, "its next slot is being computed");
        break;
    case SLOT_WAITING:
        text_time(at, v->next == ZONE_NEVER ? 0 : (uint64_t)v->next * SECOND_US);
        snprintf(text,
                 size,
                 v->next == ZONE_NEVER ? "there is no next slot" : "next at %.19sZ",
                 at);
        break;
    case SLOT_FLYING:
        snprintf(text, size, "starting now");
        break;
    case SLOT_NO_ROOM:
        snprintf(text, size, "waits for room for one more job");
        break;
    }
}

#define SLOTS_PLANNED 3 /* that a plan tells */

/* "its jobs start at 2026-11-27T02:00:00Z, …"; as the zone is known now. */
static void say_slots(const struct cron *cron,
                      const struct zone *zone,
                      uint64_t now_us,
                      char *why,
                      size_t size)
{
    int64_t at = slot_after(cron, zone, (int64_t)(now_us / SECOND_US));
    size_t used = 0;

    for (int i = 0; i < SLOTS_PLANNED && at != ZONE_NEVER && used < size; i++) {
        char text[TEXT_TIME_MAX];

        text_time(text, (uint64_t)at * SECOND_US);
        used += (size_t)snprintf(why + used,
                                 size - used,
                                 "%s%.19sZ",
                                 i == 0 ? "jobs are made of it at " : ", ",
                                 text);
        at = slot_after(cron, zone, at);
    }
}

void schedules_say_planned(
    struct master_core *m, const struct job *j, uint64_t now_us, char *why, size_t size)
{
    static const struct zone UTC;
    struct job_spec spec;
    struct cron cron;

    if (j->made->is_dispatched) {
        snprintf(why, size, "jobs are made of it by `triarch dispatch`");
        return;
    }
    if (job_spec_unpack(&spec, j->spec, NULL) != 0)
        return; /* a later version has another opinion of it */
    if (cron_parse(&cron, spec.schedule.cron, NULL) == 0) {
        const char *name = spec.schedule.timezone;
        struct zone_view *z = name == NULL ? NULL : find_zone(&m->schedules, name);

        if (name == NULL || (z != NULL && z->is_known))
            say_slots(&cron, z == NULL ? &UTC : &z->zone, now_us, why, size);
        else
            snprintf(why, size, "jobs are made of it by the clocks of %s", name);
    }
    job_spec_finish(&spec);
}

void schedules_say(struct master_core *m, const struct job *j, char *why, size_t size)
{
    const struct job_template *t = j->made;
    char next[100], last[48] = "";

    if (t->is_dispatched) {
        snprintf(why,
                 size,
                 "a job is made of it by `triarch dispatch`; %llu so far",
                 (unsigned long long)t->fired);
        return;
    }
    say_next(find_slot(&m->schedules, j->id), next, sizeof(next));
    if (t->child != 0)
        snprintf(
            last, sizeof(last), ", the last as job %llu", (unsigned long long)t->child);
    snprintf(why,
             size,
             "%s; %llu started%s, %llu missed, %llu skipped",
             next,
             (unsigned long long)t->fired,
             last,
             (unsigned long long)t->missed,
             (unsigned long long)t->skipped);
}
