/* cmd_plan.c - triarch plan: what would happen. */
#include "client/submit.h"

#include "base/mem.h"
#include "base/text.h"
#include "wire/match.h"
#include "wire/message_plan.h"

#include <inttypes.h>
#include <string.h>

#define LINES_MAX 20 /* for people, of one kind in a row */

static const struct option_row rows[] = {
    {.name = "json", .kind = OPTION_FLAG, .help = "as JSON"},
    {.name = "without",
     .kind = OPTION_LIST,
     .argument = "NAME=VALUE",
     .help = "what if agents with this attribute were lost; agent=3 and host=NAME name "
             "one"},
    {.name = "drain",
     .kind = OPTION_LIST,
     .argument = "NAME=VALUE",
     .help = "the same, if they were drained"},
};

/* ---- asking ---- */

struct removals {
    struct plan_removal *items;
    uint32_t count;
};

static int take_removals(const struct session *s,
                         const char *option,
                         bool is_drain,
                         struct removals *r,
                         struct error *err)
{
    for (size_t i = 0; i < options_list_count(s->options, option); i++) {
        const char *text = options_list_at(s->options, option, i);
        size_t name = strcspn(text, "=");

        if (name == 0 || text[name] == 0 || name > LIMIT_ATTRIBUTE_BYTES ||
            strlen(text + name + 1) > LIMIT_ATTRIBUTE_BYTES)
            return options_refuse(
                s->options,
                option,
                err,
                "'%.40s': give an attribute of agents and its value, as "
                "rack=a or agent=3",
                text);
        if (r->count == LIMIT_PLAN_REMOVALS)
            return options_refuse(
                s->options, option, err, "at most %d in one plan", LIMIT_PLAN_REMOVALS);
        r->items[r->count++] =
            (struct plan_removal){.attribute = {(const uint8_t *)text, name},
                                  .value = text_view(text + name + 1),
                                  .is_drain = is_drain};
    }
    return 0;
}

static int ask(struct session *s,
               const struct job_set *set,
               const struct removals *r,
               struct buffer *result,
               struct list_result *list,
               struct error *err)
{
    char user[LIMIT_OWNER_BYTES + 1];
    struct plan_request request = {.owner = text_view(submit_user(user)),
                                   .removals = r->items,
                                   .removal_count = r->count};
    struct buffer frame = {0}, specs = {0};
    int rc = set->count == 0 ? 0 : submit_check(set, err);

    if (rc == 0 && set->count > 0)
        job_specs_pack(set->specs, set->count, &specs);
    request.specs = buffer_view(&specs);
    if (rc == 0)
        rc = session_open(s, err);
    if (rc == 0) {
        plan_pack(&request, 0, &frame);
        rc = session_call(s, buffer_view(&frame), CLIENT_LEADER, result, NULL, err);
    }
    if (rc == 0)
        rc = list_result_unpack(list, METHOD_PLAN, buffer_view(result), err);
    buffer_finish(&frame);
    buffer_finish(&specs);
    return rc;
}

/* ---- for programs ---- */

static json_t *put(json_t *parent, const char *list)
{
    json_t *o = json_object();

    json_array_append_new(json_object_get(parent, list), o);
    return o;
}

static void put_number(json_t *o, const char *name, uint64_t value)
{
    json_object_set_new(o, name, json_integer((json_int_t)value));
}

static void put_text(json_t *o, const char *name, struct bytes text)
{
    char *clean = text_clean(text);

    json_object_set_new(o, name, json_string(clean));
    mem_free(clean);
}

static void put_job_id(json_t *o, const struct plan_row *r)
{
    put_number(o, "job_id", r->other);
    put_text(o, "name", r->name);
}

static void put_agent(json_t *o, const struct plan_row *r)
{
    put_number(o, "agent_id", r->agent);
    put_text(o, "hostname", r->host);
    put_number(o, "tasks", r->count);
}

