/* cmd_submit.c - triarch submit: a job file. */
#include "client/submit.h"

#include "wire/job_set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct option_row rows[] = {
    SUBMIT_KEY_ROW,
    SUBMIT_WAIT_ROW,
    {.name = "check",
     .kind = OPTION_FLAG,
     .help = "only say whether FILE is a valid job; no cluster is asked"},
};

static int
read_all(FILE *file, const char *name, struct buffer *text, struct error *err)
{
    size_t got;

    do {
        got = fread(buffer_reserve(text, KIB), 1, KIB, file);
        text->size += got;
    } while (got > 0 && !feof(file) && /* a terminal has one end for each Ctrl-D */
             text->size <= LIMIT_JOB_FILE_BYTES); /* no more is read */
    if (ferror(file))
        return error_set(err, ERROR_IO, "read %s: %s", name, strerror(errno));
    if (text->size > LIMIT_JOB_FILE_BYTES)
        return error_set(err,
                         ERROR_TOO_LARGE,
                         "%s: a job file has at most %lu KiB",
                         name,
                         LIMIT_JOB_FILE_BYTES / KIB);
    return 0;
}

static int read_file(const char *path, struct buffer *text, struct error *err)
{
    FILE *file;
    int rc;

    if (strcmp(path, "-") == 0)
        return read_all(stdin, "standard input", text, err);
    file = fopen(path, "re");
    if (file == NULL)
        return error_set(err, ERROR_IO, "open %s: %s", path, strerror(errno));
    rc = read_all(file, path, text, err);
    fclose(file);
    return rc;
}

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

static int run(struct session *s, struct error *err)
{
    const char *path = options_operand(s->options, 0);
    struct buffer text = {0};
    struct job_set set;
    int rc = read_file(path, &text, err);

    if (rc == 0)
        rc = job_set_parse(&set, path, buffer_view(&text), err);
    buffer_finish(&text);
    if (rc != 0)
        return rc;
    if (!options_flag(s->options, "check"))
        rc = submit_set(s, &set, err);
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
