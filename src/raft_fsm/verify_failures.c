/* verify_failures.c - what must hold of failures and histories, from scratch. */
#include "raft_fsm/verify.h"

#include "base/limits.h"
#include "base/text.h"
#include "wire/role.h"

#include <inttypes.h>
#include <string.h>

/* ---- failures ---- */

static bool stamps_are_right(const struct state *s, const struct failure *f)
{
    return f->down_us > 0 && f->down_us <= f->stamp_us &&
           f->stamp_us <= s->globals.last_stamp_us &&
           (f->recovered_us != 0) == (f->state == FAILURE_IS_RECOVERED) &&
           (f->recovered_us == 0 || (f->recovered_us >= f->stamp_us &&
                                     f->recovered_us <= s->globals.last_stamp_us));
}

static int
check_failure(const struct state *s, const struct failure *f, struct error *err)
{
    RULE(f->changed > 0 && f->changed <= s->globals.changed && stamps_are_right(s, f),
         "failure %" PRIu64 ": its stamps are out of order",
         f->id);
    RULE(f->agent > 0 && f->agent <= s->globals.last_agent_id &&
             f->next_agent <= s->globals.last_agent_id,
         "failure %" PRIu64 ": of no agent",
         f->id);
    RULE(f->of_agent ? f->job == 0 && f->attempt == 0 && f->deed == FAILURE_MOVED
                     : f->job > 0 && f->job <= s->globals.last_job_id &&
                           f->attempt > 0 && f->deed != FAILURE_MOVED,
         "failure %" PRIu64 ": of an agent and a task, or of none",
         f->id);
    RULE(f->deed != FAILURE_ENDED || f->state == FAILURE_IS_OVER,
         "failure %" PRIu64 " ended its task and is not over",
         f->id);
    return 0;
}

/* An open one is that of its task or agent. */
static int check_open(const struct state *s,
                      const struct failure *f,
                      uint64_t open[2][TASK_REASON_COUNT],
                      struct error *err)
{
    const struct agent *agent = state_agent(s, f->agent);
    const struct job *j = state_job(s, f->job);
    const struct task *t = j == NULL ? NULL : job_task(j, f->instance);

    if (f->of_agent) {
        RULE(agent != NULL && agent->state == AGENT_UNREACHABLE &&
                 agent->failure == f->id,
             "failure %" PRIu64 " is open and its agent is not unreachable",
             f->id);
        open[1][f->reason]++;
        return 0;
    }
    if (j == NULL)
        return 0; /* it was killed, and is purged */
    RULE(t != NULL && task_failure(t) == f->id,
         "failure %" PRIu64 " is open and its task does not have it",
         f->id);
    if (j->kill_index != 0)
        return 0;
    RULE(t->state < TASK_RUNNING,
         "failure %" PRIu64 " is open and its task runs",
         f->id);
    open[0][f->reason]++;
    return 0;
}

static bool is_open(const struct state *s, uint64_t id)
{
    const struct failure *f = state_failure(s, id);

    return id == 0 || (f != NULL && f->state == FAILURE_IS_OPEN);
}

/* What tasks, jobs and agents say is open. */
static int check_references(const struct state *s, struct error *err)
{
    const struct failure *f;
    struct agent *a;
    struct job *j;

    RB_FOREACH (a, agent_tree, (struct agent_tree *)&s->agents)
        RULE(is_open(s, a->failure),
             "agent %" PRIu64 " has a failure that is not open",
             a->id);
    STATE_FOREACH_JOB (j, s) {
        uint32_t open = 0;

        for (uint32_t i = 0; i < j->touched; i++) {
            uint64_t id = task_failure(job_task(j, i));

            f = state_failure(s, id);
            RULE(is_open(s, id) &&
                     (id == 0 || (!f->of_agent && f->job == j->id && f->instance == i)),
                 "task %" PRIu64 ".%u has a failure that is not its open one",
                 j->id,
                 i);
            open += id != 0 && j->kill_index == 0;
        }
        RULE(open == (j->open_failures == NULL ? 0 : j->open_failures->all),
             "job %" PRIu64 ": its open failures are not as counted",
             j->id);
    }
    return 0;
}