static void put_row(json_t *doc, const struct plan_row *r)
{
    json_t *o, *job = json_array_get(json_object_get(doc, "jobs"), r->job);

    switch (r->kind) {
    case PLAN_JOB:
        o = put(doc, "jobs");
        put_text(o, "name", r->name);
        put_number(o, "tasks", r->count);
        json_object_set_new(o, "placed", json_array());
        put_number(o, "waiting", 0);
        json_object_set_new(o, "why", json_null());
        json_object_set_new(o, "same_name", json_null());
        break;
    case PLAN_PLACED:
        put_agent(put(job, "placed"), r);
        break;
    case PLAN_WAITS:
        put_number(job, "waiting", r->count);
        put_text(job, "why", r->why);
        break;
    case PLAN_SAME:
        o = json_object();
        put_number(o, "job_id", r->other);
        put_text(o, "differences", r->why);
        json_object_set_new(job, "same_name", o);
        break;
    case PLAN_REMOVED:
        put_agent(put(doc, "removed"), r);
        break;
    case PLAN_MOVED:
        o = put(doc, "moved");
        put_job_id(o, r);
        put_number(o, "from_agent_id", r->from);
        put_agent(o, r);
        break;
    case PLAN_STRANDED:
        o = put(doc, "stranded");
        put_job_id(o, r);
        put_number(o, "from_agent_id", r->from);
        put_number(o, "tasks", r->count);
        put_text(o, "why", r->why);
        break;
    case PLAN_STOPPED:
        o = put(doc, "preempted");
        put_job_id(o, r);
        put_agent(o, r);
        break;
    case PLAN_ROW_COUNT:
        break;
    }
}

static void write_json(struct session *s, const struct list_result *list)
{
    static const char *const LISTS[] = {
        "jobs", "removed", "moved", "stranded", "preempted"};
    json_t *doc = json_object();
    struct command_cursor at = {0};
    struct plan_row row;

    put_number(doc, "check_index", list->index);
    for (size_t i = 0; i < sizeof(LISTS) / sizeof(LISTS[0]); i++)
        json_object_set_new(doc, LISTS[i], json_array());
    put_number(doc, "left_out", list->next);
    while (plan_row_next(list, &at, &row))
        put_row(doc, &row);
    session_write_json(s, doc);
}

/* ---- for people ---- */

static void say_text(struct buffer *out, struct bytes text)
{
    char *clean = text_clean(text);

    buffer_append_text(out, clean);
    mem_free(clean);
}

/* "agent 3 (node-c)" */
static void say_agent(struct buffer *out, const struct plan_row *r)
{
    buffer_printf(out, "agent %" PRIu64 " (", r->agent);
    say_text(out, r->host);
    buffer_append_text(out, ")");
}

/* "8 of job 7 (web)" */
static void say_tasks(struct buffer *out, const struct plan_row *r)
{
    buffer_printf(out, "%u of job %" PRIu64 " (", r->count, r->other);
    say_text(out, r->name);
    buffer_append_text(out, ")");
}

static void say_why(struct buffer *out, const struct plan_row *r, const char *before)
{
    if (r->why.size == 0)
        return;
    buffer_append_text(out, before);
    say_text(out, r->why);
}

static void say(struct buffer *out, const struct plan_row *r)
{
    switch (r->kind) {
    case PLAN_JOB:
        say_text(out, r->name);
        buffer_printf(out, ": %u task%s", r->count, r->count == 1 ? "" : "s");
        break;
    case PLAN_PLACED:
        buffer_printf(out, "  %u on ", r->count);
        say_agent(out, r);
        break;
    case PLAN_WAITS:
        if (r->count > 0)
            buffer_printf(out, "  %u wait%s", r->count, r->count == 1 ? "s" : "");
        say_why(out, r, r->count > 0 ? ": " : "  ");
        break;
    case PLAN_SAME:
        buffer_printf(
            out, "  job %" PRIu64 " has this name and goes on beside it", r->other);
        say_why(out, r, "; it differs in: ");
        break;
    case PLAN_REMOVED:
        buffer_append_text(out, "  ");
        say_agent(out, r);
        buffer_printf(out, ": %u task%s", r->count, r->count == 1 ? "" : "s");
        break;
    case PLAN_MOVED:
        buffer_append_text(out, "  ");
        say_tasks(out, r);
        buffer_printf(out, " from agent %" PRIu64 " to ", r->from);
        say_agent(out, r);
        break;
    case PLAN_STRANDED:
        buffer_append_text(out, "  ");
        say_tasks(out, r);
        buffer_printf(
            out, " from agent %" PRIu64 " wait%s", r->from, r->count == 1 ? "s" : "");
        say_why(out, r, ": ");
        break;
    case PLAN_STOPPED:
        buffer_append_text(out, "  ");
        say_tasks(out, r);
        buffer_append_text(out, " on ");
        say_agent(out, r);
        break;
    case PLAN_ROW_COUNT:
        break;
    }
    buffer_append_text(out, "\n");
}

