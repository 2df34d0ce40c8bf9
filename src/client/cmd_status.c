/* cmd_status.c - triarch status: all jobs, or the tasks of one. */
#include "client/failures.h"
#include "client/progress.h"
#include "client/session.h"
#include "client/table.h"
#include "client/zone.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "wire/json.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LISTED_MAX  100 /* tasks of a job that are all listed without --all */
#define UNUSUAL_MAX 20  /* of a larger job */
#define ZONES_MAX   100 /* schedules in a listing whose zones are asked for */
#define SEARCH_MAX \
    100000 /* tasks; of a larger job only if the counts promise something */

static const struct option_row rows[] = {
    {.name = "json", .kind = OPTION_FLAG, .help = "as JSON"},
    {.name = "all",
     .letter = 'a',
     .kind = OPTION_FLAG,
     .help = "list every task, also of a large job"},
    {.name = "running",
     .letter = 'r',
     .kind = OPTION_FLAG,
     .help = "only jobs that have not ended"},
    {.name = "stale",
     .kind = OPTION_FLAG,
     .help = "let any master answer from what it has; it may be behind"},
};

static const char *since(char out[TEXT_SHORT_MAX], uint64_t begin_us, uint64_t end_us)
{
    if (begin_us == 0)
        snprintf(out, TEXT_SHORT_MAX, "-");
    else
        text_duration(out, end_us > begin_us ? (end_us - begin_us) / 1000 : 0);
    return out;
}

/* What it waits for; the next slot of a schedule in its zone, too, which only its spec tells. */
static void
append_why(struct buffer *out, struct session *s, const struct job_summary *job)
{
    struct job_spec spec;

    if (!zone_has_slot(job->why) || session_job_spec(s, job->id, &spec, NULL) != 0) {
        buffer_append(out, job->why.data, job->why.size);
        return;
    }
    zone_append_slot(out, job->why, spec.schedule.timezone);
    job_spec_finish(&spec);
}

/* ---- all jobs ---- */

struct jobs {
    struct session *session;
    bool running_only;
    unsigned zones; /* that were asked for */
    json_t *list;   /* or NULL */
    struct table *table;
};

static bool is_wanted(const struct jobs *jobs, const struct job_summary *job)
{
    return !jobs->running_only || !job_state_is_final(job->state);
}

static int
append_json_jobs(void *user, const struct list_result *page, struct error *err)
{
    struct jobs *jobs = user;
    struct command_cursor at = {0};
    struct job_summary job;

    (void)err;
    while (job_summary_next(page, &at, &job))
        if (is_wanted(jobs, &job))
            json_array_append_new(jobs->list, json_job_summary(&job));
    return 0;
}

static const struct column job_columns[] = {
    {"ID", COLUMN_NUMBER},
    {"NAME", COLUMN_TEXT},
    {"STATE", COLUMN_TEXT},
    {"DONE", COLUMN_NUMBER},
    {"RUNNING", COLUMN_NUMBER},
    {"PENDING", COLUMN_NUMBER},
    {"FAILED", COLUMN_NUMBER},
    {"TIME", COLUMN_NUMBER},
    {"REMARK", COLUMN_BELOW},
};

static void append_remark(struct jobs *jobs, const struct job_summary *job)
{
    struct buffer text = {0};

    if (zone_has_slot(job->why) && jobs->zones++ < ZONES_MAX)
        append_why(&text, jobs->session, job);
    else
        buffer_append(&text, job->why.data, job->why.size);
    table_cell_bytes(jobs->table, STYLE_WARN, buffer_view(&text));
    buffer_finish(&text);
}

static int append_jobs(void *user, const struct list_result *page, struct error *err)
{
    struct jobs *jobs = user;
    struct table *t = jobs->table;
    struct command_cursor at = {0};
    struct job_summary job;
    char time[TEXT_SHORT_MAX];

    (void)err;
    while (job_summary_next(page, &at, &job)) {
        const uint32_t *n = job.tasks;
        uint32_t bad = n[TASK_FAILED] + n[TASK_ERROR];
        uint64_t end_us = job.ended_us != 0 ? job.ended_us : clock_wall_us();

        if (!is_wanted(jobs, &job))
            continue;
        table_cell(t, STYLE_PLAIN, "%" PRIu64, job.id);
        table_cell_bytes(t, STYLE_PLAIN, job.name);
        table_cell(t, style_of_job(job.state), "%s", job_state_name(job.state));
        table_cell(
            t, STYLE_PLAIN, "%" PRIu32 "/%" PRIu32, n[TASK_FINISHED], job.instances);
        table_cell(t,
                   STYLE_PLAIN,
                   "%" PRIu32,
                   n[TASK_STAGING] + n[TASK_STARTING] + n[TASK_RUNNING] +
                       n[TASK_KILLING]);
        table_cell(t, STYLE_PLAIN, "%" PRIu32, n[TASK_PENDING]);
        table_cell(t, bad > 0 ? STYLE_BAD : STYLE_PLAIN, "%" PRIu32, bad);
        table_cell(t, STYLE_PLAIN, "%s", since(time, job.submitted_us, end_us));
        append_remark(jobs, &job);
    }
    return 0;
}

