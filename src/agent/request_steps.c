/* request_steps.c - what triarch-fetch and triarch-contain are told to make ready before a command
 * starts.
 *
 * Its requests are JSON (docs/spec/10-images.md).
 */
#include "agent/request_steps.h"

#include "base/assert.h"

#include <jansson.h>
#include <limits.h>
#include <stdio.h>
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
                     struct shim_step step,
                     const char *program,
                     const char *argument,
                     json_t *input)
{
    char *text = json_dumps(input, JSON_COMPACT);

    ASSERT(text != NULL && r->step_count < SHIM_STEPS);
    r->steps[r->step_count++] = step;
    add_text(out, program);
    add_text(out, argument);
    add_text(out, text);
    free(text);
    json_decref(input);
}

static json_t *texts(const char *at, uint32_t count)
{
    json_t *list = json_array();

    for (; count > 0; count--, at += strlen(at) + 1)
        json_array_append_new(list, json_string(at));
    return list;
}

static json_t *arguments(const struct job_spec *spec)
{
    json_t *list = json_array();

    for (size_t i = 0; i < spec->argc; i++)
        json_array_append_new(list, json_string(spec->argv[i]));
    return list;
}

static json_t *volumes(const struct job_spec *spec)
{
    json_t *list = json_array();

    for (size_t i = 0; i < spec->volume_count; i++) {
        const struct job_volume *v = &spec->volumes[i];

        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:b}",
                                        "source",
                                        v->source,
                                        "target",
                                        v->target,
                                        "read_only",
                                        v->read_only));
    }
    return list;
}

static json_t *allowed(const char *folders)
{
    json_t *list = json_array();
    size_t size;

    for (const char *at = folders; at != NULL && *at != 0; at += size) {
        at += *at == ',';
        size = strcspn(at, ",");
        if (size > 0)
            json_array_append_new(list, json_stringn(at, size));
    }
    return list;
}

/* NULL: anybody. */
static json_t *users(const struct users_of_images *images)
{
    json_t *list;

    if (images->any)
        return NULL;
    list = json_array();
    for (size_t i = 0; i < images->count; i++)
        json_array_append_new(list,
                              json_pack("[I, I]",
                                        (json_int_t)images->list[i].uid,
                                        (json_int_t)images->list[i].gid));
    return json_pack("{s:I, s:o}", "from", (json_int_t)images->from, "listed", list);
}

static json_t *image(const struct job_spec *spec, const struct request_host *host)
{
    char cache[PATH_MAX];

    snprintf(cache, sizeof(cache), "%s/images", host->work_dir);
    return json_pack("{s:s, s:s*, s:s, s:I}",
                     "source",
                     spec->image.source,
                     "sha256",
                     spec->image.sha256,
                     "cache",
                     cache,
                     "limit_bytes",
                     (json_int_t)host->image_cache);
}

static void attempt_path(char out[PATH_MAX],
                         const struct request_host *host,
                         const char *folder,
                         uint64_t attempt)
{
    snprintf(out,
             PATH_MAX,
             "%s/%s/%llu",
             host->work_dir,
             folder,
             (unsigned long long)attempt);
}

int request_add_image(struct buffer *out,
                      struct shim_request *r,
                      const struct job_spec *spec,
                      const struct buffer *env,
                      uint32_t count,
                      const struct request_host *host,
                      struct error *err)
{
    const struct shim_step step = {.how = SLOT_IMAGE_FAILED};
    json_t *input, *argv = arguments(spec),
                   *list = texts((const char *)env->data, count);
    char bundle[PATH_MAX], sandbox[PATH_MAX];

    attempt_path(bundle, host, "bundles", r->attempt);
    attempt_path(sandbox, host, "runs", r->attempt);
    if (json_array_size(argv) != spec->argc || json_array_size(list) != count) {
        json_decref(argv);
        json_decref(list);
        return error_set(err,
                         ERROR_INVALID,
                         "command and variables of a task with an image must be UTF-8");
    }
    input = json_pack("{s:o, s:s, s:s, s:o, s:o, s:s*, s:o*, s:o, s:o, s:s}",
                      "image",
                      image(spec, host),
                      "bundle",
                      bundle,
                      "sandbox",
                      sandbox,
                      "argv",
                      argv,
                      "env",
                      list,
                      "user",
                      spec->user,
                      "users",
                      users(users_of_images(host->users)),
                      "volumes",
                      volumes(spec),
                      "allowed",
                      allowed(host->volumes),
                      "fetch",
                      host->fetch);
    if (input == NULL)
        return error_set(
            err, ERROR_INVALID, "image, user and volumes of a job must be UTF-8");
    add_step(out, r, step, host->contain, "bundle", input);
    return 0;
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
    add_step(out, r, fetch, host->fetch, "artifacts", list);
    return 0;
}
