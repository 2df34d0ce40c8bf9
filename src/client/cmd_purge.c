/* cmd_purge.c - triarch purge: forget a job that has ended. */
#include "client/session.h"

#include <inttypes.h>
#include <stdlib.h>

static int run(struct session *s, struct error *err)
{
    bool repeated = false;
    uint64_t job;
    int rc = session_job_operand(s, 0, &job, err);

    if (rc == 0)
        rc = session_open(s, err);
    if (rc == 0)
        rc = session_change(s, METHOD_PURGE, job, &repeated, err);
    /* The first try took effect, and its answer was lost. */
    if (rc == -(int)ERROR_NOT_FOUND && repeated)
        rc = 0;
    if (rc != 0)
        return rc;
    session_note(s, "job %" PRIu64 " is forgotten", job);
    return EXIT_SUCCESS;
}

const struct subcommand subcommand_purge = {
    .table =
        {
            .program = "purge",
            .purpose = "forget a job that has ended",
            .details = "Its key is remembered for another day, so that a late repeat "
                       "of its submission makes no second job.",
            .operands = "JOB",
            .operands_min = 1,
            .operands_max = 1,
        },
    .run = run,
};
