/* request_steps.c - what triarch-fetch is told to fetch before a command starts.
 *
 * Its requests are JSON (docs/spec/10-images.md).
 */
#include "agent/request_steps.h"

#include "base/assert.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static json_t *artifact(const struct job_artifact *a)
{
    return json_pack("{s:s, s:s, s:s, s:b, s:b, s:I, s:I}",
                     "source",
                     a->source,
                     "sha256",
                     a->sha256,
                     "path",
                     a->path,
                     "unpack",
                     a->unpack,
                     "executable",
                     a->executable,
                     "max_bytes",
                     (json_int_t)a->max_bytes,
                     "timeout_ms",
                     (json_int_t)a->timeout_ms);
}

static json_t *artifacts(const struct job_spec *spec, struct error *err)
{
    json_t *list = json_array();

    for (size_t i = 0; i < spec->artifact_count; i++) {
        if (json_array_append_new(list, artifact(&spec->artifacts[i])) == 0)
            continue;
        error_set(err, ERROR_INVALID, "artifact %zu is not UTF-8 text", i + 1);
        json_decref(list);
        return NULL;
    }
    return list;
}

static void add_text(struct buffer *out, const char *text)
{
    buffer_append(out, text, strlen(text) + 1);
}

/* Takes the input over. */
static void add_step(struct buffer *out,
                     struct shim_request *r,
                     const struct request_host *host,
                     struct shim_step step,
                     const char *argument,
                     json_t *input)
{
    char *text = json_dumps(input, JSON_COMPACT);

    ASSERT(text != NULL && r->step_count < SHIM_STEPS);
    r->steps[r->step_count++] = step;
    add_text(out, host->fetch);
    add_text(out, argument);
    add_text(out, text);
    free(text);
    json_decref(input);
}

/* A run that is started again finds its artifacts in its sandbox. */
int request_add_steps(struct buffer *out,
                      struct shim_request *r,
                      const struct job_spec *spec,
                      const struct request_host *host,
                      struct error *err)
{
    const struct shim_step fetch = {.how = SLOT_FETCH_FAILED, .as_task = 1};
    json_t *list;

    if (spec->artifact_count == 0 || r->restarts > 0)
        return 0;
    list = artifacts(spec, err);
    if (list == NULL)
        return -(int)err->code;
    add_step(out, r, host, fetch, "artifacts", list);
    return 0;
}
