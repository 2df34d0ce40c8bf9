/* cmd_wait.c - triarch wait: until a job has ended. */
#include "client/job_wait.h"

static int run(struct session *s, struct error *err)
{
    uint64_t job;
    int rc = session_job_operand(s, 0, &job, err);

    if (rc == 0)
        rc = session_open(s, err);
    return rc != 0 ? rc : job_wait(s, job, false, &s->out, err);
}

const struct subcommand subcommand_wait = {
    .table =
        {
            .program = "wait",
            .purpose = "wait until a job has ended, and show its progress",
            .details =
                "Exits with 0 only if all its tasks finished well. Ctrl-C ends "
                "the waiting; the job goes on. --timeout is for one look at the job, "
                "which is repeated; to bound the waiting, write `timeout 10m "
                "triarch wait JOB`.",
            .operands = "JOB",
            .operands_min = 1,
            .operands_max = 1,
        },
    .run = run,
};
