/* top_view.c - what `triarch top` knows at one time, and how it looks. */
#include "client/top_view.h"

#include "client/table.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define AGENT_LINES_PART 3 /* agents get a third of the lines at most */
#define HEAD_LINES       3 /* two heads, and a blank line between the tables */

void top_view_finish(struct top_view *v)
{
    for (size_t i = 0; i < v->agent_count; i++)
        mem_free(v->agents[i].hostname);
    for (size_t i = 0; i < v->task_count; i++)
        mem_free(v->tasks[i].name);
    mem_free(v->agents);
    mem_free(v->tasks);
    *v = (struct top_view){0};
}

/* ---- gathering ---- */

int top_view_add_agent(struct top_view *v,
                       const struct agent_info *a,
                       struct error *err)
{
    struct agent_spec spec;
    int rc;

    if (a->state == AGENT_GONE)
        return 0;
    rc = agent_spec_unpack(&spec, a->spec, err);
    if (rc != 0)
        return rc;
    MEM_GROW(v->agents, v->agent_capacity, v->agent_count + 1);
    v->agents[v->agent_count++] = (struct top_agent){
        .id = a->id,
        .state = a->state,
        .hostname = text_clean(text_view(spec.hostname)),
        .cpus_milli = spec.resources.amount[RESOURCE_CPUS],
        .memory_bytes = spec.resources.amount[RESOURCE_MEM],
        .limits = (spec.features & AGENT_FEATURE_LIMITS) != 0,
    };
    agent_spec_finish(&spec);
    return 0;
}

void top_view_add_task(struct top_view *v, const struct usage_info *info)
{
    if (v->task_count == LIMIT_TOP_TASKS) {
        v->left_out++;
        return;
    }
    MEM_GROW(v->tasks, v->task_capacity, v->task_count + 1);
    v->tasks[v->task_count++] = (struct top_task){.info = *info,
                                                  .name = text_clean(info->name),
                                                  .is_limited = info->limit_bytes > 0};
}

static int compare_ids(const void *a, const void *b)
{
    const struct top_agent *x = a, *y = b;

    return (x->id > y->id) - (x->id < y->id);
}

static int down(uint64_t a, uint64_t b)
{
    return (a < b) - (a > b);
}

static int by_cpu(const void *a, const void *b)
{
    const struct usage_report *x = &((const struct top_task *)a)->info.report;
    const struct usage_report *y = &((const struct top_task *)b)->info.report;
    int by = down(x->cpu_milli, y->cpu_milli);

    return by != 0 ? by : -down(x->attempt, y->attempt);
}

static int by_memory(const void *a, const void *b)
{
    const struct usage_report *x = &((const struct top_task *)a)->info.report;
    const struct usage_report *y = &((const struct top_task *)b)->info.report;
    int by = down(x->memory_bytes, y->memory_bytes);

    return by != 0 ? by : -down(x->attempt, y->attempt);
}

static int agents_by_cpu(const void *a, const void *b)
{
    const struct top_agent *x = a, *y = b;
    int by = down(x->used_milli, y->used_milli);

    return by != 0 ? by : compare_ids(a, b);
}

static int agents_by_memory(const void *a, const void *b)
{
    const struct top_agent *x = a, *y = b;
    int by = down(x->used_bytes, y->used_bytes);

    return by != 0 ? by : compare_ids(a, b);
}

static void sum_up(struct top_view *v)
{
    for (size_t i = 0; i < v->task_count; i++) {
        const struct usage_info *info = &v->tasks[i].info;
        struct top_agent key = {.id = info->agent};
        struct top_agent *a =
            bsearch(&key, v->agents, v->agent_count, sizeof(key), compare_ids);

        if (a == NULL)
            continue;
        a->tasks++;
        v->tasks[i].is_limited = a->limits && info->limit_bytes > 0;
        a->used_milli += info->report.cpu_milli;
        a->used_bytes += info->report.memory_bytes;
    }
}

void top_view_sort(struct top_view *v, enum top_order order)
{
    bool memory = order == TOP_BY_MEMORY;

    if (v->agent_count > 0)
        qsort(v->agents,
              v->agent_count,
              sizeof(*v->agents),
              memory ? agents_by_memory : agents_by_cpu);
    if (v->task_count > 0)
        qsort(v->tasks, v->task_count, sizeof(*v->tasks), memory ? by_memory : by_cpu);
}

void top_view_complete(struct top_view *v, enum top_order order)
{
    if (v->agent_count > 0) {
        qsort(v->agents, v->agent_count, sizeof(*v->agents), compare_ids);
        sum_up(v);
    }
    top_view_sort(v, order);
}

