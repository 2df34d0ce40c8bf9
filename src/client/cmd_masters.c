/* cmd_masters.c - triarch masters: what each master says of itself.
 *
 * All are asked at the same time; one that does not answer soon is shown as unreachable.
 */
#include "client/session.h"
#include "client/table.h"

#include "base/text.h"
#include "wire/json.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MS 1000

static const struct option_row rows[] = {
    {.name = "json", .kind = OPTION_FLAG, .help = "as JSON"},
};

struct asking {
    struct session *session;
    unsigned waiting;
};

struct asked {
    struct asking *asking;
    struct client_call call;
    bool answered;
    struct error trouble;
    struct buffer page;
    struct master_info info; /* points into page */
};

static int take(struct asked *a, struct bytes result)
{
    struct command_cursor at = {0};
    struct list_result page;
    int rc;

    buffer_append(&a->page, result.data, result.size);
    rc = list_result_unpack(&page, METHOD_MASTERS, buffer_view(&a->page), &a->trouble);
    if (rc != 0)
        return rc;
    if (!master_info_next(&page, &at, &a->info))
        return error_set(&a->trouble, ERROR_INVALID, "it says nothing of itself");
    return 0;
}

static void on_answer(void *user, const struct client_answer *answer)
{
    struct asked *a = user;

    if (answer->code != ERROR_NONE)
        error_set(&a->trouble, answer->code, "%s", answer->text);
    else
        a->answered = take(a, answer->result) == 0;
    if (--a->asking->waiting == 0)
        loop_stop(a->asking->session->loop);
}

static void ask(struct asked *a, uint32_t master)
{
    struct list_request request = {.limit = 1, .stale = true};
    struct buffer frame = {0};

    a->call = (struct client_call){
        .done = on_answer, .user = a, .timeout_ms = ANSWER_MS, .master = master};
    list_pack(METHOD_MASTERS, &request, 0, &frame);
    client_request(
        a->asking->session->client, &a->call, buffer_view(&frame), CLIENT_ONE);
    buffer_finish(&frame);
}

/* The address is the one that the user knows, whatever the master calls itself. */
static struct master_info
info_of(const struct session *s, const struct asked *a, uint32_t master)
{
    struct master_info info = a->info;

    if (!a->answered)
        info = (struct master_info){.role = text_view("unreachable")};
    if (info.address.size == 0)
        info.address =
            text_view(client_core_address(client_core_of(s->client), master));
    return info;
}

/* ---- output ---- */

static const struct column columns[] = {
    {"ID", COLUMN_NUMBER},
    {"ADDRESS", COLUMN_TEXT},
    {"ROLE", COLUMN_TEXT},
    {"TERM", COLUMN_NUMBER},
    {"COMMITTED", COLUMN_NUMBER},
    {"APPLIED", COLUMN_NUMBER},
    {"DIGEST", COLUMN_TEXT},
    {"WHY", COLUMN_TEXT},
};

static bool is_role(const struct master_info *m, const char *role)
{
    return m->role.size == strlen(role) &&
           memcmp(m->role.data, role, m->role.size) == 0;
}

static enum style style_of(const struct master_info *m)
{
    if (is_role(m, "leader"))
        return STYLE_GOOD;
    if (is_role(m, "unreachable"))
        return STYLE_BAD;
    return is_role(m, "candidate") ? STYLE_WARN : STYLE_PLAIN;
}

/* The first half of the digest, and the index it belongs to. */
static void append_digest(struct table *t, const struct master_info *m)
{
    char text[64] = "-";

    if (m->digest.size == DIGEST_BYTES) {
        for (size_t i = 0; i < DIGEST_BYTES / 2; i++)
            snprintf(text + 2 * i, 3, "%02x", m->digest.data[i]);
        snprintf(text + DIGEST_BYTES,
                 sizeof(text) - DIGEST_BYTES,
                 " @%" PRIu64,
                 m->digest_index);
    }
    table_cell(t, STYLE_DIM, "%s", text);
}

