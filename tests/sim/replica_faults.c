/* replica_faults.c - what goes wrong: at the worst moments, and at any. */
#include "replica_group.h"

#include <string.h>

/* ---- faults by state ---- */

static void isolate(struct sim *s, unsigned number, unsigned how)
{
    s->stats.cuts++;
    s->stats.faults++;
    world_note(&s->world, 1, "isolate", number + 1, how, 0);
    for (unsigned i = 0; i < s->masters; i++) {
        if (i == number)
            continue;
        if (how != 1)
            network_cut(&s->net, number, i, true);
        if (how != 2)
            network_cut(&s->net, i, number, true);
    }
}

static void isolate_later(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct master *m = context;

    (void)w;
    if (m->alive && m->incarnation == a && !m->sim->healing)
        isolate(m->sim, m->number, (unsigned)b);
}

void faults_crash_later(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct master *m = context;

    if (m->alive && m->incarnation == a && !m->sim->healing && m->sim->options.crash)
        master_crash(m, pick(w, 1 * MS, b));
}

void faults_elected(struct master *m)
{
    struct sim *s = m->sim;
    struct world *w = &s->world;

    s->stats.elections++;
    if (s->healing)
        return;
    if (chance(w, 25))
        world_in(
            w, pick(w, 0, 150 * MS), isolate_later, m, m->incarnation, pick(w, 0, 2));
    else if (chance(w, 10))
        world_in(
            w, pick(w, 0, 20 * MS), faults_crash_later, m, m->incarnation, 3 * SECOND);
}

void faults_appended(struct master *m)
{
    struct sim *s = m->sim;
    struct world *w = &s->world;

    if (s->healing)
        return;
    if (replica_role(m->replica) == REPLICA_LEADER) {
        if (chance(w, 3))
            isolate(s, m->number, (unsigned)pick(w, 0, 2));
        else if (chance(w, 2))
            world_in(w,
                     pick(w, 0, 30 * MS),
                     faults_crash_later,
                     m,
                     m->incarnation,
                     3 * SECOND);
    } else if (chance(w, 1)) {
        world_in(
            w, pick(w, 0, 5 * MS), faults_crash_later, m, m->incarnation, 3 * SECOND);
    }
}

/* A voter dies while its vote is on the way to the disk, and the candidate is cut off: what was
 * said before it was durable makes a second leader. */
void faults_voted(struct master *m, uint64_t vote)
{
    struct sim *s = m->sim;
    struct world *w = &s->world;
    struct master *candidate = &s->master[vote - 1];

    if (s->healing || vote == m->number + 1 || !chance(w, 8))
        return;
    world_in(w, pick(w, 0, 1 * MS), faults_crash_later, m, m->incarnation, 20 * MS);
    world_in(w,
             pick(w, 1 * MS, 20 * MS),
             isolate_later,
             candidate,
             candidate->incarnation,
             0);
}

/* ---- faults by time ---- */

static void false_hint(struct sim *s, unsigned a)
{
    s->stats.faults++;
    for (unsigned i = 0; i < s->masters; i++)
        if (s->master[a].links[i] != NULL && chance(&s->world, 70))
            network_close(s->master[a].links[i]);
}

void faults_nemesis(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct sim *s = context;
    unsigned x = (unsigned)pick(w, 0, s->masters - 1);
    unsigned y = (unsigned)pick(w, 0, s->masters - 1);
    struct master *m = &s->master[x];

    if (s->healing)
        return;
    if (chance(w, 60)) {
        if (x != y) {
            network_cut(&s->net, x, y, false);
            if (chance(w, 60))
                network_cut(&s->net, y, x, false);
        }
    } else {
        switch (pick(w, 0, 8)) {
        case 0:
        case 1:
            if (x == y)
                break;
            s->stats.cuts++;
            s->stats.faults++;
            network_cut(&s->net, x, y, true);
            if (chance(w, 60))
                network_cut(&s->net, y, x, true);
            break;
        case 2:
            isolate(s, x, (unsigned)pick(w, 0, 2));
            break;
        case 3:
            memset(s->net.cut, 0, sizeof(s->net.cut));
            for (unsigned i = 0; i < s->masters; i++)
                for (unsigned j = 0; j < s->masters; j++)
                    network_cut(&s->net, i, j, false);
            break;
        case 4:
            m->store.latency_us = pick(w, 100, 100 * MS);
            break;
        case 5:
            if (s->options.crash)
                master_crash(m, pick(w, 1 * MS, 4 * SECOND));
            break;
        case 6:
            if (s->options.pause && m->alive)
                master_pause(m, pick(w, 1 * MS, 4 * SECOND));
            break;
        case 7:
            if (x != y)
                s->net.delay_us[x][y] = pick(w, 100, 100 * MS);
            break;
        case 8:
            if (s->options.false_hints && m->alive)
                false_hint(s, x);
            else if (s->options.crash && chance(w, 20))
                for (unsigned i = 0; i < s->masters; i++)
                    master_crash(&s->master[i], pick(w, 1 * MS, 2 * SECOND));
            break;
        }
    }
    world_in(w, pick(w, 20 * MS, 900 * MS), faults_nemesis, s, a, b);
}