static int status_of_all(struct session *s, struct error *err)
{
    struct jobs jobs = {.session = s,
                        .running_only = options_flag(s->options, "running")};
    int rc;

    if (options_flag(s->options, "json")) {
        jobs.list = json_array();
        rc = session_list(s, METHOD_JOBS, 0, append_json_jobs, &jobs, err);
        if (rc == 0)
            session_write_json(s, jobs.list);
        else
            json_decref(jobs.list);
        return rc;
    }
    jobs.table =
        table_create(job_columns, sizeof(job_columns) / sizeof(job_columns[0]));
    rc = session_list(s, METHOD_JOBS, 0, append_jobs, &jobs, err);
    if (rc == 0)
        table_print(jobs.table, &s->out);
    if (rc == 0 && table_rows(jobs.table) == 0)
        session_note(s,
                     jobs.running_only ? "no jobs that have not ended"
                                       : "no jobs; `triarch run -- CMD` makes one");
    table_destroy(jobs.table);
    return rc;
}

/* ---- the tasks of one job ---- */

struct json_tasks {
    uint64_t job;
    json_t *list;
};

static int
append_json_tasks(void *user, const struct list_result *page, struct error *err)
{
    struct json_tasks *tasks = user;
    struct command_cursor at = {0};
    struct task_info task;

    (void)err;
    while (task_info_next(page, &at, &task))
        json_array_append_new(tasks->list, json_task(tasks->job, &task));
    return 0;
}

/* A job, or one task of it. */
struct wanted {
    uint64_t job;
    uint32_t instance;
    bool one_task;
};

/* The pages that hold what is wanted. */
static int visit_tasks(struct session *s,
                       const struct wanted *w,
                       page_fn *visit,
                       void *user,
                       struct error *err)
{
    struct buffer bytes = {0};
    struct list_result page;
    struct task_info task;
    int rc;

    if (!w->one_task)
        return session_list(s, METHOD_TASKS, w->job, visit, user, err);
    rc = session_task(s, w->job, w->instance, &bytes, &task, err);
    if (rc == 0)
        rc = list_result_unpack(&page, METHOD_TASKS, buffer_view(&bytes), err);
    if (rc == 0)
        rc = visit(user, &page, err);
    buffer_finish(&bytes);
    return rc;
}

/* A new reference, or NULL with an error. */
static json_t *json_of(struct session *s,
                       const struct job_summary *job,
                       const struct wanted *w,
                       struct error *err)
{
    struct json_tasks tasks = {job->id, json_array()};
    json_t *spec = session_spec(s, job->id, err);

    if (spec != NULL && visit_tasks(s, w, append_json_tasks, &tasks, err) == 0)
        return json_job(job, tasks.list, spec);
    json_decref(spec);
    json_decref(tasks.list);
    return NULL;
}

static const struct column task_columns[] = {
    {"TASK", COLUMN_TEXT},
    {"STATE", COLUMN_TEXT},
    {"ATTEMPT", COLUMN_NUMBER},
    {"RESTARTS", COLUMN_NUMBER},
    {"HEALTH", COLUMN_TEXT},
    {"AGENT", COLUMN_NUMBER},
    {"PORTS", COLUMN_TEXT},
    {"TIME", COLUMN_NUMBER},
    {"MESSAGE", COLUMN_BELOW},
};

struct task_table {
    struct table *table;
    uint64_t job;
    bool unusual_only;
    uint64_t left_out;
};

/* Cells without text where there is nothing to say: then the columns are left out. */
static void append_restarts(struct table *t, const struct task_info *task)
{
    if (task->restarts > 0)
        table_cell(t, STYLE_WARN, "%" PRIu32, task->restarts);
    else
        table_cell(t, STYLE_PLAIN, "%s", "");
}

static void append_health(struct table *t, const struct task_info *task)
{
    bool known = task->health != HEALTH_UNKNOWN;

    table_cell(t,
               task->health == HEALTH_FAILING     ? STYLE_BAD
               : task->health == HEALTH_NOT_READY ? STYLE_WARN
                                                  : STYLE_PLAIN,
               "%s",
               known ? task_health_name(task->health) : "");
}