static void append_row(struct table *t, const struct master_info *m, const char *why)
{
    if (is_role(m, "unreachable")) {
        table_cell(t, STYLE_PLAIN, "-");
        table_cell_bytes(t, STYLE_PLAIN, m->address);
        table_cell_bytes(t, style_of(m), m->role);
        for (int i = 0; i < 4; i++)
            table_cell(t, STYLE_PLAIN, "-");
    } else {
        table_cell(t, STYLE_PLAIN, "%" PRIu64, m->id);
        table_cell_bytes(t, STYLE_PLAIN, m->address);
        table_cell_bytes(t, style_of(m), m->role);
        table_cell(t, STYLE_PLAIN, "%" PRIu64, m->term);
        table_cell(t, STYLE_PLAIN, "%" PRIu64, m->commit_index);
        table_cell(t, STYLE_PLAIN, "%" PRIu64, m->applied_index);
        append_digest(t, m);
    }
    table_cell(t, STYLE_DIM, "%s", why);
}

/* One that does not answer has an id, but nobody told it. */
static json_t *json_of(const struct master_info *m, const char *why)
{
    json_t *value = json_master(m);

    if (m->id == 0)
        json_object_set_new(value, "id", json_null());
    json_object_set_new(value, "why", why[0] == 0 ? json_null() : json_string(why));
    return value;
}

static void write_all(struct session *s, const struct asked *asked, uint32_t count)
{
    struct table *t = table_create(columns, sizeof(columns) / sizeof(columns[0]));
    json_t *list = json_array();

    for (uint32_t m = 0; m < count; m++) {
        struct master_info info = info_of(s, &asked[m], m);
        const char *why = asked[m].answered ? "" : asked[m].trouble.text;

        append_row(t, &info, why);
        json_array_append_new(list, json_of(&info, why));
    }
    if (options_flag(s->options, "json")) {
        session_write_json(s, list);
    } else {
        table_print(t, &s->out);
        json_decref(list);
    }
    table_destroy(t);
}

/* A follower that has a leader is enough: that one may not be among those asked. */
static int check_answers(const struct asked *asked, uint32_t count, struct error *err)
{
    bool answered = false;

    for (uint32_t m = 0; m < count; m++) {
        if (asked[m].answered && asked[m].info.leader != 0)
            return EXIT_SUCCESS;
        answered = answered || asked[m].answered;
    }
    if (answered)
        return error_set(err,
                         ERROR_UNAVAILABLE,
                         "no master leads: do most of them run, and reach each other?");
    return error_set(err,
                     ERROR_UNAVAILABLE,
                     "no master answers: is the cluster running? name its masters with "
                     "--masters or TRIARCH_MASTERS");
}

static int run(struct session *s, struct error *err)
{
    struct asking asking = {.session = s};
    struct asked asked[CLIENT_LISTED_MAX] = {0};
    uint32_t count;
    int rc = session_open(s, err);

    if (rc != 0)
        return rc;
    count = client_core_masters(client_core_of(s->client));
    asking.waiting = count;
    for (uint32_t m = 0; m < count; m++) {
        asked[m].asking = &asking;
        ask(&asked[m], m);
    }
    while (asking.waiting > 0)
        loop_run(s->loop);
    write_all(s, asked, count);
    for (uint32_t m = 0; m < count; m++)
        buffer_finish(&asked[m].page);
    return check_answers(asked, count, err);
}

const struct subcommand subcommand_masters = {
    .table =
        {
            .program = "masters",
            .purpose = "ask every master for its role, term, index and digest",
            .details =
                "Digests of equal index are equal on healthy masters. It exits with 0 "
                "while one of them leads, and with 1 when none does, or none answers.",
            .rows = rows,
            .row_count = sizeof(rows) / sizeof(rows[0]),
        },
    .run = run,
};
