/* ends.c - how a run ended, in the words that the leader is told
 * (docs/spec/6-agent.md, "How runs end").
 */
#include "agent/core/core_internal.h"
#include "base/assert.h"
#include "base/text.h"

#include <stdio.h>

/* What its launcher saw, of a run that nobody told to end. */
static const struct {
    enum task_state state;
    enum task_reason reason;
    bool has_code; /* the words end with it */
    bool started;
    const char *words;
} table[RUN_ENDS] = {
    [RUN_END_EXITED] =
        {TASK_FAILED, TASK_REASON_EXITED, true, true, "exited with status"},
    [RUN_END_SIGNALED] =
        {TASK_FAILED, TASK_REASON_SIGNALED, true, true, "ended by signal"},
    [RUN_END_NOT_STARTED] = {TASK_ERROR,
                             TASK_REASON_NOT_STARTED,
                             false,
                             false,
                             "the command could not be started"},
    [RUN_END_SHIM_LOST] = {TASK_LOST,
                           TASK_REASON_SHIM_LOST,
                           false,
                           true,
                           "its shim ended without keeping an exit status"},
    [RUN_END_VANISHED] = {TASK_LOST,
                          TASK_REASON_AGENT_RESTARTED,
                          false,
                          true,
                          "nothing is left of it after the agent restarted"},
    [RUN_END_MEMORY] = {TASK_FAILED,
                        TASK_REASON_MEMORY_LIMIT,
                        false,
                        true,
                        "killed: it reached its limit of memory"},
    [RUN_END_DISK] = {TASK_FAILED,
                      TASK_REASON_DISK_LIMIT,
                      false,
                      true,
                      "killed: its files take more than its disk"},
    [RUN_END_LEASE] = {TASK_LOST,
                       TASK_REASON_LEASE_EXPIRED,
                       false,
                       true,
                       "ended because no leader renewed its lease"},
    [RUN_END_FETCH_FAILED] = {TASK_FAILED,
                              TASK_REASON_FETCH_FAILED,
                              false,
                              false,
                              "an artifact could not be fetched"},
    [RUN_END_IMAGE_FAILED] = {TASK_FAILED,
                              TASK_REASON_IMAGE_FAILED,
                              false,
                              false,
                              "its image could not be made ready"},
    [RUN_END_NO_USER] =
        {TASK_LOST,
         TASK_REASON_LAUNCH_REFUSED,
         false,
         false,
         "not started: the host's directory of users did not answer who "
         "its user is"},
    [RUN_END_SHUTDOWN] = {TASK_LOST,
                          TASK_REASON_AGENT_RESTARTED,
                          true,
                          true,
                          "its host was shut down: ended by signal"},
};

/* As a shell would say it. */
static int exit_code(const struct run_ended *e)
{
    switch (e->how) {
    case RUN_END_EXITED:
        return e->code;
    case RUN_END_MEMORY:
        return 128 + 9; /* whichever of its processes the kernel chose */
    case RUN_END_SIGNALED:
    case RUN_END_DISK:
    case RUN_END_LEASE:
    case RUN_END_SHUTDOWN:
        return e->code == 0 ? 0 : 128 + e->code;
    default:
        return 0;
    }
}

static void say(const struct run_ended *e, const char *after, char *to, size_t room)
{
    if (table[e->how].has_code)
        snprintf(to, room, "%s %d%s", table[e->how].words, e->code, after);
    else
        snprintf(to, room, "%s%s", table[e->how].words, after);
}

static void judge_stopped(const struct run_ended *e, struct run_verdict *out)
{
    out->state = TASK_KILLED;
    out->reason = TASK_REASON_KILLED_BY_USER;
    if (table[e->how].started)
        say(e, " when it was told to end", out->message, sizeof(out->message));
    else
        snprintf(out->message, sizeof(out->message), "stopped before it was started");
}

static void
judge_by_cause(const struct run_ended *e, const struct run *r, struct run_verdict *out)
{
    const char *message = r->message;
    char overdue[96], limit[TEXT_SHORT_MAX];

    switch ((enum run_cause)r->cause) {
    case CAUSE_NONE:
        return;
    case CAUSE_ORDER:
        judge_stopped(e, out);
        return;
    case CAUSE_MAX_RUNTIME:
        out->reason = TASK_REASON_MAX_RUNTIME;
        snprintf(overdue,
                 sizeof(overdue),
                 "ended because it ran longer than its max_runtime of %s",
                 text_duration(limit, r->max_runtime_ms));
        message = overdue;
        break;
    case CAUSE_HEALTH:
        out->reason = TASK_REASON_HEALTH_CHECK;
        if (message == NULL)
            message = "ended because a health check failed";
        break;
    }
    out->state = TASK_FAILED;
    snprintf(out->message, sizeof(out->message), "%s", message);
}

/* What nobody saw end is LOST, whatever it was told; without its lease, or its user, it is LOST
 * unless that was an order.  One that was told to end before its host was has done so. */
static bool cause_counts(const struct run_ended *e, const struct run *r)
{
    if (e->how == RUN_END_SHUTDOWN)
        return r->cause != CAUSE_NONE;
    if (e->how == RUN_END_LEASE || e->how == RUN_END_NO_USER)
        return r->cause == CAUSE_ORDER;
    return table[e->how].state != TASK_LOST;
}

void ends_judge(const struct run_ended *e, const struct run *r, struct run_verdict *out)
{
    ASSERT(e->how < RUN_ENDS);
    *out = (struct run_verdict){
        .state = table[e->how].state,
        .reason = table[e->how].reason,
        .exit_code = exit_code(e),
    };
    if (e->how == RUN_END_EXITED && e->code == 0)
        out->state = TASK_FINISHED;
    if (e->message != NULL)
        snprintf(out->message, sizeof(out->message), "%s", e->message);
    else if (out->state != TASK_FINISHED)
        say(e, "", out->message, sizeof(out->message));
    if (cause_counts(e, r))
        judge_by_cause(e, r, out);
}
