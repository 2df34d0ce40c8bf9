/* job_diff.c - what one job says otherwise than another one, for people.
 *
 * Both are compared as the JSON of a job file, so that fields have the names that users know,
 * and none is forgotten. */
#include "wire/job_diff.h"

#include "base/mem.h"
#include "wire/job_json.h"

#include <stdlib.h>
#include <string.h>

#define VALUE_BYTES_MAX 40 /* of one that is shown */

struct walk {
    struct buffer *out;
    size_t begin;
};

/* As in a file; NULL when it is not to be shown. */
static char *value_text(const json_t *value)
{
    char *text;

    if (value == NULL || json_is_object(value) || json_is_array(value))
        return NULL;
    text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(10));
    if (text != NULL && strlen(text) > VALUE_BYTES_MAX) {
        free(text);
        return NULL;
    }
    return text;
}

static void tell(struct walk *w, const char *path, const json_t *from, const json_t *to)
{
    char *a = value_text(from), *b = value_text(to);

    buffer_printf(w->out, "%s%s", w->out->size > w->begin ? ", " : "", path);
    if (a != NULL && b != NULL)
        buffer_printf(w->out, " %s -> %s", a, b);
    free(a);
    free(b);
}

static void compare(struct walk *w, const char *path, json_t *from, json_t *to);

/* The fields of both, in the order of their names. */
static void compare_fields(struct walk *w, const char *path, json_t *from, json_t *to)
{
    json_t *both = json_copy(from);
    size_t count = 0;
    const char **names, *name;
    json_t *value;

    json_object_update_missing(both, to);
    names = mem_alloc((json_object_size(both) + 1) * sizeof(*names));
    json_object_foreach (both, name, value)
        names[count++] = name;
    for (size_t i = 1; i < count; i++)
        for (size_t k = i; k > 0 && strcmp(names[k - 1], names[k]) > 0; k--) {
            name = names[k];
            names[k] = names[k - 1];
            names[k - 1] = name;
        }
    for (size_t i = 0; i < count; i++) {
        struct buffer inner = {0};

        buffer_printf(&inner, "%s%s%s", path, path[0] != 0 ? "." : "", names[i]);
        buffer_append_u8(&inner, 0);
        compare(w,
                (const char *)inner.data,
                json_object_get(from, names[i]),
                json_object_get(to, names[i]));
        buffer_finish(&inner);
    }
    mem_free(names);
    json_decref(both);
}

static void compare(struct walk *w, const char *path, json_t *from, json_t *to)
{
    if (json_is_object(from) && json_is_object(to))
        compare_fields(w, path, from, to);
    else if (!json_equal(from, to))
        tell(w, path, from, to);
}

void job_spec_differences(const struct job_spec *from,
                          const struct job_spec *to,
                          struct buffer *out)
{
    struct walk w = {out, out->size};
    json_t *a = job_spec_to_json(from), *b = job_spec_to_json(to);

    compare_fields(&w, "", a, b);
    json_decref(a);
    json_decref(b);
}
