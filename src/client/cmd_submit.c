/* cmd_submit.c - triarch submit: a job file. */
#include "client/submit.h"

static const struct option_row rows[] = {
    SUBMIT_KEY_ROW,
    SUBMIT_JSON_ROW,
    SUBMIT_WAIT_ROW,
    {.name = "check-index",
     .kind = OPTION_NUMBER,
     .argument = "N",
     .min = 1,
     .help = "of `triarch plan`: only if what it rests on has not changed since"},
    {.name = "check",
     .kind = OPTION_FLAG,
     .help = "only say whether FILE is a valid job; no cluster is asked"},
};

static int
check(struct session *s, const char *path, const struct job_set *set, struct error *err)
{
    int rc = submit_check(set, err);

    if (rc != 0)
        return rc;
    if (set->count == 1)
        session_note(s, "%s: a valid job", path);
    else
        session_note(s, "%s: %zu valid jobs", path, set->count);
    return 0;
}

static uint64_t check_index(const struct session *s)
{
    return options_given(s->options, "check-index")
               ? options_number(s->options, "check-index")
               : 0;
}

static int run(struct session *s, struct error *err)
{
    const char *path = options_operand(s->options, 0);
    struct job_set set;
    int rc = submit_read(&set, path, err);

    if (rc != 0)
        return rc;
    if (options_flag(s->options, "check") && options_flag(s->options, "json"))
        rc = options_refuse(s->options, "json", err, "not together with --check");
    else if (!options_flag(s->options, "check"))
        rc = submit_set(s, &set, check_index(s), err);
    else
        rc = check(s, path, &set, err);
    job_set_finish(&set);
    return rc;
}

const struct subcommand subcommand_submit = {
    .table =
        {
            .program = "submit",
            .meant = "apply create",
            .purpose = "submit a job file, YAML or JSON, and print the job's id",
            .details = "FILE may be - for standard input. Its fields: name, command or "
                       "argv, instances, env, resources, image, artifacts, restart, "
                       "health, … docs/jobs.md teaches them by examples. Several "
                       "jobs stand in a list `jobs`, and may wait for each other with "
                       "`after`: all of them are submitted or none, and their ids are "
                       "printed in the order of the file.",
            .rows = rows,
            .row_count = sizeof(rows) / sizeof(rows[0]),
            .operands = "FILE",
            .operands_min = 1,
            .operands_max = 1,
        },
    .run = run,
};