/* "31000,31004-31006" */
static void append_ports(struct table *t, const struct task_info *task)
{
    const uint16_t *p = task->ports;
    struct buffer text = {0};

    for (uint32_t i = 0, last; i < task->port_count; i = last + 1) {
        for (last = i; last + 1 < task->port_count && p[last + 1] == p[last] + 1;)
            last++;
        buffer_printf(&text, "%s%u", i > 0 ? "," : "", p[i]);
        if (last > i)
            buffer_printf(&text, "%s%u", last > i + 1 ? "-" : ",", p[last]);
    }
    table_cell_bytes(t, STYLE_PLAIN, buffer_view(&text));
    buffer_finish(&text);
}

/* What takes long before a task runs is fetching what it needs. */
static void append_begin(struct buffer *out, const struct task_info *task)
{
    char time[TEXT_SHORT_MAX];

    if ((task->state == TASK_STAGING || task->state == TASK_STARTING) &&
        task->placed_us != 0)
        buffer_printf(out,
                      "%splaced %s ago",
                      out->size > 0 ? "; " : "gets ready; ",
                      since(time, task->placed_us, clock_wall_us()));
}

/* What it waits for, and what became of its last attempt. */
static void append_message(struct table *t, const struct task_info *task)
{
    struct buffer out = {0}, last = {0};
    char *why = text_clean(task->why);

    if (task->state != TASK_FINISHED)
        task_append_why(&last, task);
    append_begin(&last, task);
    buffer_append_text(&out, why);
    if (why[0] != '\0' && last.size > 0)
        buffer_printf(&out, " (%.*s)", (int)last.size, (const char *)last.data);
    else
        buffer_append(&out, last.data, last.size);
    table_cell_bytes(t, why[0] != '\0' ? STYLE_WARN : STYLE_PLAIN, buffer_view(&out));
    buffer_finish(&last);
    buffer_finish(&out);
    mem_free(why);
}

static void append_task(struct task_table *t, const struct task_info *task)
{
    uint64_t end_us = task->ended_us != 0 ? task->ended_us : clock_wall_us();
    char time[TEXT_SHORT_MAX];

    table_cell(t->table, STYLE_PLAIN, "%" PRIu64 ".%" PRIu32, t->job, task->instance);
    table_cell(
        t->table, style_of_task(task->state), "%s", task_state_name(task->state));
    table_cell(t->table,
               task->attempt > 1 ? STYLE_WARN : STYLE_PLAIN,
               "%" PRIu32,
               task->attempt);
    append_restarts(t->table, task);
    append_health(t->table, task);
    if (task->agent_id != 0)
        table_cell(t->table, STYLE_PLAIN, "%" PRIu64, task->agent_id);
    else
        table_cell(t->table, STYLE_PLAIN, "-");
    append_ports(t->table, task);
    table_cell(t->table, STYLE_PLAIN, "%s", since(time, task->started_us, end_us));
    append_message(t->table, task);
}

static int append_tasks(void *user, const struct list_result *page, struct error *err)
{
    struct task_table *t = user;
    struct command_cursor at = {0};
    struct task_info task;

    (void)err;
    while (task_info_next(page, &at, &task)) {
        if (t->unusual_only && !task_is_unusual(&task))
            continue;
        if (t->unusual_only && table_rows(t->table) == UNUSUAL_MAX)
            t->left_out++;
        else
            append_task(t, &task);
    }
    return 0;
}

static void write_head(struct session *s, const struct job_summary *job)
{
    char *name = text_clean(job->name), *why;
    struct buffer out = {0}, waits = {0};
    char time[TEXT_SHORT_MAX];

    append_why(&waits, s, job);
    why = text_clean(buffer_view(&waits));
    buffer_printf(&out, "Job %" PRIu64 " ", job->id);
    screen_styled(&out, &s->out, STYLE_HEAD, name);
    buffer_append_text(&out, "  ");
    screen_styled(&out, &s->out, style_of_job(job->state), job_state_name(job->state));
    buffer_append_text(&out, "\n  ");
    progress_counts(&out, &s->out, job);
    buffer_printf(&out,
                  "\n  submitted %s ago, ",
                  since(time, job->submitted_us, clock_wall_us()));
    if (job->ended_us != 0)
        buffer_printf(
            &out, "ended %s later", since(time, job->submitted_us, job->ended_us));
    else
        buffer_append_text(&out,
                           job->state == JOB_PENDING ? "not started yet" : "running");
    buffer_printf(&out, ", priority %" PRId32 "\n", job->priority);
    if (why[0] != '\0') {
        const char *head = job->tasks[TASK_PENDING] > 0 ? "  pending: " : "  note: ";

        screen_styled(&out, &s->out, STYLE_WARN, head);
        screen_wrap(&out, &s->out, STYLE_PLAIN, why, strlen(head));
        buffer_append_u8(&out, '\n');
    }
    screen_write(&s->out, &out);
    buffer_finish(&waits);
    buffer_finish(&out);
    mem_free(name);
    mem_free(why);
}

