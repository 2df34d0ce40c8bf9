/* web_task.c - what there is of a task over HTTP: logs, files, usage. */
#include "agent/web.h"

#include "agent/task_files.h"
#include "agent/task_logs.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- /tasks/ATTEMPT/stdout ---- */

struct followed {
    struct agent *agent;
    uint64_t attempt;
};

/* The end of a run is told when nothing of it is left that could write. */
static bool is_done(void *user)
{
    const struct followed *f = user;
    enum task_state state;

    return !agent_core_run_state(f->agent->core, f->attempt, &state) ||
           task_state_is_final(state);
}

static void on_closed(void *user)
{
    mem_free(user);
}

/* Since when: `since` in microseconds since 1970, or `ago` in milliseconds; 0: from the start. */
static int read_since(const struct http_request *r, uint64_t *out_us, struct error *err)
{
    const char *since = http_query(r, "since"), *ago = http_query(r, "ago");
    uint64_t now_us = clock_wall_us(), ago_ms = 0;

    *out_us = 0;
    if ((since != NULL && !text_parse_u64(out_us, since)) ||
        (ago != NULL && !text_parse_u64(&ago_ms, ago)))
        return error_set(
            err, ERROR_INVALID, "since is in microseconds since 1970, ago in ms");
    if (ago != NULL)
        *out_us = ago_ms < now_us / 1000 ? now_us - ago_ms * 1000 : 0;
    return 0;
}

static void
answer_log(struct agent *a, struct http_request *r, uint64_t attempt, const char *name)
{
    struct followed followed = {.agent = a, .attempt = attempt};
    struct http_file file = {
        .content_type = "text/plain; charset=utf-8",
        .done = is_done,
        .closed = on_closed,
    };
    uint64_t since_us;
    struct error err;

    if (read_since(r, &since_us, &err) != 0) {
        http_answer_error(r, &err);
        return;
    }
    file.fd = task_files_open_log(a->work_dir, attempt, name, O_RDONLY, &err);
    if (file.fd < 0) {
        http_answer_error(r, &err);
        return;
    }
    if (since_us > 0)
        file.from = task_logs_since(a->task_logs, attempt, name, file.fd, since_us);
    file.user = mem_dup(&followed, sizeof(followed));
    http_answer_file(r, &file);
}

/* ---- /tasks/ATTEMPT/files/PATH ---- */

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == NULL ? path : slash + 1;
}

static int read_cursor(const struct http_request *r, uint64_t *out, struct error *err)
{
    const char *text = http_query(r, "cursor");

    *out = 0;
    if (text == NULL || (text_parse_u64(out, text) && *out <= INT64_MAX))
        return 0;
    return error_set(err, ERROR_INVALID, "the cursor is the \"next\" of a page");
}

static int
list(const struct http_request *r, int fd, struct buffer *body, struct error *err)
{
    uint64_t cursor;
    int rc = read_cursor(r, &cursor, err);

    return rc != 0 ? rc : task_files_list(fd, cursor, body, err);
}

static void answer_files(const struct agent *a,
                         struct http_request *r,
                         uint64_t attempt,
                         const char *path)
{
    struct http_file file = {.content_type = "application/octet-stream",
                             .sparse = true};
    const char *as = http_query(r, "as");
    struct buffer body = {0};
    struct error err;
    struct stat st;
    int rc;

    rc = file.fd = task_files_open(a->work_dir, attempt, path, &st, &err);
    if (rc >= 0 && S_ISDIR(st.st_mode) && as != NULL && strcmp(as, "bytes") == 0)
        rc = error_set(&err, ERROR_INVALID, "\"%.200s\" is a directory", path);
    else if (rc >= 0 && S_ISDIR(st.st_mode))
        rc = list(r, file.fd, &body, &err);
    else if (rc >= 0 && as != NULL && strcmp(as, "list") == 0)
        task_files_describe(last_part(path), &st, &body);
    if (rc >= 0 && body.size == 0) {
        http_answer_file(r, &file);
        return;
    }
    if (file.fd >= 0)
        close(file.fd);
    if (rc < 0)
        http_answer_error(r, &err);
    else
        http_answer(r, 200, "application/json", &body);
}

/* ---- which ---- */

/* Where `rest` goes on behind a directory of this name; or NULL. */
static const char *below(const char *rest, const char *name)
{
    size_t size = strlen(name);

    if (strncmp(rest, name, size) != 0 || (rest[size] != '\0' && rest[size] != '/'))
        return NULL;
    return rest[size] == '/' ? rest + size + 1 : rest + size;
}

void web_task(struct agent *a, struct http_request *r)
{
    const char *rest = http_path_rest(r), *path;
    struct error err;
    uint64_t attempt;

    if (!text_take_uint(&rest, UINT64_MAX, &attempt) || *rest++ != '/') {
        error_set(&err, ERROR_NOT_FOUND, "ask for /tasks/ATTEMPT/…");
        http_answer_error(r, &err);
    } else if (strcmp(rest, "stdout") == 0 || strcmp(rest, "stderr") == 0) {
        answer_log(a, r, attempt, rest);
    } else if (strcmp(rest, "usage") == 0) {
        web_task_usage(a, r, attempt);
    } else if ((path = below(rest, "files")) != NULL) {
        answer_files(a, r, attempt, path);
    } else {
        error_set(&err,
                  ERROR_NOT_FOUND,
                  "ask for stdout, stderr, usage or files/PATH of /tasks/%llu/",
                  (unsigned long long)attempt);
        http_answer_error(r, &err);
    }
}
