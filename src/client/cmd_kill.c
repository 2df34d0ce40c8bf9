/* cmd_kill.c - triarch kill: end a job. */
#include "client/session.h"

#include "base/limits.h"

#include <inttypes.h>

/* The answer is the same for one that had ended by itself. */
static void tell(struct session *s, uint64_t id)
{
    struct buffer page = {0};
    struct job_summary job;
    struct error err;

    if (session_job(s, id, &page, &job, &err) == 0 && job_state_is_final(job.state) &&
        job.state != JOB_KILLED)
        session_note(s,
                     "job %" PRIu64 " had ended before: it is %s",
                     id,
                     job_state_name(job.state));
    else
        session_note(s,
                     "job %" PRIu64 " is killed; `triarch wait %" PRIu64
                     "` waits for its last task",
                     id,
                     id);
    buffer_finish(&page);
}

static int kill_job(struct session *s, uint64_t job, struct error *err)
{
    int rc = session_change(s, METHOD_KILL, job, NULL, err);

    if (rc == 0)
        tell(s, job);
    return rc;
}

static int run(struct session *s, struct error *err)
{
    return session_each_job(s, kill_job, err);
}

const struct subcommand subcommand_kill = {
    .table =
        {
            .program = "kill",
            .meant = "stop cancel",
            .purpose = "end jobs: their tasks get TERM, and KILL after their grace",
            .operands = "JOB...",
            .operands_min = 1,
            .operands_max = LIMIT_ARGS,
        },
    .run = run,
};
