/* cmd_files.c - triarch files: what is in the sandbox of a task. */
#include "client/attempt_find.h"
#include "client/log_lines.h"
#include "client/session.h"
#include "client/table.h"
#include "client/task_http.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_BYTES_MAX (4 * MIB) /* of JSON */

static const struct option_row rows[] = {
    ATTEMPT_OPTIONS,
    {.name = "json", .kind = OPTION_FLAG, .help = "ls: as JSON"},
    {.name = "offset",
     .kind = OPTION_NUMBER,
     .argument = "N",
     .max = INT64_MAX,
     .help = "cat: begin at byte N"},
    {.name = "tail",
     .kind = OPTION_NUMBER,
     .argument = "N",
     .max = INT64_MAX,
     .help = "cat: only the last N bytes"},
    {.name = "length",
     .kind = OPTION_NUMBER,
     .argument = "N",
     .max = INT64_MAX,
     .help = "cat: at most N bytes"},
    {.name = "raw",
     .kind = OPTION_FLAG,
     .help = "cat: on a terminal, all bytes and not only colours"},
};

/* ---- ls ---- */

static int compare(const void *a, const void *b)
{
    json_t *const *x = a, *const *y = b;

    return strcmp(json_string_value(json_object_get(*x, "name")),
                  json_string_value(json_object_get(*y, "name")));
}

static bool is_entry(const json_t *e)
{
    return json_is_string(json_object_get(e, "name")) &&
           json_is_string(json_object_get(e, "type")) &&
           json_is_string(json_object_get(e, "mode")) &&
           json_is_string(json_object_get(e, "mtime"));
}

/* Take the entries of a page; the cursor of the next one, 0 at the end, or an error. */
static int64_t take_page(json_t *all, const json_t *page, struct error *err)
{
    const json_t *entries = json_object_get(page, "entries");

    for (size_t i = 0; i < json_array_size(entries); i++)
        if (is_entry(json_array_get(entries, i)))
            json_array_append(all, json_array_get(entries, i));
    if (json_array_size(all) > LIMIT_FILES_LISTED)
        return error_set(err,
                         ERROR_TOO_LARGE,
                         "more than %d files are in this directory: name one below it",
                         LIMIT_FILES_LISTED);
    return json_integer_value(json_object_get(page, "next"));
}

/* The order of the file system means nothing to anybody. */
static json_t *sorted(const json_t *all)
{
    size_t count = json_array_size(all);
    json_t **entries = mem_alloc((count + 1) * sizeof(json_t *));
    json_t *list = json_array();

    for (size_t i = 0; i < count; i++)
        entries[i] = json_array_get(all, i);
    qsort(entries, count, sizeof(json_t *), compare);
    for (size_t i = 0; i < count; i++)
        json_array_append(list, entries[i]);
    mem_free(entries);
    return list;
}

static json_t *get_entries(struct session *s,
                           const struct task_place *place,
                           const char *path,
                           struct error *err)
{
    json_t *all = json_array(), *list = NULL, *page;
    struct buffer where = {0};
    int64_t cursor = 0;

    do {
        buffer_clear(&where);
        buffer_append_text(&where, "files/");
        task_http_encode(&where, path);
        buffer_printf(&where, "?as=list&cursor=%" PRId64, cursor);
        buffer_append_u8(&where, 0);
        page =
            task_http_get_json(s, place, (const char *)where.data, PAGE_BYTES_MAX, err);
        cursor = page == NULL ? -1 : take_page(all, page, err);
        json_decref(page);
    } while (cursor > 0);
    if (cursor == 0)
        list = sorted(all);
    json_decref(all);
    buffer_finish(&where);
    return list;
}

static const struct column columns[] = {
    {"MODE", COLUMN_TEXT},
    {"SIZE", COLUMN_NUMBER},
    {"MODIFIED", COLUMN_TEXT},
    {"NAME", COLUMN_TEXT},
};

/* "drwxr-xr-x" */
static void mode_text(char out[11], const char *type, const char *mode)
{
    static const struct {
        const char *type;
        char letter;
    } letters[] = {{"file", '-'},
                   {"directory", 'd'},
                   {"link", 'l'},
                   {"fifo", 'p'},
                   {"char", 'c'},
                   {"block", 'b'},
                   {"socket", 's'}};
    unsigned long bits = strtoul(mode, NULL, 8);

    out[0] = '?';
    for (size_t i = 0; i < sizeof(letters) / sizeof(letters[0]); i++)
        if (strcmp(type, letters[i].type) == 0)
            out[0] = letters[i].letter;
    for (int i = 0; i < 9; i++)
        out[1 + i] = (bits >> (8 - i) & 1) != 0 ? "rwx"[i % 3] : '-';
    out[10] = '\0';
}

