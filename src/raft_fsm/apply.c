/* apply.c - entries to commands to handlers: a table. */
#include "raft_fsm/apply.h"

#include "base/assert.h"
#include "raft_fsm/effects.h"

#include <string.h>

/* Stamps grow strictly up to here, far beyond any clock; sums with them fit in 64 bits.
 */
#define STAMP_MAX ((uint64_t)INT64_MAX)

/* What decoding costs: as much as a small command for this many bytes of a spec. */
#define BYTES_PER_WORK 128

static struct result apply_found(struct apply *a, const struct command *c)
{
    struct globals *g = &a->state->globals; /* fsm_apply() has it in an edit */

    if (g->founded)
        return result_rejected(ERROR_CONFLICT);
    g->founded = true;
    memcpy(g->cluster_id, c->found.cluster_id, CLUSTER_ID_BYTES);
    return result_done(a, 0);
}

static apply_handler *const HANDLERS[] = {
    [COMMAND_FOUND] = apply_found,
    [COMMAND_SUBMIT] = apply_submit,
    [COMMAND_KILL] = apply_kill,
    [COMMAND_AGENT_REGISTER] = apply_agent_register,
    [COMMAND_AGENT_REREGISTER] = apply_agent_reregister,
    [COMMAND_AGENT_UNREACHABLE] = apply_agent_unreachable,
    [COMMAND_AGENT_GONE] = apply_agent_gone,
    [COMMAND_PLACE] = apply_place,
    [COMMAND_TASK_UPDATE] = apply_task_update,
    [COMMAND_PURGE] = apply_purge,
    [COMMAND_EXPIRE_KEYS] = apply_expire_keys,
    [COMMAND_AGENT_MODE] = apply_agent_mode,
    [COMMAND_DRAIN_DUE] = apply_drain_due,
    [COMMAND_RETRY] = apply_retry,
    [COMMAND_LAPSE] = apply_lapse,
    [COMMAND_ROLE_SET] = apply_role_set,
    [COMMAND_ROLE_REMOVE] = apply_role_remove,
    [COMMAND_SUBMIT_ALL] = apply_submit_all,
    [COMMAND_RELEASE] = apply_release,
    [COMMAND_FIRE] = apply_fire,
    [COMMAND_DISPATCH] = apply_dispatch,
    [COMMAND_PREEMPT] = apply_preempt,
    [COMMAND_MOVE] = apply_move,
};

struct result result_done(const struct apply *a, uint64_t id)
{
    return (struct result){.id = id, .index = a->state->index};
}

struct result result_rejected(int code)
{
    return (struct result){.code = (enum error_code)code};
}

void apply_effect(struct apply *a, enum effect_kind kind, uint64_t id, uint64_t agent)
{
    outcome_add_effect(a->out, (struct effect){kind, id, agent});
}

enum job_state job_open(struct apply *a, struct job *j)
{
    enum job_state before = job_state(j);

    state_edit(a->state, object_job(j));
    return before;
}

void job_close(struct apply *a, struct job *j, enum job_state before)
{
    enum job_state now = job_state(j);
    bool was_runnable = j->is_runnable, was_whole = j->was_whole;

    if (job_state_is_final(now) && j->ended_us == 0)
        j->ended_us = a->stamp_us;
    state_edited(a->state, object_job(j));
    if (now != before || j->is_runnable != was_runnable || j->was_whole != was_whole)
        apply_effect(a, EFFECT_JOB, j->id, 0);
}

static struct result apply_command(struct apply *a, struct bytes bytes)
{
    struct command c;
    int rc = command_unpack(&c, bytes, NULL);

    if (rc != 0)
        return result_rejected(-rc);
    if (!a->state->globals.founded && c.kind != COMMAND_FOUND)
        return result_rejected(ERROR_UNAVAILABLE);
    return HANDLERS[c.kind](a, &c);
}

/* The leader sends max(wall clock, last stamp + 1); whatever it sends, stamps grow. */
static uint64_t next_stamp(const struct state *s, uint64_t proposed)
{
    uint64_t last = s->globals.last_stamp_us;

    if (proposed <= last)
        proposed = last + 1;
    return proposed < STAMP_MAX ? proposed : STAMP_MAX;
}

size_t fsm_apply(struct state *s,
                 uint64_t index,
                 uint64_t term,
                 struct bytes entry,
                 struct outcome *out)
{
    struct apply a = {.state = s, .out = out};
    struct entry_reader reader;
    struct bytes command;
    size_t count = 0;

    fsm_skip(s, index, term);
    if (entry_open(&reader, entry, NULL) != 0)
        return 0;
    a.version = reader.version;
    a.stamp_us = next_stamp(s, reader.stamp_us);
    state_edit(s, object_globals(s));
    s->globals.last_stamp_us = a.stamp_us;
    for (; entry_next(&reader, &command); count++)
        outcome_add_result(out, apply_command(&a, command));
    release_jobs(&a);
    state_edited(s, object_globals(s));
    return count + entry.size / BYTES_PER_WORK + a.work;
}

void fsm_skip(struct state *s, uint64_t index, uint64_t term)
{
    ASSERT(index == s->index + 1);
    ASSERT(term >= s->term);
    s->index = index;
    s->term = term;
}