/* As far as the failures that are kept tell. */
static int check_sum(const struct state *s,
                     const struct failure_sum *sum,
                     const struct failure_sum *seen,
                     struct error *err)
{
    bool all = s->failures.first <= 1;

    RULE(sum->recovered <= sum->count && sum->longest_us <= sum->recovery_us &&
             sum->changed <= s->globals.changed,
         "sums of failures are out of range");
    RULE(all ? seen->count == sum->count && seen->recovered == sum->recovered &&
                   seen->recovery_us == sum->recovery_us &&
                   seen->longest_us == sum->longest_us
             : seen->count <= sum->count && seen->recovered <= sum->recovered,
         "sums of failures are not those of the failures");
    return 0;
}

static void add_up(struct failure_sum *sum, const struct failure *f)
{
    uint64_t us = f->recovered_us - f->down_us;

    sum->count++;
    if (f->state != FAILURE_IS_RECOVERED)
        return;
    sum->recovered++;
    sum->recovery_us += us;
    sum->longest_us = us > sum->longest_us ? us : sum->longest_us;
}

static int check_sums(const struct state *s,
                      struct failure_sum seen[2][TASK_REASON_COUNT],
                      struct sums *sums,
                      struct error *err)
{
    uint64_t all = 0;

    for (int kind = 0; kind < 2; kind++) {
        for (int r = 0; r < TASK_REASON_COUNT; r++) {
            const struct failure_sum *sum = &s->failures.sums[kind][r];
            int rc = check_sum(s, sum, &seen[kind][r], err);

            if (rc != 0)
                return rc;
            all += sum->count;
            if (sum->count > 0)
                sums->digest =
                    hash128_add(sums->digest,
                                hash_of(object_failure_sum((struct failure_sum *)sum)));
        }
    }
    RULE(all == s->failures.last && all <= INT64_MAX,
         "sums of failures: not as many as there were");
    return 0;
}

int verify_failures(const struct state *s, struct sums *sums, struct error *err)
{
    struct failure_sum seen[2][TASK_REASON_COUNT] = {{{0}}};
    uint64_t open[2][TASK_REASON_COUNT] = {{0}};
    int rc = 0;

    for (uint64_t id = s->failures.first; id != 0 && id <= s->failures.last; id++) {
        struct failure *f = state_failure(s, id);

        rc = check_failure(s, f, err);
        if (rc == 0 && f->state == FAILURE_IS_OPEN)
            rc = check_open(s, f, open, err);
        if (rc != 0)
            return rc;
        add_up(&seen[f->of_agent][f->reason], f);
        sums->digest = hash128_add(sums->digest, hash_of(object_failure(f)));
    }
    RULE(memcmp(open, s->failures.open, sizeof(open)) == 0,
         "open failures are not as counted");
    rc = check_references(s, err);
    return rc != 0 ? rc : check_sums(s, seen, sums, err);
}

/* ---- histories ---- */

int verify_histories(const struct state *s, struct sums *sums, struct error *err)
{
    uint64_t young = 0;

    for (uint64_t id = 0; id < s->history_count; id++) {
        struct history *h = s->histories[id];

        RULE(h != NULL && h->id == id, "history %" PRIu64 " is elsewhere", id);
        RULE(role_name_valid(text_view(h->role)) &&
                 state_history(s, h->role, text_view(h->name)) == h &&
                 RB_FIND(history_use_tree,
                         (struct history_use_tree *)&s->histories_by_use,
                         h) == h,
             "history %" PRIu64 " is not found",
             id);
        RULE(h->runs > 0 && h->runs <= HISTORY_RUNS && h->next < HISTORY_RUNS &&
                 (h->runs == HISTORY_RUNS || h->next == h->runs) &&
                 h->lost_ms <= LIMIT_JOB_TIME_MS,
             "history %" PRIu64 ": its runs are out of range",
             id);
        RULE(h->changed > 0 && h->changed <= s->globals.changed && h->used_us > 0 &&
                 h->used_us <= s->globals.last_stamp_us,
             "history %" PRIu64 " is from the future",
             id);
        young += history_is_young(h);
        sums->digest = hash128_add(sums->digest, hash_of(object_history(h)));
    }
    RULE(young == s->young_histories, "young histories are not as counted");
    return 0;
}
