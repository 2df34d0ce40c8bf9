/* cmd_run.c - triarch run: a job of one command. */
#include "client/submit.h"

#include "base/mem.h"

#include <string.h>

static const struct option_row rows[] = {
    {.name = "name",
     .letter = 'n',
     .kind = OPTION_TEXT,
     .argument = "NAME",
     .help = "name of the job, for people (default: that of the command)"},
    {.name = "instances",
     .letter = 'i',
     .kind = OPTION_NUMBER,
     .argument = "N",
     .fallback = "1",
     .min = 1,
     .max = LIMIT_TASKS_PER_JOB,
     .help = "run N tasks of it; each finds its number in TRIARCH_INSTANCE"},
    {.name = "cpus",
     .letter = 'c',
     .kind = OPTION_TEXT,
     .argument = "X",
     .fallback = "1",
     .help = "cpus of each task, up to three decimals"},
    {.name = "mem",
     .kind = OPTION_TEXT,
     .argument = "MIB",
     .fallback = "128",
     .help = "memory of each task, in MiB"},
    SUBMIT_KEY_ROW,
    SUBMIT_WAIT_ROW,
};

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == NULL || slash[1] == '\0' ? path : slash + 1;
}

typedef int parse_fn(uint64_t *out, const char *text, struct error *err);

static int take_amount(const struct session *s,
                       const char *name,
                       parse_fn *parse,
                       uint64_t *amount,
                       struct error *err)
{
    struct error why;

    if (parse(amount, options_text(s->options, name), &why) == 0)
        return 0;
    return options_refuse(s->options, name, err, "%s", why.text);
}

static int take_spec(const struct session *s, struct job_spec *spec, struct error *err)
{
    const char *name = options_text(s->options, "name");
    uint64_t *amount = spec->resources.amount;
    int rc;

    spec->name =
        mem_strdup(name != NULL ? name : base_name(options_operand(s->options, 0)));
    spec->instances = (uint32_t)options_number(s->options, "instances");
    for (size_t i = 0; i < options_operand_count(s->options); i++)
        job_spec_add_arg(spec, options_operand(s->options, i));
    rc = take_amount(s, "cpus", resource_parse_cpus, &amount[RESOURCE_CPUS], err);
    if (rc == 0)
        rc = take_amount(s, "mem", resource_parse_mib, &amount[RESOURCE_MEM], err);
    if (rc == 0 && job_spec_check(spec, err) != 0) {
        err->code = ERROR_USAGE; /* all of it stood on the command line */
        rc = -(int)ERROR_USAGE;
    }
    return rc;
}

static int run(struct session *s, struct error *err)
{
    struct job_spec spec;
    int rc;

    job_spec_init(&spec);
    rc = take_spec(s, &spec, err);
    if (rc == 0)
        rc = submit_job(s, &spec, err);
    job_spec_finish(&spec);
    return rc;
}

const struct subcommand subcommand_run = {
    .table =
        {
            .program = "run",
            .purpose = "run a command as a job and print the job's id",
            .details = "The id stands alone on standard output. It is printed once the "
                       "job is on the disks of most masters: from then on no failure "
                       "of a master loses it.",
            .rows = rows,
            .row_count = sizeof(rows) / sizeof(rows[0]),
            .operands = "[--] CMD [ARG]...",
            .operands_min = 1,
            .operands_max = LIMIT_ARGS,
            .order = OPERANDS_LAST,
        },
    .run = run,
};