/* ---- tables ---- */

static const struct column agent_columns[] = {
    {"AGENT", COLUMN_NUMBER},
    {"HOSTNAME", COLUMN_TEXT},
    {"STATE", COLUMN_TEXT},
    {"TASKS", COLUMN_NUMBER},
    {"CPU %", COLUMN_NUMBER},
    {"CPUS", COLUMN_NUMBER},
    {"MEM", COLUMN_NUMBER},
    {"MEM TOTAL", COLUMN_NUMBER},
};

static const struct column task_columns[] = {
    {"AGENT", COLUMN_NUMBER},
    {"TASK", COLUMN_TEXT},
    {"JOB NAME", COLUMN_TEXT},
    {"CPU %", COLUMN_NUMBER},
    {"MEM", COLUMN_NUMBER},
    {"MEM LIMIT", COLUMN_NUMBER},
    {"IO", COLUMN_NUMBER},
    {"PIDS", COLUMN_NUMBER},
    {"UPTIME", COLUMN_NUMBER},
};

/* Of one cpu: 1500 is "150.0". */
static void append_percent(struct table *t, uint64_t milli, uint64_t of_milli)
{
    enum style style = of_milli > 0 && milli > of_milli ? STYLE_WARN : STYLE_PLAIN;

    table_cell(t, style, "%" PRIu64 ".%" PRIu64, milli / 10, milli % 10);
}

static void append_size(struct table *t, enum style style, uint64_t bytes)
{
    char text[TEXT_SHORT_MAX];

    table_cell(t, style, "%s", text_size(text, bytes));
}

static void append_agent(struct table *t, const struct top_agent *a)
{
    table_cell(t, STYLE_PLAIN, "%" PRIu64, a->id);
    table_cell(t, STYLE_PLAIN, "%s", a->hostname);
    table_cell(t,
               a->state == AGENT_ACTIVE ? STYLE_GOOD : STYLE_WARN,
               "%s",
               agent_state_name(a->state));
    table_cell(t, STYLE_PLAIN, "%" PRIu32, a->tasks);
    append_percent(t, a->used_milli, 0);
    table_cell(t, STYLE_PLAIN, "%" PRIu64, a->cpus_milli / 1000);
    append_size(t, STYLE_PLAIN, a->used_bytes);
    append_size(t, STYLE_PLAIN, a->memory_bytes);
}

static void append_limit(struct table *t, const struct top_task *task)
{
    if (task->is_limited)
        append_size(t, STYLE_PLAIN, task->info.limit_bytes);
    else
        table_cell(t, STYLE_DIM, "-");
}

static void append_usage(struct table *t, const struct top_task *task)
{
    const struct usage_info *info = &task->info;
    const struct usage_report *r = &info->report;
    bool tight = task->is_limited && r->memory_bytes > info->limit_bytes / 10 * 9;

    if (!info->known) {
        table_cell(t, STYLE_DIM, "-");
        table_cell(t, STYLE_DIM, "-");
        append_limit(t, task);
        table_cell(t, STYLE_DIM, "-");
        table_cell(t, STYLE_DIM, "-");
        return;
    }
    append_percent(t, r->cpu_milli, info->cpus_milli);
    append_size(t, tight ? STYLE_WARN : STYLE_PLAIN, r->memory_bytes);
    append_limit(t, task);
    append_size(t, STYLE_PLAIN, r->read_bytes + r->written_bytes);
    table_cell(t, STYLE_PLAIN, "%" PRIu32, r->pids);
}

static uint64_t uptime_ms(const struct top_view *v, const struct usage_info *info)
{
    return v->now_us > info->placed_us ? (v->now_us - info->placed_us) / 1000 : 0;
}

static void
append_task(const struct top_view *v, struct table *t, const struct top_task *task)
{
    const struct usage_info *info = &task->info;
    char time[TEXT_SHORT_MAX];

    table_cell(t, STYLE_PLAIN, "%" PRIu64, info->agent);
    table_cell(t, STYLE_PLAIN, "%" PRIu64 ".%" PRIu32, info->job, info->instance);
    table_cell(t, STYLE_PLAIN, "%s", task->name);
    append_usage(t, task);
    table_cell(t, STYLE_PLAIN, "%s", text_duration(time, uptime_ms(v, info)));
}

