/* attempt_answers.c - what agents say when they are asked for an attempt of a task. */
#include "client/attempt_answers.h"

#include "base/mem.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define OTHERS_SHOWN 8u

void attempt_answers_finish(struct attempt_answers *a)
{
    mem_free(a->others);
    *a = (struct attempt_answers){0};
}

static void take_one(struct attempt_answers *a, const json_t *attempt)
{
    json_int_t number = json_integer_value(json_object_get(attempt, "number"));
    json_int_t id = json_integer_value(json_object_get(attempt, "id"));

    if (number < 1 || number > UINT32_MAX || id < 1)
        return;
    if (number == a->number)
        a->id = (uint64_t)id;
    MEM_GROW(a->others, a->capacity, a->count + 1);
    a->others[a->count++] = (uint32_t)number;
}

int attempt_answers_take(struct attempt_answers *a,
                         struct bytes body,
                         struct error *err)
{
    json_t *value = json_loadb((const char *)body.data, body.size, 0, NULL);
    const json_t *list = json_object_get(value, "attempts");
    bool valid = json_is_array(list);

    for (size_t i = 0; i < json_array_size(list); i++)
        take_one(a, json_array_get(list, i));
    json_decref(value);
    return valid ? 0
                 : error_set(
                       err, ERROR_INVALID, "it does not tell which attempts it has");
}

void attempt_answers_silent(struct attempt_answers *a, uint64_t agent, const char *why)
{
    if (a->silent++ > 0)
        return;
    a->silent_agent = agent;
    snprintf(a->silent_why, sizeof(a->silent_why), "%s", why);
}

/* ---- nobody has it ---- */

static int compare(const void *x, const void *y)
{
    const uint32_t *a = x, *b = y;

    return (*a > *b) - (*a < *b);
}

static void append_others(struct buffer *out, const struct attempt_answers *a)
{
    uint32_t *sorted = mem_dup(a->others, (a->count + 1) * sizeof(*sorted));
    size_t shown = a->count < OTHERS_SHOWN ? a->count : OTHERS_SHOWN;

    qsort(sorted, a->count, sizeof(*sorted), compare);
    buffer_printf(out, "; there %s", a->count == 1 ? "is" : "are");
    for (size_t i = a->count - shown; i < a->count; i++)
        buffer_printf(out, "%s %" PRIu32, i == a->count - shown ? "" : ",", sorted[i]);
    if (shown < a->count)
        buffer_printf(out, " and %zu older ones", a->count - shown);
    mem_free(sorted);
}

static void append_silent(struct buffer *out, const struct attempt_answers *a)
{
    if (a->silent == 1)
        buffer_printf(out,
                      "; agent %" PRIu64 " does not answer: %s",
                      a->silent_agent,
                      a->silent_why);
    else
        buffer_printf(out,
                      "; %" PRIu64 " agents do not answer, as agent %" PRIu64 ": %s",
                      a->silent,
                      a->silent_agent,
                      a->silent_why);
}

int attempt_answers_refuse(const struct attempt_answers *a,
                           uint64_t job,
                           uint32_t instance,
                           struct error *err)
{
    struct buffer text = {0};
    int rc;

    if (a->count > 0)
        append_others(&text, a);
    if (a->silent > 0)
        append_silent(&text, a);
    if (a->gone > 0)
        buffer_printf(&text,
                      "; %" PRIu64 " agent%s gone, with what %s had",
                      a->gone,
                      a->gone == 1 ? " is" : "s are",
                      a->gone == 1 ? "it" : "they");
    rc = error_set(err,
                   a->silent > 0 ? ERROR_UNAVAILABLE : ERROR_NOT_FOUND,
                   "no agent%s has attempt %" PRIu32 " of task %" PRIu64 ".%" PRIu32
                   "%s%.*s",
                   a->silent > 0 ? " that answers" : "",
                   a->number,
                   job,
                   instance,
                   a->silent > 0 ? "" : ": it did not start, or its files were removed",
                   (int)text.size,
                   text.size > 0 ? (const char *)text.data : "");
    buffer_finish(&text);
    return rc;
}
