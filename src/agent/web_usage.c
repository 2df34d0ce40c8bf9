/* web_usage.c - what runs use over HTTP. */
#include "agent/web.h"

#include "agent/usages.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"

static json_t *number(uint64_t value)
{
    return json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value);
}

static json_t *time_of(uint64_t stamp_us)
{
    char text[TEXT_TIME_MAX];

    if (stamp_us == 0)
        return json_null();
    text_time(text, stamp_us);
    return json_string(text);
}

static json_t *report_json(const struct usage_report *r)
{
    json_t *o = json_object();

    json_object_set_new(o, "attempt", number(r->attempt));
    json_object_set_new(o, "cpus", json_real((double)r->cpu_milli / 1000));
    json_object_set_new(o, "cpu_seconds", json_real((double)r->cpu_us / 1e6));
    json_object_set_new(o, "memory_bytes", number(r->memory_bytes));
    json_object_set_new(o, "memory_peak_bytes", number(r->memory_peak_bytes));
    json_object_set_new(o, "read_bytes", number(r->read_bytes));
    json_object_set_new(o, "written_bytes", number(r->written_bytes));
    json_object_set_new(o, "pids", number(r->pids));
    return o;
}

static json_t *samples_json(const struct usage_record *record)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < record->sample_count; i++) {
        const struct usage_sample *s = &record->samples[i];
        json_t *o = json_object();

        json_object_set_new(o, "time", time_of(s->at_us));
        json_object_set_new(o, "cpu_seconds", json_real((double)s->cpu_us / 1e6));
        json_object_set_new(o, "memory_bytes", number(s->memory_bytes));
        json_object_set_new(o, "pids", number(s->pids));
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *record_json(const struct usage_record *record)
{
    const struct usage_reading *last = &record->last;
    const struct usage_report report = {
        .attempt = record->attempt,
        .cpu_milli = record->cpu_milli,
        .cpu_us = last->cpu_us,
        .memory_bytes = record->ended_us == 0 ? last->memory_bytes : 0,
        .memory_peak_bytes = last->memory_peak_bytes,
        .read_bytes = last->read_bytes,
        .written_bytes = last->written_bytes,
        .pids = record->ended_us == 0 ? last->pids : 0,
    };
    json_t *o = report_json(&report);

    json_object_set_new(o, "sampled", time_of(record->at_us));
    json_object_set_new(o, "ended", time_of(record->ended_us));
    json_object_set_new(o, "samples", samples_json(record));
    return o;
}

void web_answer_json(struct http_request *r, json_t *value)
{
    size_t flags = JSON_COMPACT | JSON_REAL_PRECISION(15);
    size_t size = json_dumpb(value, NULL, 0, flags);
    struct buffer body = {0};

    buffer_reserve(&body, size + 1);
    body.size = json_dumpb(value, (char *)body.data, size, flags);
    buffer_append_u8(&body, '\n');
    json_decref(value);
    http_answer(r, 200, "application/json", &body);
}

void web_task_usage(struct agent *a, struct http_request *r, uint64_t attempt)
{
    struct usage_record record;
    struct error err;

    if (usages_find(a->usages, attempt, &record)) {
        web_answer_json(r, record_json(&record));
        return;
    }
    error_set(&err,
              ERROR_NOT_FOUND,
              "nothing is known of what attempt id %llu used: it did not start, ended "
              "before it was looked at, or was removed",
              (unsigned long long)attempt);
    http_answer_error(r, &err);
}

void web_usage(struct agent *a, struct http_request *r)
{
    const char *text = http_query(r, "after");
    struct usage_report *reports;
    uint64_t after = 0;
    json_t *runs, *next;
    struct error err;
    size_t count;

    if (text != NULL && !text_parse_u64(&after, text)) {
        error_set(&err, ERROR_INVALID, "after is the \"next\" of a page");
        http_answer_error(r, &err);
        return;
    }
    reports = usages_reports(a->usages, after, LIMIT_USAGE_PAGE, &count);
    runs = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(runs, report_json(&reports[i]));
    next = count == LIMIT_USAGE_PAGE ? number(reports[count - 1].attempt) : json_null();
    mem_free(reports);
    web_answer_json(r, json_pack("{s:o, s:o}", "runs", runs, "next", next));
}