/* Rows that stand together, and what is above them. */
enum group { GROUP_NONE, GROUP_JOBS, GROUP_REMOVED, GROUP_MOVED, GROUP_STOPPED };

static const char *const HEADINGS[] = {
    [GROUP_JOBS] = "",
    [GROUP_REMOVED] = "not there:\n",
    [GROUP_MOVED] = "tasks that had been there:\n",
    [GROUP_STOPPED] = "stopped, to make room:\n",
};

static enum group group(enum plan_row_kind kind)
{
    switch (kind) {
    case PLAN_JOB:
    case PLAN_PLACED:
    case PLAN_WAITS:
    case PLAN_SAME:
        return GROUP_JOBS;
    case PLAN_REMOVED:
        return GROUP_REMOVED;
    case PLAN_MOVED:
    case PLAN_STRANDED:
        return GROUP_MOVED;
    case PLAN_STOPPED:
        return GROUP_STOPPED;
    case PLAN_ROW_COUNT:
        break;
    }
    return GROUP_NONE;
}

static void print(struct session *s, const struct list_result *list, bool has_jobs)
{
    enum plan_row_kind last = PLAN_ROW_COUNT;
    struct command_cursor at = {0};
    struct buffer out = {0};
    struct plan_row row;
    unsigned lines = 0;

    while (plan_row_next(list, &at, &row)) {
        if (row.kind != last && lines > LINES_MAX)
            buffer_printf(
                &out, "  and %u more; --json lists them\n", lines - LINES_MAX);
        if (group(row.kind) != group(last))
            buffer_append_text(&out, HEADINGS[group(row.kind)]);
        lines = row.kind == last && row.kind != PLAN_JOB ? lines + 1 : 1;
        last = row.kind;
        if (lines <= LINES_MAX)
            say(&out, &row);
    }
    if (lines > LINES_MAX)
        buffer_printf(&out, "  and %u more; --json lists them\n", lines - LINES_MAX);
    if (list->next > 0)
        buffer_printf(
            &out, "%" PRIu64 " more lines had no place in the answer\n", list->next);
    if (has_jobs)
        buffer_printf(&out,
                      "`triarch submit --check-index %" PRIu64
                      "` is refused if agents or jobs of the role changed meanwhile\n",
                      list->index);
    screen_write(&s->out, &out);
    buffer_finish(&out);
}

/* ---- the command ---- */

static int run(struct session *s, struct error *err)
{
    struct plan_removal items[LIMIT_PLAN_REMOVALS];
    struct removals removals = {items, 0};
    struct buffer result = {0};
    struct list_result list;
    struct job_set set = {0};
    int rc = take_removals(s, "without", false, &removals, err);

    if (rc == 0)
        rc = take_removals(s, "drain", true, &removals, err);
    if (rc != 0)
        return rc;
    if (options_operand_count(s->options) == 0 && removals.count == 0)
        return error_set(
            err,
            ERROR_USAGE,
            "give a job file, or with --without or --drain the agents that "
            "would not be there");
    if (options_operand_count(s->options) > 0)
        rc = submit_read(&set, options_operand(s->options, 0), err);
    if (rc != 0)
        return rc;
    rc = ask(s, &set, &removals, &result, &list, err);
    if (rc == -(int)ERROR_NOT_FOUND && set.count > 0)
        rc = submit_tell_missing(s, &set, err);
    if (rc == 0 && options_flag(s->options, "json"))
        write_json(s, &list);
    else if (rc == 0)
        print(s, &list, set.count > 0);
    job_set_finish(&set);
    buffer_finish(&result);
    return rc;
}

const struct subcommand subcommand_plan = {
    .table =
        {
            .program = "plan",
            .purpose = "say what would happen: jobs submitted, agents not there",
            .details =
                "FILE is a job file, as of `submit`. Shown is where its tasks would "
                "go, "
                "what would be stopped for them, why others would wait, and how a "
                "running job of the same name differs. Nothing is changed.",
            .rows = rows,
            .row_count = sizeof(rows) / sizeof(rows[0]),
            .operands = "[FILE]",
            .operands_max = 1,
        },
    .run = run,
};
