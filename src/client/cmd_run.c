/* cmd_run.c - triarch run: a job of one command. */
#include "client/submit.h"
#include "client/zone.h"

#include "base/mem.h"
#include "base/text.h"
#include "wire/cron.h"

#include <stdio.h>
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
    {.name = "kind",
     .kind = OPTION_TEXT,
     .argument = "KIND",
     .fallback = "batch",
     .help = "batch; service: its tasks are repeated however they end; system: one on "
             "each agent"},
    {.name = "gang",
     .kind = OPTION_FLAG,
     .help = "start all its tasks at once, or none"},
    {.name = "after",
     .kind = OPTION_LIST,
     .argument = "JOB[:END]",
     .help =
         "begin when this job has ended with success (the default), failure or any"},
    {.name = "schedule",
     .kind = OPTION_TEXT,
     .argument = "CRON",
     .help = "run it at each of these times, as '0 2 * * *' or @daily"},
    {.name = "timezone",
     .kind = OPTION_TEXT,
     .argument = "ZONE",
     .help = "of the schedule, as Europe/Berlin (default: UTC)"},
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
    {.name = "disk",
     .kind = OPTION_TEXT,
     .argument = "MIB",
     .fallback = "0",
     .help = "disk of each task, in MiB"},
    {.name = "gpus",
     .kind = OPTION_NUMBER,
     .argument = "N",
     .fallback = "0",
     .max = LIMIT_AGENT_GPUS,
     .help = "gpus of each task"},
    {.name = "ports",
     .kind = OPTION_NUMBER,
     .argument = "N",
     .fallback = "0",
     .max = LIMIT_TASK_PORTS,
     .help = "free ports of each task"},
    {.name = "env",
     .letter = 'e',
     .kind = OPTION_LIST,
     .argument = "NAME=VALUE",
     .help = "a variable of its environment"},
    {.name = "image",
     .kind = OPTION_TEXT,
     .argument = "IMAGE",
     .help = "run it in a container of this image: oci:PATH[:TAG], docker://NAME:TAG"},
    {.name = "user",
     .letter = 'u',
     .kind = OPTION_TEXT,
     .argument = "USER",
     .help = "user to run it as (default: the agent's)"},
    {.name = "max-runtime",
     .kind = OPTION_DURATION,
     .argument = "TIME",
     .fallback = "0",
     .max = LIMIT_JOB_TIME_MS,
     .help = "stop and fail a task after TIME; 0: never"},
    {.name = "restart",
     .kind = OPTION_NUMBER,
     .argument = "N",
     .fallback = "0",
     .max = UINT32_MAX - 1,
     .help = "start a task that failed again, up to N times in 10 minutes"},
    {.name = "reschedule",
     .kind = OPTION_NUMBER,
     .argument = "N",
     .fallback = "0",
     .max = UINT32_MAX - 1,
     .help = "then start it as a new attempt, maybe elsewhere, up to N times in 10 "
             "minutes"},
    {.name = "kill-grace",
     .kind = OPTION_DURATION,
     .argument = "TIME",
     .fallback = "5s",
     .max = LIMIT_KILL_GRACE_MS,
     .help = "from TERM to KILL when a task is to end"},
    {.name = "role",
     .kind = OPTION_TEXT,
     .argument = "ROLE",
     .help = "the role that it is in (default: default)"},
    {.name = "estimate",
     .kind = OPTION_DURATION,
     .argument = "TIME",
     .fallback = "0",
     .max = LIMIT_JOB_TIME_MS,
     .help = "how long a task takes; 0: the length that its role says"},
    {.name = "priority",
     .kind = OPTION_TEXT,
     .argument = "N",
     .fallback = "0",
     .help = "from -1000 to 1000; a higher one is placed first"},
    {.name = "constraint",
     .kind = OPTION_LIST,
     .argument = "CONDITION",
     .help =
         "only agents of which it holds, as 'rack = a', 'gen >= 3', 'host distinct'"},
    {.name = "affinity",
     .kind = OPTION_LIST,
     .argument = "CONDITION[:WEIGHT]",
     .help = "rather agents of which it holds, as 'zone = b:50'"},
    {.name = "spread",
     .kind = OPTION_LIST,
     .argument = "ATTRIBUTE[:WEIGHT]",
     .help = "as many tasks on each value of it, as rack"},
    {.name = "anti-affinity",
     .kind = OPTION_LIST,
     .argument = "JOB[:WEIGHT]",
     .help = "never, or with a weight rather not, where tasks of JOB are"},
    {.name = "exclusive",
     .kind = OPTION_FLAG,
     .help = "never let two runs of a task overlap"},
    SUBMIT_KEY_ROW,
    SUBMIT_JSON_ROW,
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

