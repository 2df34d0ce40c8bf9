/* checks.c - health and readiness checks of runs (docs/spec/6-agent.md, "Checks").
 *
 * Each check of a running task is asked for when it is due, and never while its last
 * answer is on the way.  What the launcher does for it costs a process, so only so many
 * are on the way at once, and fewer of one job, so that checks that hang do not switch off
 * those of others; what is more waits a moment.
 */
#include "agent/core/core_internal.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

void checks_set(struct run *r, const struct job_spec *spec)
{
    r->check_count = (uint32_t)spec->check_count;
    r->checks =
        r->check_count == 0 ? NULL : mem_zalloc(r->check_count * sizeof(*r->checks));
    for (uint32_t i = 0; i < r->check_count; i++) {
        const struct job_check *from = &spec->checks[i];

        r->checks[i] = (struct check){
            .is_health = from->role == CHECK_HEALTH,
            .failures = from->failures,
            .interval_ms = from->interval_ms,
            .timeout_ms = from->timeout_ms,
            .start_delay_ms = from->start_delay_ms,
        };
    }
}

/* ---- who asks ---- */

static bool may_ask(const struct agent_core *core, uint64_t job)
{
    uint32_t of_job = 0;

    for (uint32_t i = 0; i < core->checks_asked; i++)
        of_job += core->checking[i] == job;
    return core->checks_asked < LIMIT_AGENT_CHECKS && of_job < LIMIT_JOB_CHECKS;
}

static void asks(struct agent_core *core, struct run *r, struct check *c)
{
    c->asked = true;
    core->checking[core->checks_asked++] = r->job;
}

static void asks_no_more(struct agent_core *core, struct run *r, struct check *c)
{
    uint32_t i = 0;

    c->asked = false;
    while (core->checking[i] != r->job)
        i++;
    core->checking[i] = core->checking[--core->checks_asked];
}

static void set_due(struct run *r)
{
    r->check_ms = NEVER;
    for (uint32_t i = 0; i < r->check_count; i++) {
        const struct check *c = &r->checks[i];
        uint64_t at_ms = c->asked ? c->lost_ms : c->due_ms;

        if (at_ms < r->check_ms)
            r->check_ms = at_ms;
    }
}

void checks_start(struct agent_core *core, struct run *r, uint64_t since_ms)
{
    for (uint32_t i = 0; i < r->check_count; i++) {
        struct check *c = &r->checks[i];
        uint64_t due_ms = since_ms + c->start_delay_ms;

        c->due_ms = due_ms > core->now_ms ? due_ms : core->now_ms;
    }
    set_due(r);
}

void checks_stop(struct agent_core *core, struct run *r)
{
    for (uint32_t i = 0; i < r->check_count; i++)
        if (r->checks[i].asked)
            asks_no_more(core, r, &r->checks[i]);
    r->check_ms = NEVER;
}

void checks_reset(struct run *r)
{
    for (uint32_t i = 0; i < r->check_count; i++) {
        r->checks[i].told = false;
        r->checks[i].passed = false;
        r->checks[i].failed = 0;
    }
    r->health = HEALTH_UNKNOWN;
}

static void ask(struct agent_core *core, struct run *r, uint32_t index)
{
    struct agent_action *action = agent_actions_add(core->out, AGENT_CHECK);

    action->check = (struct run_check){
        .attempt = r->attempt,
        .restarts = r->restarts,
        .index = index,
    };
    asks(core, r, &r->checks[index]);
    r->checks[index].lost_ms =
        core->now_ms + r->checks[index].timeout_ms + CHECK_LOST_MS;
    r->checks[index].due_ms = core->now_ms + r->checks[index].interval_ms;
}

void checks_due(struct agent_core *core, struct run *r)
{
    for (uint32_t i = 0; i < r->check_count; i++) {
        struct check *c = &r->checks[i];

        if (c->asked && c->lost_ms <= core->now_ms) {
            const struct run_checked lost = {.attempt = r->attempt,
                                             .restarts = r->restarts,
                                             .index = i,
                                             .message = "no answer"};

            checks_answered(core, r, &lost);
            return; /* the run may be told to end; the others are looked at next */
        }
        if (c->asked || c->due_ms > core->now_ms)
            continue;
        if (may_ask(core, r->job))
            ask(core, r, i);
        else
            c->due_ms = core->now_ms + CHECK_BUSY_MS;
    }
    set_due(r);
}

/* ---- answers ---- */

/* One that failed too often makes it bad, all that pass make it good; in between it is
 * as it was. */
static enum task_health judge(const struct run *r)
{
    uint32_t passed = 0;
    bool ready = true;

    for (uint32_t i = 0; i < r->check_count; i++) {
        const struct check *c = &r->checks[i];

        if (c->failed >= c->failures && c->is_health)
            return HEALTH_FAILING;
        ready = ready && c->failed < c->failures;
        passed += c->told && c->passed ? 1 : 0;
    }
    if (!ready)
        return HEALTH_NOT_READY;
    return passed == r->check_count ? HEALTH_PASSING : r->health;
}

/* "health check", or with its number among those of its kind. */
static void name_check(const struct run *r, uint32_t index, char *out, size_t room)
{
    bool is_health = r->checks[index].is_health;
    uint32_t number = 0, count = 0;

    for (uint32_t i = 0; i < r->check_count; i++) {
        count += r->checks[i].is_health == is_health ? 1 : 0;
        number = i == index ? count : number;
    }
    snprintf(out, room, "%s check", is_health ? "health" : "readiness");
    if (count > 1)
        snprintf(out + strlen(out), room - strlen(out), " %u", number);
}

static void
say_failed(struct run *r, const struct check *c, const struct run_checked *answer)
{
    char text[LIMIT_MESSAGE_BYTES + 1], name[32];

    name_check(r, answer->index, name, sizeof(name));
    snprintf(text,
             sizeof(text),
             "%s failed %u time%s in a row: %s",
             name,
             c->failed,
             c->failed == 1 ? "" : "s",
             answer->message != NULL ? answer->message : "no reason given");
    run_say(r, text);
}

static void set_health(struct agent_core *core, struct run *r, enum task_health health)
{
    if (health == r->health)
        return;
    r->health = (uint8_t)health;
    if (health == HEALTH_PASSING) {
        r->reason = TASK_REASON_NONE;
        r->exit_code = 0;
        run_say(r, "");
    }
    updates_touched(core, r);
}

void checks_answered(struct agent_core *core,
                     struct run *r,
                     const struct run_checked *answer)
{
    struct check *c;

    if (answer->restarts != r->restarts || answer->index >= r->check_count ||
        !r->checks[answer->index].asked)
        return; /* of an earlier start, or it is being ended */
    c = &r->checks[answer->index];
    asks_no_more(core, r, c);
    if (answer->unasked) {
        set_due(r);
        return;
    }
    c->told = true;
    c->passed = answer->passed;
    c->failed = answer->passed ? 0 : c->failed + (c->failed < UINT32_MAX ? 1 : 0);
    if (c->due_ms < core->now_ms)
        c->due_ms = core->now_ms;
    set_due(r);
    if (c->failed >= c->failures)
        say_failed(r, c, answer);
    set_health(core, r, judge(r));
    if (c->is_health && c->failed >= c->failures)
        run_step(core, r, RUN_ON_UNHEALTHY, NULL);
}
