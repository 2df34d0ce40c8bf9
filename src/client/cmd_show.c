/* cmd_show.c - triarch show: what a job was submitted as. */
#include "client/session.h"

static int run(struct session *s, struct error *err)
{
    json_t *spec = NULL;
    uint64_t job;
    int rc = session_job_operand(s, 0, &job, err);

    if (rc == 0)
        rc = session_open(s, err);
    if (rc != 0)
        return rc;
    spec = session_spec(s, job, err);
    if (spec == NULL)
        return -(int)err->code;
    session_write_json(s, spec);
    return 0;
}

const struct subcommand subcommand_show = {
    .table =
        {
            .program = "show",
            .meant = "inspect describe",
            .purpose = "print what a job was submitted as, as a job file",
            .details = "The output is JSON that `triarch submit` takes; what was not "
                       "given has its default. Values of env are shown.",
            .operands = "JOB",
            .operands_min = 1,
            .operands_max = 1,
        },
    .run = run,
};
