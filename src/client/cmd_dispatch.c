/* cmd_dispatch.c - triarch dispatch: a job of one that has parameters. */
#include "client/submit.h"
#include "client/template_find.h"

#include "base/mem.h"

#include <inttypes.h>

static const struct option_row rows[] = {
    SUBMIT_KEY_ROW,
    SUBMIT_JSON_ROW,
    SUBMIT_WAIT_ROW,
};

/* What the user gave behind the job. */
static const char **values_of(const struct session *s, size_t *count)
{
    const char **values;

    *count = options_operand_count(s->options) - 1;
    values = mem_alloc((*count + 1) * sizeof(*values));
    for (size_t i = 0; i < *count; i++)
        values[i] = options_operand(s->options, i + 1);
    return values;
}

/* Masters only say that something is wrong; here is known what.  Of what was purged they may
 * still know the key of who asks again; then *name stays NULL. */
static int check(struct session *s,
                 uint64_t job,
                 char **name,
                 const char *const *values,
                 size_t count,
                 struct error *err)
{
    struct job_spec spec;
    int rc = session_job_spec(s, job, &spec, err);

    if (rc == -(int)ERROR_NOT_FOUND && options_given(s->options, "key"))
        return 0;
    if (rc != 0)
        return rc;
    if (spec.parameter_count == 0)
        rc = error_set(err,
                       ERROR_INVALID,
                       "job %" PRIu64 " has no parameters: it runs as it is",
                       job);
    else
        rc = job_spec_with(&spec, values, count, err);
    *name = mem_strdup(spec.name);
    job_spec_finish(&spec);
    return rc;
}

static int run(struct session *s, struct error *err)
{
    char *name = NULL;
    uint64_t job;
    size_t count;
    const char **values = values_of(s, &count);
    int rc = session_open(s, err);

    if (rc == 0)
        rc = template_find(s, options_operand(s->options, 0), &job, err);
    if (rc == 0)
        rc = check(s, job, &name, values, count, err);
    if (rc == 0)
        rc = submit_dispatch(s, job, name, values, count, err);
    mem_free(values);
    mem_free(name);
    return rc;
}

const struct subcommand subcommand_dispatch = {
    .table =
        {
            .program = "dispatch",
            .purpose = "make a job of one that has parameters, and print its id",
            .details =
                "JOB is its id, or its name where no other job to dispatch has the "
                "same. Values are in the environment of its tasks. `triarch "
                "show JOB` says which there are.",
            .rows = rows,
            .row_count = sizeof(rows) / sizeof(rows[0]),
            .operands = "JOB [NAME=VALUE]...",
            .operands_min = 1,
            .operands_max = 1 + LIMIT_PARAMETERS,
        },
    .run = run,
};
