/* waits.c - tasks that wait for nothing but time, or fail again and again, in the words of who
 * asks (spec 7).
 *
 * Only the leader knows: what is left is counted on its own clocks (repeats.c).
 */
#include "master/core/internal.h"

#include "base/text.h"
#include "raft_fsm/retry.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define WAIT_LOOKS 64u /* tasks of a job that are asked */

/* Behind what is said already, as far as there is room. */
__attribute__((format(printf, 3, 4))) static void
say(char *why, size_t size, const char *format, ...)
{
    size_t used = strlen(why);
    va_list args;

    va_start(args, format);
    vsnprintf(why + used, size - used, format, args);
    va_end(args);
}

/* Rounded up to seconds. */
static const char *wait_text(char text[TEXT_SHORT_MAX], uint64_t ms)
{
    return text_duration(text, (ms + 999) / 1000 * 1000);
}

static void say_retry(struct master_core *m,
                      const struct job *job,
                      const struct task_extras *x,
                      char *why,
                      size_t size)
{
    uint64_t left_ms = repeats_due_ms(m, x->retry_us);
    char time[TEXT_SHORT_MAX];

    if (retry_is_after_loss(x))
        say(why, size, "lost %u times in a row, again", x->losses);
    else if (job->policy == NULL || job->policy->reschedule.attempts == JOB_UNLIMITED)
        say(why, size, "retry %u", x->retries);
    else
        say(why, size, "retry %u of %u", x->retries, job->policy->reschedule.attempts);
    if (left_ms > 0)
        say(why, size, " in %s", wait_text(time, left_ms));
    else
        say(why, size, " now");
}

void waits_task(struct master_core *m,
                const struct job *job,
                const struct task *t,
                char *why,
                size_t size)
{
    const struct attempt *a = state_attempt(m->state, t->attempt_id);
    uint64_t lease_ms = a == NULL ? 0 : repeats_lease_left_ms(m, a);
    char time[TEXT_SHORT_MAX];

    if (lease_ms > 0)
        say(why,
            size,
            "waiting for the lease of attempt %u on agent %llu to run out, at most "
            "%s",
            t->attempt,
            (unsigned long long)t->agent_id,
            wait_text(time, lease_ms));
    else if (task_waits(t) && job->kill_index == 0)
        say_retry(m, job, t->extras, why, size);
}

/* The first of them that waits for a lease. */
static bool
say_lease(struct master_core *m, const struct job *job, char *why, size_t size)
{
    for (uint32_t i = 0; job_has_lease(job) && i < job->touched && i < WAIT_LOOKS;
         i++) {
        const struct task *t = job_task(job, i);
        const struct attempt *a = state_attempt(m->state, t->attempt_id);

        if (a == NULL || repeats_lease_left_ms(m, a) == 0)
            continue;
        say(why, size, "task %u is ", i);
        waits_task(m, job, t, why, size);
        return true;
    }
    return false;
}

/* The one of them that its agent restarted most: it may go on like that for ever. */
static void say_restarts(const struct job *job, char *why, size_t size)
{
    const struct task *most = NULL;
    uint32_t instance = 0;

    for (uint32_t i = 0; i < job->touched && i < WAIT_LOOKS; i++) {
        const struct task *t = job_task(job, i);

        if (t->state == TASK_RUNNING &&
            task_restarts(t) > (most == NULL ? 0 : task_restarts(most))) {
            most = t;
            instance = i;
        }
    }
    if (most != NULL)
        say(why,
            size,
            "%stask %u was restarted %u time%s: %s",
            why[0] != 0 ? "; " : "",
            instance,
            task_restarts(most),
            task_restarts(most) == 1 ? "" : "s",
            most->message != NULL ? most->message : "");
}

/* One that is not submitted has no id that a user could look up. */
static void
say_awaited(const struct master_core *m, const struct job *job, char *why, size_t size)
{
    struct bytes name = job_spec_name(job->spec);

    if (m->planned != 0 && job->id >= m->planned && name.size > 0)
        say(why, size, "waiting for %.*s", (int)name.size, (const char *)name.data);
    else
        say(why, size, "waiting for job %llu", (unsigned long long)job->id);
}

/* What a job waits for before it begins, or why it never will. */
static void
say_after(const struct master_core *m, const struct job *job, char *why, size_t size)
{
    static const char *const TO[JOB_ON_COUNT] = {
        [JOB_ON_SUCCESS] = "complete", [JOB_ON_FAILURE] = "fail", [JOB_ON_ANY] = "end"};
    const struct dependency *first, *d;
    unsigned others = 0;

    if (job->links == NULL)
        return;
    if (job->links->stopped_by != 0)
        say(why,
            size,
            "never began: job %llu did not end as `after` asks",
            (unsigned long long)job->links->stopped_by);
    first = TAILQ_FIRST(&job->links->after);
    if (first == NULL)
        return;
    TAILQ_FOREACH (d, &job->links->after, in_job)
        others += d != first;
    say_awaited(m, first->on_job, why, size);
    say(why, size, " to %s", TO[first->on]);
    if (others > 0)
        say(why, size, ", and for %u other%s", others, others == 1 ? "" : "s");
}

void waits_job(struct master_core *m, const struct job *job, char *why, size_t size)
{
    const struct task_extras *first = job_first_retry(job);
    char more[SCHED_WHY_BYTES] = "", time[TEXT_SHORT_MAX];

    say_after(m, job, why, size);
    if (job->made != NULL && job->kill_index == 0)
        schedules_say(m, job, why, size);
    if (!say_lease(m, job, more, sizeof(more)) && first != NULL && job->kill_index == 0)
        say(more,
            sizeof(more),
            "%u task%s to be tried again, the first in %s",
            job_waiting(job),
            job_waiting(job) == 1 ? " waits" : "s wait",
            wait_text(time, repeats_due_ms(m, first->retry_us)));
    if (more[0] != 0)
        say(why, size, "%s%s", why[0] != 0 ? "; " : "", more);
    if (!job_state_is_final(job_state(job)))
        say_restarts(job, why, size);
}
