/* cmd_kill.c - triarch kill: end a job. */
#include "client/session.h"

#include <inttypes.h>
#include <stdlib.h>

static int run(struct session *s, struct error *err)
{
    uint64_t job;
    int rc = session_job_operand(s, 0, &job, err);

    if (rc == 0)
        rc = session_open(s, err);
    if (rc == 0)
        rc = session_change(s, METHOD_KILL, job, NULL, err);
    if (rc != 0)
        return rc;
    session_note(s,
                 "job %" PRIu64 " is killed; `triarch wait %" PRIu64
                 "` waits for its last task",
                 job,
                 job);
    return EXIT_SUCCESS;
}

const struct subcommand subcommand_kill = {
    .table =
        {
            .program = "kill",
            .purpose = "end a job: its tasks get TERM, and KILL after their grace",
            .operands = "JOB",
            .operands_min = 1,
            .operands_max = 1,
        },
    .run = run,
};
