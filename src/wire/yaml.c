/* yaml.c - YAML text as the JSON value that it says, from the events of libyaml.
 *
 * Recursive descent, one function for each kind of value; its depth is bounded.  The same
 * walk finds the line of a path: it keeps the path of where it is and compares. */
#include "wire/yaml.h"

#include "base/assert.h"
#include "base/limits.h"
#include "wire/field_path.h"

#include <stdbool.h>
#include <string.h>
#include <yaml.h>

struct reader {
    yaml_parser_t parser;
    struct bytes text;
    const char *name;
    struct error *err;
    unsigned depth;

    struct field_path path;
    const char *wanted; /* the path whose line is looked for, or NULL */
    unsigned line;      /* of it; 0 until found */
};

/* Each read_ function returns false when it has filled the error; a value that it read is a
 * new reference in *out. */
static bool read_value(struct reader *r, const yaml_event_t *event, json_t **out);

static bool fail(struct reader *r, const yaml_mark_t *mark, const char *problem)
{
    error_set(r->err, ERROR_INVALID, "%s:%zu: %s", r->name, mark->line + 1, problem);
    return false;
}

/* Of a byte that is no text it says only where. */
static bool fail_at_byte(struct reader *r, size_t offset, const char *problem)
{
    unsigned line = 1;

    for (size_t i = 0; i < offset && i < r->text.size; i++)
        line += r->text.data[i] == '\n';
    error_set(r->err,
              ERROR_INVALID,
              "%s:%u: %s; give printable UTF-8 text",
              r->name,
              line,
              problem);
    return false;
}

/* The scanner stopped before a tab. */
static bool is_at_tab(const yaml_parser_t *p)
{
    return p->error == YAML_SCANNER_ERROR && p->unread > 0 &&
           *p->buffer.pointer == '\t';
}

static bool next_event(struct reader *r, yaml_event_t *event)
{
    const yaml_parser_t *p = &r->parser;

    if (yaml_parser_parse(&r->parser, event))
        return true;
    if (p->error == YAML_READER_ERROR)
        return fail_at_byte(r, p->problem_offset, p->problem);
    if (is_at_tab(p))
        return fail(r, &p->problem_mark, "there is a tab; YAML indents with spaces");
    return fail(r, &p->problem_mark, p->problem);
}

/* The path is now the one of the value whose key, or which itself, begins at `mark`. */
static void note_line(struct reader *r, const yaml_mark_t *mark)
{
    if (r->wanted != NULL && r->line == 0 && strcmp(r->path.text, r->wanted) == 0)
        r->line = (unsigned)mark->line + 1;
}

/* ---- scalars ---- */

static bool check_plain_data(struct reader *r,
                             const yaml_event_t *event,
                             const yaml_char_t *anchor,
                             const yaml_char_t *tag)
{
    if (anchor != NULL)
        return fail(r, &event->start_mark, "anchors (&name) are not supported");
    if (tag != NULL)
        return fail(r, &event->start_mark, "tags (!name) are not supported");
    return true;
}

static bool check_scalar(struct reader *r, const yaml_event_t *event)
{
    if (memchr(event->data.scalar.value, '\0', event->data.scalar.length) != NULL)
        return fail(r, &event->start_mark, "a text has a zero byte inside");
    return check_plain_data(
        r, event, event->data.scalar.anchor, event->data.scalar.tag);
}

static json_t *plain_value(const char *text, size_t size)
{
    json_t *literal;

    if (size == 0 || strcmp(text, "~") == 0)
        return json_null();
    /* A plain scalar cannot be a list, a map or a quoted text: it is a literal or fails. */
    literal = json_loadb(text, size, JSON_DECODE_ANY, NULL);
    return literal != NULL ? literal : json_stringn(text, size);
}