static void append_row(struct table *t, const json_t *e)
{
    const char *type = json_string_value(json_object_get(e, "type"));
    const char *name = json_string_value(json_object_get(e, "name"));
    bool is_directory = strcmp(type, "directory") == 0;
    const char *target = json_string_value(json_object_get(e, "target"));
    struct buffer shown = {0};
    char mode[11];

    mode_text(mode, type, json_string_value(json_object_get(e, "mode")));
    table_cell(t, STYLE_DIM, "%s", mode);
    table_cell(t,
               STYLE_PLAIN,
               "%" JSON_INTEGER_FORMAT,
               json_integer_value(json_object_get(e, "size")));
    table_cell(
        t, STYLE_PLAIN, "%.19sZ", json_string_value(json_object_get(e, "mtime")));
    buffer_printf(&shown, "%s", name);
    if (is_directory)
        buffer_append_u8(&shown, '/');
    if (target != NULL)
        buffer_printf(&shown, " -> %s", target);
    table_cell_bytes(t, is_directory ? STYLE_LIVE : STYLE_PLAIN, buffer_view(&shown));
    buffer_finish(&shown);
}

static int ls(struct session *s,
              const struct task_place *place,
              const char *path,
              struct error *err)
{
    json_t *entries = get_entries(s, place, path, err);
    struct table *t;

    if (entries == NULL)
        return -(int)err->code;
    if (options_flag(s->options, "json")) {
        session_write_json(s, entries);
        return 0;
    }
    t = table_create(columns, sizeof(columns) / sizeof(columns[0]));
    for (size_t i = 0; i < json_array_size(entries); i++)
        append_row(t, json_array_get(entries, i));
    table_print(t, &s->out);
    table_destroy(t);
    json_decref(entries);
    return 0;
}

/* ---- cat ---- */

static void write_piece(void *user, struct bytes piece)
{
    log_lines_add(user, piece);
}

static int cat(struct session *s,
               const struct task_place *place,
               const char *path,
               struct error *err)
{
    static const char *const numbers[] = {"offset", "tail", "length"};
    struct log_lines lines = {
        .screen = &s->out,
        .plain = s->out.terminal && !options_flag(s->options, "raw"),
    };
    struct buffer where = {0};
    int rc;

    buffer_append_text(&where, "files/");
    task_http_encode(&where, path);
    buffer_append_text(&where, "?as=bytes");
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        if (options_given(s->options, numbers[i]))
            buffer_printf(&where,
                          "&%s=%" PRIu64,
                          numbers[i],
                          options_number(s->options, numbers[i]));
    buffer_append_u8(&where, 0);
    rc = task_http_get(s, place, (const char *)where.data, write_piece, &lines, err);
    log_lines_end(&lines);
    buffer_finish(&where);
    return rc;
}

/* ---- which ---- */

static const struct option_verb own[] = {{"json", "ls"},
                                         {"offset", "cat"},
                                         {"tail", "cat"},
                                         {"length", "cat"},
                                         {"raw", "cat"}};

static int run(struct session *s, struct error *err)
{
    const char *verb = options_operand(s->options, 0);
    size_t count = options_operand_count(s->options);
    const char *path = count > 2 ? options_operand(s->options, 2) : "";
    bool is_cat = strcmp(verb, "cat") == 0;
    struct task_place place;
    int rc;

    if (!is_cat && strcmp(verb, "ls") != 0)
        return error_set(
            err, ERROR_USAGE, "\"%.32s\": write files ls or files cat", verb);
    if (is_cat && count < 3)
        return error_set(
            err, ERROR_USAGE, "files cat: name a file as well: files cat TASK PATH");
    rc = options_check_verb(s->options, own, sizeof(own) / sizeof(own[0]), verb, err);
    if (rc == 0)
        rc = attempt_check(s->options, err);
    if (rc == 0)
        rc = session_open(s, err);
    if (rc == 0)
        rc = task_place_find(s, options_operand(s->options, 1), &place, err);
    if (rc == 0 && attempt_is_named(s->options))
        rc = attempt_find(s, &place, err);
    if (rc == 0)
        rc = is_cat ? cat(s, &place, path, err) : ls(s, &place, path, err);
    return rc;
}

const struct subcommand subcommand_files = {
    .table =
        {
            .program = "files",
            .purpose = "list or print files of a task's sandbox",
            .details =
                "`files ls TASK [PATH]` lists a directory, `files cat TASK PATH` "
                "prints a file. TASK is JOB.INSTANCE, or JOB for its first task; "
                "PATH is relative to its sandbox and never leads out of it. Of a "
                "name that is not printable ls shows such bytes as \\xNN. In a pipe "
                "cat changes nothing; on a terminal it shows control characters as "
                "logs does.\n" ATTEMPT_DETAILS,
            .rows = rows,
            .row_count = sizeof(rows) / sizeof(rows[0]),
            .operands = "ls|cat TASK [PATH]",
            .operands_min = 2,
            .operands_max = 3,
        },
    .run = run,
};
