/* session.c - what one run of the command line works with. */
#include "client/session.h"

#include "base/mem.h"
#include "base/text.h"
#include "wire/job_json.h"
#include "wire/json.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#define PAGE_ELEMENTS 4096

int session_open(struct session *s, struct error *err)
{
    struct address masters[CLIENT_LISTED_MAX];
    struct client_options options = {.masters = masters, .reach_ms = CLIENT_REACH_MS};
    const char *text = options_text(s->options, "masters");
    struct error why;
    int count = address_parse_list(masters, CLIENT_LISTED_MAX, text, &why);

    if (count < 0)
        return options_refuse(s->options, "masters", err, "%s", why.text);
    options.master_count = (unsigned)count;
    s->loop = loop_create();
    s->client = client_create(s->loop, &options);
    return 0;
}

void session_close(struct session *s)
{
    client_destroy(s->client);
    loop_destroy(s->loop);
}

/* ---- one request ---- */

struct waiting {
    struct session *session;
    struct client_call call;
    struct buffer *result;
    bool repeated;
    bool done;
    struct error err;
};

static void on_answer(void *user, const struct client_answer *answer)
{
    struct waiting *w = user;

    w->done = true;
    w->repeated = answer->repeated;
    w->err.code = answer->code;
    if (answer->code != ERROR_NONE)
        error_set(&w->err, answer->code, "%s", answer->text);
    else if (w->result != NULL)
        buffer_append(w->result, answer->result.data, answer->result.size);
    loop_stop(w->session->loop);
}

int session_call(struct session *s,
                 struct bytes frame,
                 enum client_route route,
                 struct buffer *result,
                 bool *repeated,
                 struct error *err)
{
    struct waiting w = {.session = s, .result = result};

    w.call = (struct client_call){
        .done = on_answer,
        .user = &w,
        .timeout_ms = options_duration_ms(s->options, "timeout"),
    };
    if (result != NULL)
        buffer_clear(result);
    client_request(s->client, &w.call, frame, route);
    while (!w.done)
        loop_run(s->loop);
    if (repeated != NULL)
        *repeated = w.repeated;
    if (w.err.code == ERROR_NONE)
        return 0;
    return error_set(err, w.err.code, "%s", w.err.text);
}

int session_change(struct session *s,
                   enum method method,
                   uint64_t id,
                   bool *repeated,
                   struct error *err)
{
    struct buffer frame = {0};
    int rc;

    id_request_pack(method, id, 0, &frame);
    rc = session_call(s, buffer_view(&frame), CLIENT_LEADER, NULL, repeated, err);
    buffer_finish(&frame);
    if (rc == -(int)ERROR_NOT_FOUND || rc == -(int)ERROR_INVALID)
        return error_wrap(err, "job %" PRIu64, id);
    return rc;
}

bool session_is_passing(enum error_code code)
{
    return code == ERROR_TIMEOUT || code == ERROR_UNAVAILABLE || code == ERROR_BUSY ||
           code == ERROR_UNKNOWN;
}

/* ---- listings ---- */

static bool is_stale(const struct session *s)
{
    const struct option_table *command = options_command(s->options);

    for (size_t i = 0; i < command->row_count; i++)
        if (strcmp(command->rows[i].name, "stale") == 0)
            return options_flag(s->options, "stale");
    return false;
}

static int get_page(struct session *s,
                    enum method method,
                    const struct list_request *request,
                    struct buffer *result,
                    struct list_result *page,
                    struct error *err)
{
    struct buffer frame = {0};
    int rc;

    list_pack(method, request, 0, &frame);
    rc = session_call(s,
                      buffer_view(&frame),
                      request->stale ? CLIENT_ANY : CLIENT_LEADER,
                      result,
                      NULL,
                      err);
    buffer_finish(&frame);
    if (rc != 0)
        return rc;
    return list_result_unpack(page, method, buffer_view(result), err);
}

int session_list_some(struct session *s,
                      enum method method,
                      const struct list_request *wanted,
                      page_fn *visit,
                      void *user,
                      struct error *err)
{
    struct list_request request = *wanted;
    struct buffer result = {0};
    struct list_result page;
    int rc;

    request.limit = PAGE_ELEMENTS;
    request.stale = is_stale(s);
    do {
        rc = get_page(s, method, &request, &result, &page, err);
        if (rc == 0 && page.next != 0 && page.next <= request.after)
            rc = error_set(err,
                           ERROR_INVALID,
                           "%s: the listing does not go on; update triarch-master",
                           method_name(method));
        if (rc == 0)
            rc = visit(user, &page, err);
        request.after = page.next;
    } while (rc == 0 && page.next != 0);
    if (rc == SESSION_ENOUGH)
        rc = 0;
    if (rc == 0 && request.stale)
        session_note(s,
                     "stale: as one master knew it at index %" PRIu64
                     "; it may be behind the others",
                     page.index);
    buffer_finish(&result);
    return rc;
}

