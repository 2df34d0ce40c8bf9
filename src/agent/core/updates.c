/* updates.c - what the leader must still be told.
 *
 * A run is in one queue while its state is not acknowledged:
 *
 *   delayed   it just changed to a state that may not last; for UPDATE_DELAY_MS
 *   due       goes out with the next tick, many in a frame
 *   sent      goes out again after UPDATE_RESEND_MS, or at once to a new leader
 *
 * Only the newest state of a run is sent: a task that starts and ends in a moment is
 * one update. No update rests on a record which is not durable yet: until then the run is
 * told as it was before.
 */
#include "agent/core/core_internal.h"
#include "base/mem.h"

#include <string.h>

static struct run_queue *queue_of(struct agent_core *core, enum update_place place)
{
    switch (place) {
    case UPDATE_DELAYED:
        return &core->delayed;
    case UPDATE_DUE:
        return &core->due;
    case UPDATE_SENT:
        return &core->sent;
    case UPDATE_NONE:
        break;
    }
    return NULL;
}

static void
move(struct agent_core *core, struct run *r, enum update_place place, uint64_t wait_ms)
{
    if (r->place != UPDATE_NONE)
        TAILQ_REMOVE(queue_of(core, r->place), r, update);
    r->place = (uint8_t)place;
    r->place_ms = core->now_ms + wait_ms;
    if (place != UPDATE_NONE)
        TAILQ_INSERT_TAIL(queue_of(core, place), r, update);
}

void updates_init(struct agent_core *core)
{
    TAILQ_INIT(&core->delayed);
    TAILQ_INIT(&core->due);
    TAILQ_INIT(&core->sent);
}

void updates_changed(struct agent_core *core, struct run *r)
{
    if (r->is_waiting)
        return;
    if (task_state_is_final(r->state))
        move(core, r, UPDATE_DUE, 0);
    else
        move(core, r, UPDATE_DELAYED, UPDATE_DELAY_MS);
}

/* Not more often than each UPDATE_CHANGE_MS.  A queue that it is in already tells it. */
void updates_touched(struct agent_core *core, struct run *r)
{
    uint64_t at_ms = core->now_ms + UPDATE_DELAY_MS;

    if (r->is_waiting || r->place == UPDATE_DELAYED || r->place == UPDATE_DUE)
        return;
    if (r->told_ms + UPDATE_CHANGE_MS > at_ms)
        at_ms = r->told_ms + UPDATE_CHANGE_MS;
    if (at_ms < r->tell_ms)
        r->tell_ms = at_ms;
}

void updates_due(struct agent_core *core, struct run *r)
{
    if (r->is_waiting)
        r->tell_ms = core->now_ms + UPDATE_DELAY_MS;
    else
        move(core, r, UPDATE_DUE, 0);
}

void updates_drop(struct agent_core *core, struct run *r)
{
    r->tell_ms = NEVER;
    move(core, r, UPDATE_NONE, 0);
}

void updates_restart(struct agent_core *core)
{
    struct run *r;

    while ((r = TAILQ_FIRST(&core->sent)) != NULL)
        move(core, r, UPDATE_DUE, 0);
}

static void fill(struct agent_core *core, struct run *r, struct run_report *out)
{
    *out = (struct run_report){
        .attempt = r->attempt,
        .state = r->is_waiting ? r->shown : r->state,
        .reason = r->reason,
        .exit_code = r->exit_code,
        .health = r->health,
        .restarts = r->restarts,
    };
#ifdef MUTANT_TOLD_BEFORE_RECORD
    out->state = r->state;
#endif
    r->told_ms = core->now_ms;
    if (r->message != NULL)
        out->message = (struct bytes){(const uint8_t *)r->message, strlen(r->message)};
}

static void send_due(struct agent_core *core)
{
    struct run_report *reports = mem_alloc(LIMIT_UPDATES * sizeof(*reports));
    struct run *r;

    while (!TAILQ_EMPTY(&core->due)) {
        size_t offset = core->out->bytes.size;
        uint32_t count = 0;

        while (count < LIMIT_UPDATES && (r = TAILQ_FIRST(&core->due)) != NULL) {
            fill(core, r, &reports[count++]);
            move(core, r, UPDATE_SENT, UPDATE_RESEND_MS);
        }
        update_pack(core->agent, reports, count, &core->out->bytes);
        agent_actions_send(core->out, core->leader.session, offset);
        core->updates_sent += count;
    }
    mem_free(reports);
}

static void move_due(struct agent_core *core, struct run_queue *queue)
{
    struct run *r;

    while ((r = TAILQ_FIRST(queue)) != NULL && r->place_ms <= core->now_ms)
        move(core, r, UPDATE_DUE, 0);
}

void updates_tick(struct agent_core *core)
{
    if (core->leader.phase != LEADER_REGISTERED)
        return;
    move_due(core, &core->delayed);
    move_due(core, &core->sent);
    if (!TAILQ_EMPTY(&core->due))
        send_due(core);
}

uint64_t updates_deadline(const struct agent_core *core)
{
    const struct run_queue *queues[] = {&core->delayed, &core->due, &core->sent};
    uint64_t deadline = NEVER;

    if (core->leader.phase != LEADER_REGISTERED)
        return NEVER;
    for (size_t i = 0; i < sizeof(queues) / sizeof(queues[0]); i++) {
        const struct run *r = TAILQ_FIRST(queues[i]);

        if (r != NULL && r->place_ms < deadline)
            deadline = r->place_ms;
    }
    return deadline;
}

/* One part of the list, from *next on.  It counts as an update of what is in it. */
static uint32_t
fill_part(struct agent_core *core, struct run_report *reports, struct run **next)
{
    uint32_t count = 0;

    while (*next != NULL && count < LIMIT_UPDATES) {
        struct run *r = *next;

        fill(core, r, &reports[count++]);
        if (r->place != UPDATE_NONE)
            move(core, r, UPDATE_SENT, UPDATE_RESEND_MS);
        *next = RB_NEXT(run_tree, &core->runs, r);
    }
    return count;
}

uint32_t updates_tell_all(struct agent_core *core)
{
    uint32_t parts = (core->run_count + LIMIT_UPDATES - 1) / LIMIT_UPDATES;
    struct run_report *reports = mem_alloc(LIMIT_UPDATES * sizeof(*reports));
    struct run *next = RB_MIN(run_tree, &core->runs);

    if (parts == 0)
        parts = 1; /* none is an answer too */
    for (uint32_t part = 0; part < parts; part++) {
        uint32_t count = fill_part(core, reports, &next);
        size_t offset = core->out->bytes.size;

        runs_pack(core->agent,
                  part,
                  parts,
                  reports,
                  count,
                  ++core->last_request,
                  &core->out->bytes);
        agent_actions_send(core->out, core->leader.session, offset);
    }
    mem_free(reports);
    return parts;
}