static int
take_resources(const struct session *s, struct job_spec *spec, struct error *err)
{
    uint64_t *amount = spec->resources.amount;
    int rc = take_amount(s, "cpus", resource_parse_cpus, &amount[RESOURCE_CPUS], err);

    if (rc == 0)
        rc = take_amount(s, "mem", resource_parse_mib, &amount[RESOURCE_MEM], err);
    if (rc == 0)
        rc = take_amount(s, "disk", resource_parse_mib, &amount[RESOURCE_DISK], err);
    amount[RESOURCE_GPUS] = options_number(s->options, "gpus");
    spec->ports.count = (uint32_t)options_number(s->options, "ports");
    return rc;
}

static char *take_text(const struct session *s, const char *name)
{
    const char *text = options_text(s->options, name);

    return text == NULL ? NULL : mem_strdup(text);
}

static struct job_retry take_retry(const struct session *s, const char *name)
{
    uint32_t attempts = (uint32_t)options_number(s->options, name);

    if (attempts == 0)
        return (struct job_retry){0};
    return (struct job_retry){.attempts = attempts,
                              .interval_ms = JOB_RETRY_INTERVAL_MS,
                              .delay_ms = JOB_RETRY_DELAY_MS,
                              .max_delay_ms = JOB_RETRY_MAX_DELAY_MS};
}

static int take_priority(const struct session *s, int32_t *out, struct error *err)
{
    const char *text = options_text(s->options, "priority");
    bool negative = text[0] == '-';
    uint64_t size;

    if (!text_parse_u64(&size, text + negative) || size > JOB_PRIORITY_MAX)
        return options_refuse(s->options,
                              "priority",
                              err,
                              "give a whole number from %d to %d",
                              JOB_PRIORITY_MIN,
                              JOB_PRIORITY_MAX);
    *out = negative ? -(int32_t)size : (int32_t)size;
    return 0;
}

static void take_policies(const struct session *s, struct job_spec *spec)
{
    spec->max_runtime_ms = options_duration_ms(s->options, "max-runtime");
    spec->kill_grace_ms = options_duration_ms(s->options, "kill-grace");
    spec->restart = take_retry(s, "restart");
    spec->reschedule = take_retry(s, "reschedule");
    if (options_flag(s->options, "exclusive")) {
        spec->lease_ms = JOB_LEASE_MS;
        spec->drift_permille = JOB_DRIFT_PERMILLE;
        spec->lease_grace_ms = JOB_LEASE_GRACE_MS;
    }
}

static int take_env(const struct session *s, struct job_spec *spec, struct error *err)
{
    for (size_t i = 0; i < options_list_count(s->options, "env"); i++) {
        const char *entry = options_list_at(s->options, "env", i);

        if (job_env_is_reserved(entry))
            return options_refuse(s->options,
                                  "env",
                                  err,
                                  "'%.*s': the agent sets what begins with %s; give "
                                  "another name",
                                  (int)strcspn(entry, "="),
                                  entry,
                                  JOB_ENV_PREFIX);
        job_spec_add_env(spec, entry);
    }
    return 0;
}

static int
take_schedule(const struct session *s, struct job_spec *spec, struct error *err)
{
    struct error why;
    struct cron cron;

    spec->schedule.cron = take_text(s, "schedule");
    job_spec_set_timezone(spec, options_text(s->options, "timezone"));
    if (spec->schedule.cron == NULL && options_given(s->options, "timezone"))
        return options_refuse(
            s->options, "timezone", err, "of a schedule; give --schedule as well");
    if (spec->schedule.cron != NULL &&
        cron_parse(&cron, spec->schedule.cron, &why) != 0)
        return options_refuse(s->options, "schedule", err, "%s", why.text);
    if (spec->schedule.timezone != NULL &&
        zone_check(spec->schedule.timezone, &why) != 0)
        return options_refuse(s->options, "timezone", err, "%s", why.text);
    return 0;
}

