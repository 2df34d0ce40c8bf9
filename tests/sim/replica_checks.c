/* replica_checks.c - what must hold: at each step, and at the end. */
#include "replica_group.h"

void check_applied(
    struct sim *s, unsigned number, uint64_t index, uint64_t term, uint64_t hash)
{
    if (index >= INDEX_MAX) {
        world_fail(&s->world, "the simulation is too long for its tables");
        return;
    }
    if (s->hashes[index] == 0) {
        s->hashes[index] = hash;
        s->terms[index] = term;
    } else if (s->hashes[index] != hash || s->terms[index] != term) {
        world_fail(&s->world,
                   "master %u DIVERGED at index %llu: term %llu, others %llu",
                   number + 1,
                   (unsigned long long)index,
                   (unsigned long long)term,
                   (unsigned long long)s->terms[index]);
    }
}

void check_new_leader(struct master *m, uint64_t term)
{
    struct sim *s = m->sim;

    if (term >= TERMS_MAX) {
        world_fail(&s->world, "terms run away: %llu", (unsigned long long)term);
        return;
    }
    if (s->leaders[term] != 0 && s->leaders[term] != m->number + 1)
        world_fail(&s->world,
                   "TWO LEADERS in term %llu: masters %u and %u",
                   (unsigned long long)term,
                   s->leaders[term],
                   m->number + 1);
    s->leaders[term] = (uint8_t)(m->number + 1);
    for (uint64_t i = 1; i <= s->highest_committed; i++)
        if (i > replica_snapshot_index(m->replica) && s->terms[i] != 0 &&
            s->commit_terms[i] < term &&
            replica_entry_term(m->replica, i) != s->terms[i]) {
            world_fail(&s->world,
                       "INCOMPLETE LEADER %u of term %llu lacks committed entry %llu",
                       m->number + 1,
                       (unsigned long long)term,
                       (unsigned long long)i);
            return;
        }
}

void check_commit(struct master *m)
{
    struct sim *s = m->sim;
    uint64_t commit = replica_commit_index(m->replica);
    uint64_t applied = replica_applied_index(m->replica);

    if (commit < m->commit || applied < m->applied)
        world_fail(
            &s->world, "master %u: commit or applied index goes back", m->number + 1);
    if (replica_role(m->replica) == REPLICA_LEADER)
        for (uint64_t i = m->commit + 1; i <= commit && i < INDEX_MAX; i++) {
            uint64_t term = replica_entry_term(m->replica, i);
            unsigned on = 0;

            for (unsigned j = 0; j < s->masters; j++) {
                uint64_t held = sim_store_holds(&s->master[j].store, i);

                on += held == UINT64_MAX || (held != 0 && held == term);
            }
            if (on <= s->masters / 2)
                world_fail(&s->world,
                           "leader %u commits %llu while %u of %u disks hold it",
                           m->number + 1,
                           (unsigned long long)i,
                           on,
                           s->masters);
            if (s->commit_terms[i] == 0)
                s->commit_terms[i] = replica_term(m->replica);
            s->stats.commits++;
        }
    if (replica_role(m->replica) == REPLICA_LEADER && commit > s->highest_committed)
        s->highest_committed = commit;
    m->commit = commit;
    m->applied = applied;
}

void check_end(struct sim *s, uint64_t commits_before)
{
    uint64_t highest = 0;

    if (s->world.failed)
        return;
    if (s->stats.commits <= commits_before)
        world_fail(&s->world, "STUCK: nothing commits although everything is healed");
    for (unsigned i = 0; i < s->masters; i++)
        if (replica_applied_index(s->master[i].replica) > highest)
            highest = replica_applied_index(s->master[i].replica);
    for (unsigned i = 0; i < s->masters; i++)
        if (replica_applied_index(s->master[i].replica) + 200 < highest)
            world_fail(&s->world,
                       "LAGGING: master %u applied %llu, another %llu",
                       i + 1,
                       (unsigned long long)replica_applied_index(s->master[i].replica),
                       (unsigned long long)highest);
}