static bool read_scalar(struct reader *r, const yaml_event_t *event, json_t **out)
{
    const char *text = (const char *)event->data.scalar.value;
    size_t size = event->data.scalar.length;

    if (!check_scalar(r, event))
        return false;
    if (event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
        *out = plain_value(text, size);
    else
        *out = json_stringn(text, size);
    return *out != NULL || fail(r, &event->start_mark, "a text is not UTF-8");
}

/* ---- lists and maps ---- */

/* The element whose first event is here. */
static bool read_element(struct reader *r, const yaml_event_t *event, json_t *list)
{
    size_t before = field_path_enter_element(&r->path, json_array_size(list));
    json_t *value;
    bool ok;

    note_line(r, &event->start_mark);
    ok = read_value(r, event, &value);
    field_path_leave(&r->path, before);
    return ok && json_array_append_new(list, value) == 0;
}

static bool read_member_value(struct reader *r, json_t **out)
{
    yaml_event_t event;
    bool ok;

    if (!next_event(r, &event))
        return false;
    ok = read_value(r, &event, out);
    yaml_event_delete(&event);
    return ok;
}

/* The member whose key's event is here. */
static bool read_member(struct reader *r, const yaml_event_t *event, json_t *map)
{
    const char *key = (const char *)event->data.scalar.value;
    json_t *value;
    size_t before;
    bool ok;

    if (event->type != YAML_SCALAR_EVENT)
        return fail(r, &event->start_mark, "a key is not a text");
    if (!check_scalar(r, event))
        return false;
    before = field_path_enter_key(&r->path, key);
    note_line(r, &event->start_mark);
    if (json_object_get(map, key) != NULL) {
        error_set(r->err,
                  ERROR_INVALID,
                  "%s:%zu: %s: given twice",
                  r->name,
                  event->start_mark.line + 1,
                  r->path.text);
        return false;
    }
    ok = read_member_value(r, &value);
    field_path_leave(&r->path, before);
    if (ok && json_object_set_new(map, key, value) != 0)
        return fail(r, &event->start_mark, "a key is not UTF-8");
    return ok;
}

/* What stands between the start event, read before, and the event `end`. */
static bool
read_parts(struct reader *r,
           const yaml_event_t *start,
           yaml_event_type_t end,
           bool (*read_part)(struct reader *, const yaml_event_t *, json_t *),
           json_t *parts)
{
    bool ok = true, more = true;

    if (r->depth == LIMIT_JOB_FILE_DEPTH)
        return fail(r, &start->start_mark, "values are nested too deeply");
    r->depth++;
    while (ok && more) {
        yaml_event_t event;

        if (!next_event(r, &event))
            return false;
        more = event.type != end;
        if (more)
            ok = read_part(r, &event, parts);
        yaml_event_delete(&event);
    }
    r->depth--;
    return ok;
}

static bool read_list(struct reader *r, const yaml_event_t *start, json_t **out)
{
    if (!check_plain_data(r,
                          start,
                          start->data.sequence_start.anchor,
                          start->data.sequence_start.tag))
        return false;
    *out = json_array();
    if (read_parts(r, start, YAML_SEQUENCE_END_EVENT, read_element, *out))
        return true;
    json_decref(*out);
    return false;
}

static bool read_map(struct reader *r, const yaml_event_t *start, json_t **out)
{
    if (!check_plain_data(
            r, start, start->data.mapping_start.anchor, start->data.mapping_start.tag))
        return false;
    *out = json_object();
    if (read_parts(r, start, YAML_MAPPING_END_EVENT, read_member, *out))
        return true;
    json_decref(*out);
    return false;
}

static bool read_value(struct reader *r, const yaml_event_t *event, json_t **out)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return read_scalar(r, event, out);
    case YAML_SEQUENCE_START_EVENT:
        return read_list(r, event, out);
    case YAML_MAPPING_START_EVENT:
        return read_map(r, event, out);
    case YAML_ALIAS_EVENT:
        return fail(r, &event->start_mark, "aliases (*name) are not supported");
    default:
        return fail(r, &event->start_mark, "a value is expected");
    }
}

/* ---- the document ---- */

/* Step over one event of this type; `problem` says what another one means. */
static bool expect(struct reader *r, yaml_event_type_t type, const char *problem)
{
    yaml_event_t event;
    bool ok;

    if (!next_event(r, &event))
        return false;
    ok = event.type == type || fail(r, &event.start_mark, problem);
    yaml_event_delete(&event);
    return ok;
}

static bool begin_document(struct reader *r)
{
    yaml_event_t event;
    bool begins;

    if (!next_event(r, &event))
        return false;
    begins = event.type == YAML_DOCUMENT_START_EVENT;
    yaml_event_delete(&event);
    if (!begins)
        error_set(r->err, ERROR_INVALID, "%s: the file is empty", r->name);
    return begins;
}

static bool read_document(struct reader *r, json_t **out)
{
    if (!expect(r, YAML_STREAM_START_EVENT, "a stream is expected") ||
        !begin_document(r) || !read_member_value(r, out))
        return false;
    if (expect(r, YAML_DOCUMENT_END_EVENT, "the end of the document is expected") &&
        expect(r, YAML_STREAM_END_EVENT, "there is a second document in the file"))
        return true;
    json_decref(*out);
    return false;
}

static json_t *load(struct reader *r, struct bytes text)
{
    json_t *value = NULL;
    bool ok;

    if (!yaml_parser_initialize(&r->parser))
        assert_failed("memory for a YAML parser", __FILE__, __LINE__, __func__);
    r->text = text;
    yaml_parser_set_input_string(&r->parser, text.data, text.size);
    ok = read_document(r, &value);
    yaml_parser_delete(&r->parser);
    return ok ? value : NULL;
}

json_t *yaml_load(const char *name, struct bytes text, struct error *err)
{
    struct reader r = {.name = name, .err = err};

    return load(&r, text);
}

unsigned yaml_line(struct bytes text, const char *path)
{
    struct reader r = {.name = "", .wanted = path};

    json_decref(load(&r, text));
    return r.line;
}