static int take_kind(const struct session *s, struct job_spec *spec, struct error *err)
{
    const char *kind = options_text(s->options, "kind");

    if (!job_kind_of(&spec->kind, kind))
        return options_refuse(s->options,
                              "kind",
                              err,
                              "'%.40s' is no kind; give batch, service or system",
                              kind);
    return 0;
}

static int take_after(const struct session *s, struct job_spec *spec, struct error *err)
{
    for (size_t i = 0; i < options_list_count(s->options, "after"); i++) {
        const char *text = options_list_at(s->options, "after", i);
        const char *colon = strchr(text, ':');
        struct job_after after = {.on = JOB_ON_SUCCESS};
        char id[24];
        uint64_t job;

        snprintf(id, sizeof(id), "%.*s", (int)strcspn(text, ":"), text);
        if (!text_parse_u64(&job, id) || job == 0 || job > INT64_MAX ||
            (colon != NULL && !job_on_of(&after.on, colon + 1)))
            return options_refuse(s->options,
                                  "after",
                                  err,
                                  "'%.40s': give the id of a job, or as 12:failure, "
                                  "12:any",
                                  text);
        after.job = (int64_t)job;
        job_spec_add_after(spec, after);
    }
    return 0;
}

/* Each text of a list option is read into a new part of what the job says. */
static int take_each(const struct session *s,
                     const char *name,
                     struct match *m,
                     int (*take)(struct match *m, const char *text, struct error *err),
                     struct error *err)
{
    struct error why;

    for (size_t i = 0; i < options_list_count(s->options, name); i++)
        if (take(m, options_list_at(s->options, name, i), &why) != 0)
            return options_refuse(s->options, name, err, "%s", why.text);
    return 0;
}

static int take_constraint(struct match *m, const char *text, struct error *err)
{
    return condition_parse(match_add_constraint(m), text, err);
}

static int take_affinity(struct match *m, const char *text, struct error *err)
{
    return affinity_parse(match_add_affinity(m), text, err);
}

static int take_spread(struct match *m, const char *text, struct error *err)
{
    return spread_parse(match_add_spread(m), text, err);
}

static int take_apart(struct match *m, const char *text, struct error *err)
{
    return apart_parse(match_add_apart(m), text, err);
}

static int take_match(const struct session *s, struct match *m, struct error *err)
{
    int rc = take_each(s, "constraint", m, take_constraint, err);

    if (rc == 0)
        rc = take_each(s, "affinity", m, take_affinity, err);
    if (rc == 0)
        rc = take_each(s, "spread", m, take_spread, err);
    if (rc == 0)
        rc = take_each(s, "anti-affinity", m, take_apart, err);
    return rc;
}

/* All of it stood on the command line. */
static int check_spec(const struct job_spec *spec, struct error *err)
{
    if (job_spec_check(spec, err) == 0 && match_check_regexps(&spec->match, err) == 0)
        return 0;
    err->code = ERROR_USAGE;
    return -(int)ERROR_USAGE;
}

static int take_spec(const struct session *s, struct job_spec *spec, struct error *err)
{
    const char *name = options_text(s->options, "name");
    int rc;

    spec->name =
        mem_strdup(name != NULL ? name : base_name(options_operand(s->options, 0)));
    spec->instances = (uint32_t)options_number(s->options, "instances");
    spec->gang = options_flag(s->options, "gang");
    for (size_t i = 0; i < options_operand_count(s->options); i++)
        job_spec_add_arg(spec, options_operand(s->options, i));
    spec->image.source = take_text(s, "image");
    spec->user = take_text(s, "user");
    job_spec_set_role(spec, options_text(s->options, "role"));
    spec->estimate_ms = options_duration_ms(s->options, "estimate");
    take_policies(s, spec);
    rc = take_schedule(s, spec, err);
    if (rc == 0)
        rc = take_kind(s, spec, err);
    if (rc == 0)
        rc = take_after(s, spec, err);
    if (rc == 0)
        rc = take_env(s, spec, err);
    if (rc == 0)
        rc = take_resources(s, spec, err);
    if (rc == 0)
        rc = take_priority(s, &spec->priority, err);
    if (rc == 0)
        rc = take_match(s, &spec->match, err);
    if (rc != 0)
        return rc;
    job_spec_complete(spec);
    return check_spec(spec, err);
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