int session_list(struct session *s,
                 enum method method,
                 uint64_t of,
                 page_fn *visit,
                 void *user,
                 struct error *err)
{
    struct list_request wanted = {.of = of};

    return session_list_some(s, method, &wanted, visit, user, err);
}

int session_job(struct session *s,
                uint64_t id,
                struct buffer *result,
                struct job_summary *job,
                struct error *err)
{
    struct list_request request = {.of = id, .limit = 1, .stale = is_stale(s)};
    struct command_cursor at = {0};
    struct list_result page;
    int rc = get_page(s, METHOD_JOBS, &request, result, &page, err);

    if (rc != 0)
        return rc;
    if (!job_summary_next(&page, &at, job) || job->id != id)
        return error_set(err,
                         ERROR_NOT_FOUND,
                         "there is no job %" PRIu64 "; `triarch status` lists the jobs",
                         id);
    return 0;
}

int session_task(struct session *s,
                 uint64_t job,
                 uint32_t instance,
                 struct buffer *result,
                 struct task_info *task,
                 struct error *err)
{
    struct list_request request = {.of = job, .after = instance, .limit = 1};
    struct command_cursor at = {0};
    struct list_result page;
    int rc = get_page(s, METHOD_TASKS, &request, result, &page, err);

    if (rc != 0)
        return rc;
    if (!task_info_next(&page, &at, task) || task->instance != instance)
        return error_set(err,
                         ERROR_NOT_FOUND,
                         "there is no task %" PRIu64 ".%u; `triarch status %" PRIu64
                         " --all` lists the tasks",
                         job,
                         instance,
                         job);
    return 0;
}

int session_job_spec(struct session *s,
                     uint64_t job,
                     struct job_spec *spec,
                     struct error *err)
{
    struct list_request request = {.of = job, .limit = 1, .stale = is_stale(s)};
    struct command_cursor at = {0};
    struct buffer result = {0};
    struct spec_info info;
    struct list_result page;
    int rc = get_page(s, METHOD_SPEC, &request, &result, &page, err);

    if (rc == 0 && !spec_info_next(&page, &at, &info))
        rc = error_set(err, ERROR_NOT_FOUND, "there is no job %" PRIu64, job);
    if (rc == 0)
        rc = job_spec_unpack(spec, info.spec, err);
    buffer_finish(&result);
    return rc;
}

json_t *session_spec(struct session *s, uint64_t job, struct error *err)
{
    struct job_spec spec;
    json_t *value;

    if (session_job_spec(s, job, &spec, err) != 0)
        return NULL;
    value = job_spec_to_json(&spec);
    job_spec_finish(&spec);
    return value;
}

/* ---- operands and output ---- */

int session_job_operand(const struct session *s,
                        size_t i,
                        uint64_t *job,
                        struct error *err)
{
    const char *text = options_operand(s->options, i);

    if (text_parse_u64(job, text) && *job > 0)
        return 0;
    return error_set(err,
                     ERROR_USAGE,
                     "\"%.64s\" is not the id of a job: write the number that `triarch "
                     "run` printed",
                     text);
}

int session_each_job(struct session *s,
                     int (*one)(struct session *s, uint64_t job, struct error *err),
                     struct error *err)
{
    size_t count = options_operand_count(s->options), failed = 0;
    struct error why = {0};
    uint64_t job;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = session_job_operand(s, i, &job, err);
    if (rc == 0)
        rc = session_open(s, err);
    if (rc != 0)
        return rc;
    for (size_t i = 0; i < count; i++) {
        session_job_operand(s, i, &job, &why);
        if (one(s, job, &why) == 0)
            continue;
        if (count == 1) {
            *err = why;
            return -(int)err->code;
        }
        session_error(s, &why);
        failed++;
    }
    if (failed == 0)
        return 0;
    return error_set(
        err, why.code, "it failed for %zu of %zu jobs, see above", failed, count);
}

void session_write_json(struct session *s, json_t *value)
{
    struct buffer text = {0};

    json_write(value, &text);
    screen_write(&s->out, &text);
    buffer_finish(&text);
    json_decref(value);
}

void session_error(struct session *s, const struct error *err)
{
    struct buffer line = {0};
    char *clean = text_clean(text_view(err->text));

    screen_styled(&line, &s->err, STYLE_BAD, "triarch:");
    buffer_printf(&line, " %s\n", clean);
    screen_write(&s->err, &line);
    buffer_finish(&line);
    mem_free(clean);
}

void session_note(struct session *s, const char *format, ...)
{
    struct buffer line = {0};
    char text[ERROR_TEXT_MAX];
    va_list args;
    char *clean;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    clean = text_clean(text_view(text));
    screen_styled(&line, &s->err, STYLE_DIM, clean);
    buffer_append_u8(&line, '\n');
    screen_write(&s->err, &line);
    buffer_finish(&line);
    mem_free(clean);
}
