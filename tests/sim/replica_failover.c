/* replica_failover.c - how long a dead leader is missed. */
#include "replica_group.h"

#include <stdio.h>
#include <stdlib.h>

#define KILLS_MAX 500 /* their entries fit the tables */

static void constant_load(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct sim *s = context;

    for (unsigned i = 0; i < s->masters && !w->failed; i++) {
        struct master *m = &s->master[i];

        if (m->alive && !master_paused(m) && replica_role(m->replica) == REPLICA_LEADER)
            submit_one(m);
    }
    world_in(w, 1 * MS, constant_load, s, a, b);
}

static struct master *settled_leader(struct sim *s)
{
    struct master *leader = NULL;

    for (unsigned i = 0; i < s->masters; i++) {
        struct master *m = &s->master[i];

        if (!m->alive)
            return NULL;
        if (replica_leads(m->replica))
            leader = m;
        for (unsigned j = 0; j < s->masters; j++)
            if (j != i && m->links[j] == NULL)
                return NULL;
    }
    for (unsigned i = 0; i < s->masters && leader != NULL; i++)
        if (replica_leader(s->master[i].replica) != leader->number + 1 ||
            replica_applied_index(s->master[i].replica) + 500 <
                replica_last_index(leader->replica))
            return NULL;
    return leader;
}

static uint64_t kill_and_wait(struct sim *s, unsigned stall_percent)
{
    struct world *w = &s->world;
    struct master *leader;
    uint64_t killed_us;

    world_run(w, w->now_us + pick(w, 100 * MS, 300 * MS));
    while (!w->failed && (leader = settled_leader(s)) == NULL)
        world_run(w, w->now_us + 1 * MS);
    if (w->failed)
        return 0;
    for (unsigned i = 0; i < s->masters; i++)
        if (&s->master[i] != leader && chance(w, stall_percent))
            master_pause(&s->master[i], pick(w, 1 * MS, 25 * MS));
    killed_us = w->now_us;
    master_crash(leader, 300 * MS);
    while (!w->failed && s->leading_us <= killed_us)
        world_run(w, w->now_us + 100);
    return s->leading_us - killed_us;
}

static int compare_times(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

struct failover {
    unsigned masters;
    uint64_t sync_us;       /* of a commit, at least; half as much again at most */
    unsigned stall_percent; /* of the others stand still for up to 25 ms just then */
    uint64_t most_ms;       /* 99 of 100 */
};

/* What the old leader sent last, two votes and one more entry: these syncs, one after the other,
 * are what it takes.  Terms that nobody won would show on slow disks. */
static const struct failover FAILOVERS[] = {
    {3, 500, 0, 40},
    {3, 1000, 20, 45},
    {3, 4000, 20, 65},
    {3, 16000, 0, 150},
    {3, 40000, 0, 350},
    {5, 1000, 20, 45},
    {5, 16000, 20, 150},
};

static uint64_t highest_term(const struct sim *s)
{
    uint64_t term = TERMS_MAX - 1;

    while (term > 0 && s->leaders[term] == 0)
        term--;
    return term;
}

static bool failover_is_quick(const struct failover *f, uint64_t seed, uint64_t kills)
{
    uint64_t times[KILLS_MAX] = {0};
    struct sim s = {0};
    bool good;

    group_setup(&s, seed, 0, f->masters);
    s.net.half_open_percent = 0;
    for (unsigned i = 0; i < s.masters; i++) {
        s.master[i].store.latency_us = f->sync_us;
        for (unsigned j = 0; j < s.masters; j++)
            s.net.delay_us[i][j] = 100;
    }
    world_in(&s.world, 0, constant_load, &s, 0, 0);
    for (uint64_t i = 0; i < kills && !s.world.failed; i++)
        times[i] = kill_and_wait(&s, f->stall_percent);
    qsort(times, kills, sizeof(*times), compare_times);
    good = !s.world.failed && times[kills * 99 / 100] <= f->most_ms * MS;
    printf(
        "%s %u masters, sync %4.1f ms, stalls %2u %%: p50 %.1f, p90 %.1f, p99 %.1f (at "
        "most %llu), max %.1f ms; %.2f terms a kill%s%s\n",
        good ? "ok  " : "SLOW",
        s.masters,
        (double)f->sync_us / 1000,
        f->stall_percent,
        (double)times[kills / 2] / 1000,
        (double)times[kills * 90 / 100] / 1000,
        (double)times[kills * 99 / 100] / 1000,
        (unsigned long long)f->most_ms,
        (double)times[kills - 1] / 1000,
        (double)highest_term(&s) / (double)kills,
        s.world.failed ? ": " : "",
        s.world.why);
    group_teardown(&s);
    return good;
}

int failovers(uint64_t seed, uint64_t kills)
{
    const unsigned n = sizeof(FAILOVERS) / sizeof(*FAILOVERS);
    unsigned good = 0;

    if (kills == 0 || kills > KILLS_MAX)
        return 2;
    for (unsigned i = 0; i < n; i++)
        good += failover_is_quick(&FAILOVERS[i], seed, kills);
    printf("%u passed, %u failed\n", good, n - good);
    return good < n;
}