/* The last line of a table that is cut, in place of a row. */
static void write_more(struct screen *s, size_t shown, size_t count, const char *what)
{
    struct buffer line = {0};

    if (shown < count)
        buffer_printf(&line, "… %zu more %s\n", count - shown, what);
    screen_write(s, &line);
    buffer_finish(&line);
}

/* Rows for so many lines: one line less if it says what is missing. */
static size_t rows_for(size_t count, size_t lines)
{
    return count <= lines ? count : lines > 0 ? lines - 1 : 0;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

void top_view_print(const struct top_view *v, struct screen *s, unsigned lines)
{
    size_t agents = v->agent_count, tasks = v->task_count;
    struct buffer blank = {0};
    struct table *t;

    if (lines > 0) {
        size_t used = smaller(agents, lines / AGENT_LINES_PART);

        agents = rows_for(agents, used);
        used += HEAD_LINES;
        tasks = rows_for(tasks, lines > used ? lines - used : 0);
    }
    t = table_create(agent_columns, sizeof(agent_columns) / sizeof(agent_columns[0]));
    for (size_t i = 0; i < agents; i++)
        append_agent(t, &v->agents[i]);
    table_print(t, s);
    write_more(s, agents, v->agent_count, "agents");
    table_destroy(t);
    buffer_append_u8(&blank, '\n');
    screen_write(s, &blank);
    buffer_finish(&blank);
    t = table_create(task_columns, sizeof(task_columns) / sizeof(task_columns[0]));
    for (size_t i = 0; i < tasks; i++)
        append_task(v, t, &v->tasks[i]);
    table_print(t, s);
    write_more(s, tasks, v->task_count, "tasks");
    table_destroy(t);
}

/* ---- JSON ---- */

static json_t *number(uint64_t value)
{
    return json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value);
}

static json_t *agent_json(const struct top_agent *a)
{
    json_t *o = json_object();

    json_object_set_new(o, "id", number(a->id));
    json_object_set_new(o, "hostname", json_string(a->hostname));
    json_object_set_new(o, "state", json_string(agent_state_name(a->state)));
    json_object_set_new(o, "tasks", number(a->tasks));
    json_object_set_new(o, "cpus", json_real((double)a->used_milli / 1000));
    json_object_set_new(o, "cpus_total", json_real((double)a->cpus_milli / 1000));
    json_object_set_new(o, "memory_bytes", number(a->used_bytes));
    json_object_set_new(o, "memory_total_bytes", number(a->memory_bytes));
    return o;
}

static json_t *if_known(const struct usage_info *info, json_t *value)
{
    if (info->known)
        return value;
    json_decref(value);
    return json_null();
}

static json_t *task_json(const struct top_task *task)
{
    const struct usage_info *i = &task->info;
    const struct usage_report *r = &i->report;
    char id[48], placed[TEXT_TIME_MAX];
    json_t *o = json_object();

    snprintf(id, sizeof(id), "%" PRIu64 ".%" PRIu32, i->job, i->instance);
    text_time(placed, i->placed_us);
    json_object_set_new(o, "id", json_string(id));
    json_object_set_new(o, "name", json_string(task->name));
    json_object_set_new(o, "agent_id", number(i->agent));
    json_object_set_new(o, "cpus", if_known(i, json_real((double)r->cpu_milli / 1000)));
    json_object_set_new(
        o, "cpu_seconds", if_known(i, json_real((double)r->cpu_us / 1e6)));
    json_object_set_new(o, "memory_bytes", if_known(i, number(r->memory_bytes)));
    json_object_set_new(
        o, "memory_peak_bytes", if_known(i, number(r->memory_peak_bytes)));
    json_object_set_new(o, "read_bytes", if_known(i, number(r->read_bytes)));
    json_object_set_new(o, "written_bytes", if_known(i, number(r->written_bytes)));
    json_object_set_new(o, "pids", if_known(i, number(r->pids)));
    json_object_set_new(o, "cpus_given", json_real((double)i->cpus_milli / 1000));
    json_object_set_new(o,
                        "memory_limit_bytes",
                        task->is_limited ? number(i->limit_bytes) : json_null());
    json_object_set_new(o, "placed", json_string(placed));
    return o;
}

json_t *top_view_json(const struct top_view *v)
{
    json_t *agents = json_array(), *tasks = json_array();

    for (size_t i = 0; i < v->agent_count; i++)
        json_array_append_new(agents, agent_json(&v->agents[i]));
    for (size_t i = 0; i < v->task_count; i++)
        json_array_append_new(tasks, task_json(&v->tasks[i]));
    return json_pack("{s:o, s:o}", "agents", agents, "tasks", tasks);
}
