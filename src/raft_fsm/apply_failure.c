/* apply_failure.c - what went wrong is written down, and how long what went well took
 * (docs/spec/13-failures-and-estimates.md).
 *
 * Nothing of it is done by entries of version 1, which were written before there was any;
 * what was written down is closed by any entry. */
#include "raft_fsm/apply.h"

#include "base/limits.h"
#include "base/mem.h"
#include "wire/job.h"

#ifdef MUTANT_OLD_ENTRIES_WRITE_FAILURES
#define RULES_OF_FAILURES 1
#else
#define RULES_OF_FAILURES 2 /* version of an entry */
#endif

/* ---- records and sums ---- */

static struct failure_sum *sum_of(struct state *s, const struct failure *f)
{
    return &s->failures.sums[f->of_agent][f->reason];
}

static void count(struct apply *a, const struct failure *f)
{
    struct failure_sum *sum = sum_of(a->state, f);

    if (sum->count == 0) {
        sum->of_agent = f->of_agent;
        sum->reason = f->reason;
        sum->count = 1;
        state_add(a->state, object_failure_sum(sum));
        return;
    }
    state_edit(a->state, object_failure_sum(sum));
    sum->count++;
    state_edited(a->state, object_failure_sum(sum));
}

/* Far beyond any clock. */
static uint64_t add_up(uint64_t a, uint64_t b)
{
    return b < UINT64_MAX - a ? a + b : UINT64_MAX;
}

static void count_recovery(struct apply *a, const struct failure *f)
{
    struct failure_sum *sum = sum_of(a->state, f);
    uint64_t took_us = f->recovered_us - f->down_us;

    state_edit(a->state, object_failure_sum(sum));
    sum->recovered++;
    sum->recovery_us = add_up(sum->recovery_us, took_us);
    if (took_us > sum->longest_us)
        sum->longest_us = took_us;
    state_edited(a->state, object_failure_sum(sum));
}

static void make_room(struct apply *a)
{
    struct failures *l = &a->state->failures;
    struct failure *oldest = state_failure(a->state, l->first);

    if (l->last < l->first + LIMIT_FAILURES - 1 || oldest == NULL)
        return;
    failure_detach(a->state, oldest);
    state_remove(a->state, object_failure(oldest));
}

static void add(struct apply *a, const struct failure *what)
{
    struct failure *f;

    make_room(a);
    f = mem_dup(what, sizeof(*what));
    f->id = a->state->failures.last + 1;
    f->stamp_us = a->stamp_us;
    if (f->down_us == 0)
        f->down_us = a->stamp_us;
    state_add(a->state, object_failure(f));
    failure_attach(a->state, f);
    count(a, f);
}

static void close_as(struct apply *a, struct failure *f, enum failure_state state)
{
    failure_detach(a->state, f);
    state_edit(a->state, object_failure(f));
    f->state = (uint8_t)state;
    state_edited(a->state, object_failure(f));
}

static void recover(struct apply *a, struct failure *f, uint64_t next_agent)
{
    failure_detach(a->state, f);
    state_edit(a->state, object_failure(f));
    f->state = FAILURE_IS_RECOVERED;
    f->recovered_us = a->stamp_us;
    f->next_agent = next_agent;
    state_edited(a->state, object_failure(f));
    count_recovery(a, f);
}

/* ---- tasks ---- */

static struct failure *open_of(const struct apply *a, const struct task *t)
{
    return state_failure(a->state, task_failure(t));
}

static enum failure_deed deed_of(const struct task *t, enum task_state ended)
{
    if (t->state != TASK_PENDING)
        return FAILURE_ENDED;
    return ended == TASK_FAILED || ended == TASK_ERROR ? FAILURE_RETRIED
                                                       : FAILURE_RESTARTED;
}

void failure_of_task(struct apply *a,
                     const struct attempt *attempt,
                     const struct task *t,
                     enum task_state ended)
{
    struct failure *before = open_of(a, t);
    struct failure f = {
        .down_us = before == NULL ? 0 : before->down_us,
        .job = attempt->job->id,
        .agent = attempt->agent->id,
        .instance = attempt->instance,
        .attempt = attempt->number,
        .exit_code = t->exit_code,
        .reason = t->reason,
        .task_state = (uint8_t)ended,
        .deed = (uint8_t)deed_of(t, ended),
    };

    f.state = f.deed == FAILURE_ENDED ? FAILURE_IS_OVER : FAILURE_IS_OPEN;
    if (task_waits(t))
        f.retry_us = t->extras->retry_us;
    if (before != NULL)
        close_as(a, before, FAILURE_IS_AGAIN);
    if (a->version >= RULES_OF_FAILURES)
        add(a, &f);
}

