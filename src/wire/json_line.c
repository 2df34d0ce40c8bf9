/* json_line.c - on which line of a JSON text a value stands.
 *
 * A walk over text that jansson took already, so it only needs to find where strings, lists
 * and maps begin and end; on anything else it stops. */
#include "wire/json_line.h"

#include "base/limits.h"
#include "wire/field_path.h"

#include <jansson.h>
#include <stdbool.h>
#include <string.h>

struct walk {
    struct bytes text;
    size_t at;
    unsigned line;
    unsigned depth;
    struct field_path path;
    const char *wanted;
    unsigned found;
};

static void walk_value(struct walk *w);

static char here(const struct walk *w)
{
    return w->at < w->text.size ? (char)w->text.data[w->at] : '\0';
}

static void step(struct walk *w)
{
    w->line += here(w) == '\n';
    w->at++;
}

/* Over white space, and over the marks between values. */
static void skip_space(struct walk *w)
{
    while (here(w) != '\0' && strchr(" \t\r\n,:", here(w)) != NULL)
        step(w);
}

static void note(struct walk *w)
{
    if (w->found == 0 && strcmp(w->path.text, w->wanted) == 0)
        w->found = w->line;
}

/* With its quotes. */
static struct bytes take_string(struct walk *w)
{
    size_t begin = w->at++;

    while (here(w) != '"' && w->at < w->text.size)
        w->at += here(w) == '\\' ? 2 : 1;
    if (w->at < w->text.size)
        w->at++;
    else
        w->at = w->text.size;
    return (struct bytes){w->text.data + begin, w->at - begin};
}

static void walk_member(struct walk *w)
{
    struct bytes quoted = take_string(w);
    json_t *key =
        json_loadb((const char *)quoted.data, quoted.size, JSON_DECODE_ANY, NULL);
    size_t before;

    if (key == NULL) {
        w->at = w->text.size;
        return;
    }
    before = field_path_enter_key(&w->path, json_string_value(key));
    note(w);
    skip_space(w);
    walk_value(w);
    field_path_leave(&w->path, before);
    json_decref(key);
}

static void walk_parts(struct walk *w, char end)
{
    size_t index = 0;

    step(w);
    for (skip_space(w); here(w) != end && here(w) != '\0'; skip_space(w)) {
        if (end == '}' && here(w) == '"') {
            walk_member(w);
        } else if (end == ']') {
            size_t before = field_path_enter_element(&w->path, index++), at = w->at;

            note(w);
            walk_value(w);
            field_path_leave(&w->path, before);
            if (w->at == at) /* no value begins here */
                w->at = w->text.size;
        } else {
            w->at = w->text.size;
        }
    }
    step(w);
}

static void walk_value(struct walk *w)
{
    /* Deeper values have no field of a job. */
    if ((here(w) == '{' || here(w) == '[') && w->depth == LIMIT_JOB_FILE_DEPTH) {
        w->at = w->text.size;
        return;
    }
    w->depth++;
    if (here(w) == '{')
        walk_parts(w, '}');
    else if (here(w) == '[')
        walk_parts(w, ']');
    else if (here(w) == '"')
        take_string(w);
    else
        while (here(w) != '\0' && strchr(" \t\r\n,]}", here(w)) == NULL)
            step(w);
    w->depth--;
}

unsigned json_line(struct bytes text, const char *path)
{
    struct walk w = {.text = text, .line = 1, .wanted = path};

    skip_space(&w);
    walk_value(&w);
    return w.found;
}