static uint32_t ended_badly(const struct job_summary *job)
{
    return progress_ended(job) - job->tasks[TASK_FINISHED];
}

static void write_tasks(struct session *s, const struct task_table *t, uint64_t job)
{
    if (table_rows(t->table) > 0) {
        fputc('\n', s->out.file);
        table_print(t->table, &s->out);
    }
    if (t->left_out > 0)
        session_note(s,
                     "and %" PRIu64 " more like these; `triarch status %" PRIu64
                     " --all` lists every task",
                     t->left_out,
                     job);
    else if (t->unusual_only)
        session_note(s,
                     "only unusual tasks are listed; `triarch status %" PRIu64
                     " --all` lists every task",
                     job);
}

static int write_job(struct session *s,
                     const struct job_summary *job,
                     const struct wanted *w,
                     struct error *err)
{
    bool is_large = job->instances > LISTED_MAX && !options_flag(s->options, "all");
    struct task_table t = {.job = job->id, .unusual_only = is_large && !w->one_task};
    int rc = 0;

    t.table =
        table_create(task_columns, sizeof(task_columns) / sizeof(task_columns[0]));
    if (!t.unusual_only || job->instances <= SEARCH_MAX || ended_badly(job) > 0)
        rc = visit_tasks(s, w, append_tasks, &t, err);
    if (rc == 0) {
        write_head(s, job);
        write_tasks(s, &t, job->id);
    }
    table_destroy(t.table);
    return rc;
}

/* `list`: what is to be written as JSON at the end, or NULL. */
static int status_of_one(struct session *s,
                         const struct wanted *w,
                         json_t *list,
                         struct error *err)
{
    struct buffer page = {0};
    struct job_summary job;
    json_t *value;
    int rc = session_job(s, w->job, &page, &job, err);

    if (rc == 0 && list == NULL) {
        rc = write_job(s, &job, w, err);
    } else if (rc == 0) {
        value = json_of(s, &job, w, err);
        rc = value == NULL ? -(int)err->code : json_array_append_new(list, value);
    }
    buffer_finish(&page);
    return rc;
}

static int read_wanted(const struct session *s, struct wanted *list, struct error *err)
{
    for (size_t i = 0; i < options_operand_count(s->options); i++) {
        const char *text = options_operand(s->options, i);

        list[i].one_task = strchr(text, '.') != NULL;
        if (!task_name_parse(text, &list[i].job, &list[i].instance))
            return error_set(err,
                             ERROR_USAGE,
                             "\"%.64s\" is not the id of a job: write the number that "
                             "`triarch run` printed, or JOB.INSTANCE, as 17.3, for one "
                             "task",
                             text);
    }
    return 0;
}

/* One is a document of its own; several are a list. */
static void write_json(struct session *s, json_t *list)
{
    if (json_array_size(list) == 1)
        session_write_json(s, json_incref(json_array_get(list, 0)));
    else
        session_write_json(s, json_incref(list));
}

static int status_of_some(struct session *s, size_t count, struct error *err)
{
    struct wanted *wanted = mem_zalloc(count * sizeof(*wanted));
    json_t *list = options_flag(s->options, "json") ? json_array() : NULL;
    int rc = read_wanted(s, wanted, err);

    if (rc == 0)
        rc = session_open(s, err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        if (i > 0 && list == NULL)
            fputc('\n', s->out.file);
        rc = status_of_one(s, &wanted[i], list, err);
    }
    if (rc == 0 && list != NULL)
        write_json(s, list);
    json_decref(list);
    mem_free(wanted);
    return rc;
}

static int run(struct session *s, struct error *err)
{
    size_t count = options_operand_count(s->options);
    int rc;

    if (count > 0)
        return status_of_some(s, count, err);
    rc = session_open(s, err);
    return rc != 0 ? rc : status_of_all(s, err);
}

const struct subcommand subcommand_status = {
    .table =
        {
            .program = "status",
            .meant = "ps list ls jobs get",
            .purpose = "list the jobs, or the tasks of some",
            .details =
                "TASK is JOB.INSTANCE. Of a job with many tasks only the unusual ones "
                "are listed: "
                "those that did not end well, whose checks fail, and those that were "
                "tried more than once or wait for time to pass. What tasks wait for is "
                "told.",
            .rows = rows,
            .row_count = sizeof(rows) / sizeof(rows[0]),
            .operands = "[JOB|TASK]...",
            .operands_max = LIMIT_ARGS,
        },
    .run = run,
};