void failure_recovered(struct apply *a,
                       const struct attempt *attempt,
                       const struct task *t)
{
    struct failure *f = open_of(a, t);

#ifdef MUTANT_FAILURE_STAYS_OPEN
    f = NULL;
#endif
    if (f != NULL && attempt->job->kill_index == 0)
        recover(a, f, attempt->agent->id);
}

void failure_over(struct apply *a, const struct task *t)
{
    struct failure *f = open_of(a, t);

    if (f != NULL)
        close_as(a, f, FAILURE_IS_OVER);
}

void failure_reclaimed(struct apply *a, const struct task *t)
{
    struct failure *f = open_of(a, t);

    if (f == NULL)
        return;
    state_edit(a->state, object_failure(f));
    f->deed = FAILURE_RECLAIMED;
    state_edited(a->state, object_failure(f));
}

/* ---- agents ---- */

void failure_of_agent(struct apply *a,
                      const struct agent *agent,
                      enum task_reason reason,
                      uint32_t moved)
{
    struct failure *before = state_failure(a->state, agent->failure);
    bool comes_back = reason == TASK_REASON_AGENT_UNREACHABLE;
    struct failure f = {
        .agent = agent->id,
        .moved = moved,
        .of_agent = true,
        .reason = (uint8_t)reason,
        .task_state = TASK_LOST,
        .deed = FAILURE_MOVED,
        .state = comes_back ? FAILURE_IS_OPEN : FAILURE_IS_OVER,
    };

    if (before != NULL)
        close_as(a, before, FAILURE_IS_OVER);
    if (a->version >= RULES_OF_FAILURES)
        add(a, &f);
}

void failure_agent_moves(struct apply *a, const struct agent *agent)
{
    struct failure *f = state_failure(a->state, agent->failure);

    if (f == NULL)
        return;
    state_edit(a->state, object_failure(f));
    f->moved++;
    state_edited(a->state, object_failure(f));
}

void failure_agent_returned(struct apply *a, const struct agent *agent)
{
    struct failure *f = state_failure(a->state, agent->failure);

    if (f != NULL)
        recover(a, f, 0);
}

/* ---- histories ---- */

static uint32_t free_history(struct state *s)
{
    struct history *oldest;
    uint32_t id;

    if (s->history_count < LIMIT_HISTORIES)
        return (uint32_t)s->history_count;
    oldest = state_history_oldest(s);
    id = oldest->id;
    state_remove(s, object_history(oldest));
    return id;
}

static void use(struct apply *a, struct history *h)
{
    if (a->stamp_us - h->used_us >= HISTORY_USE_US)
        h->used_us = a->stamp_us;
}

void history_of_run(struct apply *a, struct job *j, uint64_t us)
{
    struct history *h;

    if (a->version < RULES_OF_FAILURES)
        return;
    h = state_history_of(a->state, j);
    if (h != NULL) {
        state_edit(a->state, object_history(h));
        history_finished(h, us / 1000);
        use(a, h);
        state_edited(a->state, object_history(h));
    } else {
        h = history_create(j->owner->role->name, job_spec_name(j->spec));
        h->id = free_history(a->state);
        h->used_us = a->stamp_us;
        history_finished(h, us / 1000);
        state_add(a->state, object_history(h));
    }
    if (j->owner->role->spec.order == ROLE_SRTF)
        job_predict(j, h);
}

void history_of_loss(struct apply *a, const struct job *j, uint64_t us)
{
    struct history *h;

    if (a->version < RULES_OF_FAILURES)
        return;
    h = state_history_of(a->state, j);
    if (h == NULL)
        return;
    state_edit(a->state, object_history(h));
    history_lost(h, us / 1000);
    use(a, h);
    state_edited(a->state, object_history(h));
}

/* ---- what is expected ---- */

void job_predict(struct job *j, const struct history *h)
{
    uint64_t ms = h == NULL ? 0 : history_predict_ms(h);

    if (ms == 0 || j->expected_from == EXPECTED_OF_JOB)
        return;
    j->expected_ms = ms;
    j->expected_from = EXPECTED_OF_HISTORY;
}

void job_expect(const struct apply *a, struct job *j, const struct job_spec *spec)
{
    j->expected_ms = spec->estimate_ms;
    j->expected_from = j->expected_ms != 0 ? EXPECTED_OF_JOB : EXPECTED_OF_ROLE;
    if (a->version < RULES_OF_FAILURES || j->expected_ms != 0)
        return;
    job_predict(j, state_history_of(a->state, j));
    if (j->expected_ms != 0 || spec->max_runtime_ms == 0)
        return;
    j->expected_ms = spec->max_runtime_ms;
    j->expected_from = EXPECTED_OF_MAX_RUNTIME;
}
