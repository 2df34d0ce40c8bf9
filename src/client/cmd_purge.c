/* cmd_purge.c - triarch purge: forget a job that has ended. */
#include "client/session.h"

#include "base/limits.h"

#include <inttypes.h>

static int purge_job(struct session *s, uint64_t job, struct error *err)
{
    bool repeated = false;
    int rc = session_change(s, METHOD_PURGE, job, &repeated, err);

    /* The first try took effect, and its answer was lost. */
    if (rc == -(int)ERROR_NOT_FOUND && repeated)
        rc = 0;
    if (rc == 0)
        session_note(s, "job %" PRIu64 " is forgotten", job);
    return rc;
}

static int run(struct session *s, struct error *err)
{
    return session_each_job(s, purge_job, err);
}

const struct subcommand subcommand_purge = {
    .table =
        {
            .program = "purge",
            .meant = "rm delete remove",
            .purpose = "forget jobs that have ended",
            .details =
                "The key of a job is remembered for another day, so that a late repeat "
                "of its submission makes no second job.",
            .operands = "JOB...",
            .operands_min = 1,
            .operands_max = LIMIT_ARGS,
        },
    .run = run,
};
