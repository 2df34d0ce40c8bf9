/* failures.c - which tasks of a job did not end well, and why. */
#include "client/failures.h"

#include "base/mem.h"
#include "base/text.h"

#include <inttypes.h>
#include <string.h>

#define SHOWN_MAX 3

bool task_is_unusual(const struct task_info *t)
{
    return (task_state_is_final(t->state) && t->state != TASK_FINISHED) ||
           t->attempt > 1 || t->restarts > 0 || t->health >= HEALTH_FAILING ||
           t->why.size > 0;
}

static const char *reason_for_people(enum task_reason reason)
{
    switch (reason) {
    case TASK_REASON_NONE:
    case TASK_REASON_EXITED:
    case TASK_REASON_SIGNALED:
    case TASK_REASON_COUNT:
        break;
    case TASK_REASON_NOT_STARTED:
        return "could not be started";
    case TASK_REASON_KILLED_BY_USER:
        return "killed";
    case TASK_REASON_AGENT_UNREACHABLE:
        return "its agent was unreachable";
    case TASK_REASON_AGENT_GONE:
        return "its agent is gone";
    case TASK_REASON_AGENT_RESTARTED:
        return "its agent's machine restarted";
    case TASK_REASON_LAUNCH_REFUSED:
        return "its agent refused it";
    case TASK_REASON_SHIM_LOST:
        return "its exit status was lost";
    case TASK_REASON_MEMORY_LIMIT:
        return "it used more memory than its limit";
    case TASK_REASON_DISK_LIMIT:
        return "it used more disk than its limit";
    case TASK_REASON_MAX_RUNTIME:
        return "it ran longer than its max_runtime";
    case TASK_REASON_HEALTH_CHECK:
        return "its health check failed";
    case TASK_REASON_LEASE_EXPIRED:
        return "its agent lost the masters for longer than its lease";
    case TASK_REASON_AGENT_DRAINED:
        return "its agent was drained";
    case TASK_REASON_FETCH_FAILED:
        return "its artifacts could not be fetched";
    case TASK_REASON_IMAGE_FAILED:
        return "its image could not be prepared";
    case TASK_REASON_PREEMPTED:
        return "preempted";
    case TASK_REASON_MOVED:
        return "moved";
    }
    return "";
}

/* The message has the reason in it. */
static bool says_it_all(enum task_reason reason)
{
    return reason == TASK_REASON_MEMORY_LIMIT || reason == TASK_REASON_DISK_LIMIT ||
           reason == TASK_REASON_MAX_RUNTIME || reason == TASK_REASON_LEASE_EXPIRED ||
           reason == TASK_REASON_PREEMPTED || reason == TASK_REASON_MOVED;
}

/* What the agent says of an end by itself is enough; else the reason goes first. */
void task_append_why(struct buffer *out, const struct task_info *t)
{
    const char *reason = reason_for_people(t->reason);
    char *message = text_clean(t->message);

    if (message[0] != '\0' && says_it_all(t->reason))
        reason = "";

    if (reason[0] != '\0' && message[0] != '\0')
        buffer_printf(out, "%s: %s", reason, message);
    else if (reason[0] != '\0' || message[0] != '\0')
        buffer_printf(out, "%s%s", reason, message);
    else if (t->reason == TASK_REASON_SIGNALED && t->exit_code > 128)
        buffer_printf(out, "signal %d", (int)t->exit_code - 128);
    else if (t->state == TASK_FAILED)
        buffer_printf(out, "exit status %d", (int)t->exit_code);
    mem_free(message);
}

struct telling {
    uint64_t job;
    struct buffer text;
    unsigned shown;
    bool wrote;       /* one of those shown ran, and may have written why it failed */
    uint32_t written; /* the first of them */
};

/* That a short one ran is told with its end alone. */
static bool has_run(const struct task_info *t)
{
    return t->attempt_id != 0 && t->state != TASK_ERROR &&
           (t->started_us != 0 || t->state == TASK_FAILED) &&
           t->reason != TASK_REASON_FETCH_FAILED &&
           t->reason != TASK_REASON_IMAGE_FAILED;
}

static void tell(struct telling *t, const struct task_info *task)
{
    struct buffer why = {0};

    task_append_why(&why, task);
    buffer_printf(&t->text,
                  "%s%" PRIu64 ".%" PRIu32 " %s",
                  t->shown == 0 ? ": " : "; ",
                  t->job,
                  task->instance,
                  task_state_name(task->state));
    if (why.size > 0)
        buffer_printf(&t->text, " (%.*s)", (int)why.size, (const char *)why.data);
    buffer_finish(&why);
    t->shown++;
    if (!t->wrote && has_run(task)) {
        t->wrote = true;
        t->written = task->instance;
    }
}

static int tell_page(void *user, const struct list_result *page, struct error *err)
{
    struct telling *t = user;
    struct command_cursor at = {0};
    struct task_info task;

    (void)err;
    while (t->shown < SHOWN_MAX && task_info_next(page, &at, &task))
        if (task_state_is_final(task.state) && task.state != TASK_FINISHED)
            tell(t, &task);
    return t->shown == SHOWN_MAX ? 1 : 0;
}

int failures_tell(struct session *s, const struct job_summary *job, struct error *err)
{
    struct telling t = {.job = job->id};
    uint32_t bad = job->instances - job->tasks[TASK_FINISHED];
    int rc;

    buffer_printf(&t.text,
                  "job %" PRIu64 " %s: %" PRIu32 " of %" PRIu32
                  " tasks did not finish well",
                  job->id,
                  job_state_name(job->state),
                  bad,
                  job->instances);
    rc = session_list(s, METHOD_TASKS, job->id, tell_page, &t, NULL);
    if (rc >= 0 && bad > t.shown)
        buffer_printf(&t.text,
                      "; and %" PRIu32 " more, see `triarch status %" PRIu64 "`",
                      bad - t.shown,
                      job->id);
    else if (rc >= 0 && t.wrote)
        buffer_printf(&t.text,
                      "; `triarch logs --both %" PRIu64 ".%" PRIu32
                      "` shows what it wrote",
                      job->id,
                      t.written);
    buffer_append_u8(&t.text, 0);
    rc = error_set(err, ERROR_INTERNAL, "%s", (const char *)t.text.data);
    buffer_finish(&t.text);
    return rc;
}
