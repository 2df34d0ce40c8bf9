/* apply_key.c - purge and expire_keys: how a key outlives its job (joint 8). */
#include "raft_fsm/apply.h"

#include "base/limits.h"

#define TOMBSTONE_US (LIMIT_TOMBSTONE_HOURS * 3600ull * 1000000)

static void tombstone_add(struct apply *a, const struct job *j)
{
    struct tombstone *t = tombstone_create(j->key);

    t->body = job_said(j);
    t->job_id = j->id;
    t->submit_index = j->submit_index;
    t->purged_us = a->stamp_us;
    state_add(a->state, object_tombstone(t));
}

struct result apply_purge(struct apply *a, const struct command *c)
{
    struct job *j = state_job(a->state, c->purge.job);
    bool is_to_remember; /* nobody can send a key of the masters again */

    if (j == NULL)
        return result_rejected(ERROR_NOT_FOUND);
    if (!job_state_is_final(job_state(j)))
        return result_rejected(ERROR_INVALID);
    is_to_remember = !key_is_of_masters(j->key);
    if (j->attempts > 0 || (j->links != NULL && j->links->is_ending) ||
        (is_to_remember && a->state->tombstone_count >= LIMIT_TOMBSTONES))
        return result_rejected(ERROR_BUSY);
    a->work += j->touched / TASK_CHUNK;
#ifndef MUTANT_PURGE_FORGETS_KEY
    if (is_to_remember)
        tombstone_add(a, j);
#endif
    state_remove(a->state, object_job(j));
    return result_done(a, c->purge.job);
}

struct result apply_expire_keys(struct apply *a, const struct command *c)
{
    struct tombstone_age_tree *tree = &a->state->tombstones_by_age;
    struct tombstone *t, *next;
    uint64_t count = 0;

    RB_FOREACH_SAFE (t, tombstone_age_tree, tree, next) {
        if (t->purged_us >= c->expire_keys.before_us ||
            t->purged_us + TOMBSTONE_US > a->stamp_us || count == LIMIT_EXPIRED_KEYS)
            break;
        state_remove(a->state, object_tombstone(t));
        count++;
    }
    a->work += count;
    return result_done(a, count);
}
