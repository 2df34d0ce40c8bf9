/* role_view.c - roles as people and programs are shown them.
 *
 * A resource has a line of its own, so that what is used stands beside its bounds, and lines
 * fit a terminal however many kinds there are. */
#include "client/role_view.h"

#include "base/mem.h"
#include "base/text.h"
#include "client/table.h"
#include "wire/json.h"
#include "wire/message_role.h"

#include <inttypes.h>
#include <string.h>

/* Shares are in 10^-12. */
#define SHARE_PER_MILLE 1000000000ull

/* ---- resources ---- */

struct line {
    struct bytes name;
    int kind; /* RESOURCE_KINDS: a custom one */
    uint64_t used;
    bool has_min, has_max;
    uint64_t min, max;
};

/* "1.5", "64.0 MiB" */
static void cell_amount(struct table *t, int kind, bool is_given, uint64_t amount)
{
    char text[TEXT_SHORT_MAX];

    if (!is_given)
        table_cell(t, STYLE_PLAIN, "-");
    else if (kind == RESOURCE_MEM || kind == RESOURCE_DISK)
        table_cell(t, STYLE_PLAIN, "%s", text_size(text, amount));
    else if (kind == RESOURCE_GPUS)
        table_cell(t, STYLE_PLAIN, "%" PRIu64, amount);
    else
        table_cell(t, STYLE_PLAIN, "%s", text_thousandths(text, amount));
}

static void cells_of_line(struct table *t, const struct line *l)
{
    table_cell_bytes(t, STYLE_PLAIN, l->name);
    cell_amount(t, l->kind, true, l->used);
    cell_amount(t, l->kind, l->has_min, l->min);
    cell_amount(t, l->kind, l->has_max, l->max);
}

/* A role with its lines; `lines` is the caller's to free. */
struct role {
    const struct role_info *info;
    struct role_change all;
    struct line *lines;
    size_t count, capacity;
};

static struct line *add_line(struct role *r, struct bytes name, int kind)
{
    struct line *l;

    MEM_GROW(r->lines, r->capacity, r->count + 1);
    l = &r->lines[r->count++];
    *l = (struct line){.name = name, .kind = kind};
    return l;
}

static void add_kinds(struct role *r)
{
    const struct role_spec *s = &r->all.spec;

    for (int k = 0; k < RESOURCE_KINDS; k++) {
        uint64_t used = r->info->used.amount[k];
        struct line *l;

        if (k > RESOURCE_MEM && used == 0 &&
            ((s->min.kinds | s->max.kinds) & 1u << k) == 0)
            continue;
        l = add_line(r, text_view(resource_name((enum resource_kind)k)), k);
        l->used = used;
        l->has_min = (s->min.kinds & 1u << k) != 0;
        l->has_max = (s->max.kinds & 1u << k) != 0;
        l->min = s->min.amount.amount[k];
        l->max = s->max.amount.amount[k];
    }
}

static struct line *line_of(struct role *r, struct bytes name)
{
    for (size_t i = 0; i < r->count; i++)
        if (r->lines[i].kind == RESOURCE_KINDS && r->lines[i].name.size == name.size &&
            memcmp(r->lines[i].name.data, name.data, name.size) == 0)
            return &r->lines[i];
    return add_line(r, name, RESOURCE_KINDS);
}

static void add_custom(struct role *r)
{
    const struct custom_resources *min = &r->all.spec.min.custom,
                                  *max = &r->all.spec.max.custom;

    for (size_t i = 0; i < r->info->custom_count; i++)
        line_of(r, r->info->custom[i].name)->used = r->info->custom[i].amount;
    for (size_t i = 0; i < min->count; i++) {
        struct line *l = line_of(r, text_view(min->items[i].name));

        l->has_min = true;
        l->min = min->items[i].amount;
    }
    for (size_t i = 0; i < max->count; i++) {
        struct line *l = line_of(r, text_view(max->items[i].name));

        l->has_max = true;
        l->max = max->items[i].amount;
    }
}

static int role_init(struct role *r, const struct role_info *info, struct error *err)
{
    int rc;

    *r = (struct role){.info = info};
    rc = role_change_unpack(&r->all, info->spec, err);
    if (rc != 0)
        return rc;
    add_kinds(r);
    add_custom(r);
    return 0;
}

static void role_finish(struct role *r)
{
    mem_free(r->lines);
    role_change_finish(&r->all);
}

/* ---- all of them ---- */

static const struct column columns[] = {
    {"NAME", COLUMN_TEXT},
    {"JOBS", COLUMN_NUMBER},
    {"SHARE", COLUMN_NUMBER},
    {"RESOURCE", COLUMN_TEXT},
    {"USED", COLUMN_NUMBER},
    {"MIN", COLUMN_NUMBER},
    {"MAX", COLUMN_NUMBER},
    {"ORDER", COLUMN_TEXT},
    {"PRIORITY", COLUMN_NUMBER},
    {"WEIGHT", COLUMN_NUMBER},
};

static const char *share_of(char out[TEXT_SHORT_MAX], const struct role_info *r)
{
    return text_thousandths(out, r->share / SHARE_PER_MILLE);
}

/* What is said of the role, and not of a resource, stands in its first line. */
static void append_line(struct table *t, const struct role *r, size_t i)
{
    const struct role_spec *spec = &r->all.spec;
    char share[TEXT_SHORT_MAX], weight[TEXT_SHORT_MAX];

    table_cell(t, STYLE_PLAIN, "%s", r->all.name);
    if (i > 0) {
        table_cell(t, STYLE_PLAIN, "%s", "");
        table_cell(t, STYLE_PLAIN, "%s", "");
        cells_of_line(t, &r->lines[i]);
        for (int k = 0; k < 3; k++)
            table_cell(t, STYLE_PLAIN, "%s", "");
        return;
    }
    table_cell(t, STYLE_PLAIN, "%" PRIu64, r->info->jobs);
    table_cell(t, STYLE_PLAIN, "%s", share_of(share, r->info));
    cells_of_line(t, &r->lines[i]);
    table_cell(t, STYLE_PLAIN, "%s", role_order_name(spec->order));
    table_cell(t, STYLE_PLAIN, "%" PRId32, spec->priority);
    table_cell(t, STYLE_PLAIN, "%s", text_thousandths(weight, spec->weight));
}

static int append_roles(void *user, const struct list_result *page, struct error *err)
{
    struct command_cursor at = {0};
    struct role_info info;

    while (role_info_next(page, &at, &info)) {
        struct role r;
        int rc = role_init(&r, &info, err);

        if (rc != 0)
            return rc;
        for (size_t i = 0; i < r.count; i++)
            append_line(user, &r, i);
        role_finish(&r);
    }
    return 0;
}

static int append_json(void *user, const struct list_result *page, struct error *err)
{
    struct command_cursor at = {0};
    struct role_info role;

    while (role_info_next(page, &at, &role)) {
        json_t *value = json_role(&role, err);

        if (value == NULL)
            return -(int)err->code;
        json_array_append_new(user, value);
    }
    return 0;
}

static int all_as_json(struct session *s, struct error *err)
{
    json_t *roles = json_array();
    int rc = session_list(s, METHOD_ROLES, 0, append_json, roles, err);

    if (rc == 0)
        session_write_json(s, roles);
    else
        json_decref(roles);
    return rc;
}

int role_view_all(struct session *s, struct error *err)
{
    struct table *t;
    int rc;

    if (options_flag(s->options, "json"))
        return all_as_json(s, err);
    t = table_create(columns, sizeof(columns) / sizeof(columns[0]));
    rc = session_list(s, METHOD_ROLES, 0, append_roles, t, err);
    if (rc == 0)
        table_print(t, &s->out);
    table_destroy(t);
    return rc;
}

/* ---- one of them ---- */

static const struct column resource_columns[] = {
    {"RESOURCE", COLUMN_TEXT},
    {"USED", COLUMN_NUMBER},
    {"MIN", COLUMN_NUMBER},
    {"MAX", COLUMN_NUMBER},
};

static const struct column setting_columns[] = {
    {"SETTING", COLUMN_TEXT},
    {"VALUE", COLUMN_TEXT},
};

static void setting(struct table *t, const char *name, const char *value)
{
    table_cell(t, STYLE_PLAIN, "%s", name);
    table_cell(t, STYLE_PLAIN, "%s", value);
}

static void
setting_time(struct table *t, const char *name, uint64_t ms, const char *never)
{
    char text[TEXT_SHORT_MAX];

    setting(t, name, ms == ROLE_NEVER ? never : text_duration(text, ms));
}

static void setting_budget(struct table *t, const char *name, uint32_t per_minute)
{
    table_cell(t, STYLE_PLAIN, "%s", name);
    if (per_minute == 0)
        table_cell(t, STYLE_PLAIN, "off");
    else
        table_cell(t, STYLE_PLAIN, "%" PRIu32 " a minute", per_minute);
}

/* In the order of the options of `set`, and as they are given there. */
static void append_settings(struct table *t, const struct role_spec *spec)
{
    char text[TEXT_SHORT_MAX];

    setting(t, "order", role_order_name(spec->order));
    table_cell(t, STYLE_PLAIN, "priority");
    table_cell(t, STYLE_PLAIN, "%" PRId32, spec->priority);
    setting(t, "weight", text_thousandths(text, spec->weight));
    setting_time(t, "aging", spec->aging_ms, "never");
    setting_time(t, "length", spec->length_ms, "never");
    setting(t, "placement", role_balance_name(spec->balance));
    table_cell(t, STYLE_PLAIN, "alpha");
    table_cell(t, STYLE_PLAIN, "%" PRIu32 " of %u", spec->alpha, ROLE_ALPHA_MAX);
    setting_time(t, "reserve", spec->reserve_ms, "off");
    setting_budget(t, "preempt", spec->preempt);
    setting_budget(t, "rebalance", spec->rebalance);
}

static void write_head(struct session *s, const struct role *r)
{
    char share[TEXT_SHORT_MAX];
    struct buffer out = {0};

    buffer_append_text(&out, "Role ");
    screen_styled(&out, &s->out, STYLE_HEAD, r->all.name);
    buffer_printf(&out,
                  "  %" PRIu64 " job%s, share %s\n\n",
                  r->info->jobs,
                  r->info->jobs == 1 ? "" : "s",
                  share_of(share, r->info));
    screen_write(&s->out, &out);
    buffer_finish(&out);
}

static void write_one(struct session *s, const struct role *r)
{
    struct table *resources = table_create(resource_columns, 4);
    struct table *settings = table_create(setting_columns, 2);

    for (size_t i = 0; i < r->count; i++)
        cells_of_line(resources, &r->lines[i]);
    append_settings(settings, &r->all.spec);
    write_head(s, r);
    table_print(resources, &s->out);
    fputc('\n', s->out.file);
    table_print(settings, &s->out);
    table_destroy(resources);
    table_destroy(settings);
}

struct search {
    struct session *session;
    const char *name;
    bool shows, found;
    char near[LIMIT_ROLE_BYTES + 1];
    size_t distance;
};

static void offer(struct search *s, const char *name)
{
    struct text_nearest n = {.word = s->name};

    text_nearest_offer(&n, name);
    if (n.best == NULL || (s->near[0] != '\0' && n.distance >= s->distance))
        return;
    snprintf(s->near, sizeof(s->near), "%s", name);
    s->distance = n.distance;
}

static int show(struct session *s, const struct role *r, struct error *err)
{
    json_t *value;

    if (!options_flag(s->options, "json")) {
        write_one(s, r);
        return SESSION_ENOUGH;
    }
    value = json_role(r->info, err);
    if (value == NULL)
        return -(int)err->code;
    session_write_json(s, value);
    return SESSION_ENOUGH;
}

static int look(void *user, const struct list_result *page, struct error *err)
{
    struct search *s = user;
    struct command_cursor at = {0};
    struct role_info info;
    int rc = 0;

    while (rc == 0 && role_info_next(page, &at, &info)) {
        struct role r;

        rc = role_init(&r, &info, err);
        if (rc != 0)
            return rc;
        s->found = strcmp(r.all.name, s->name) == 0;
        if (s->found)
            rc = s->shows ? show(s->session, &r, err) : SESSION_ENOUGH;
        else
            offer(s, r.all.name);
        role_finish(&r);
    }
    return rc;
}

static int find(struct search *s, struct error *err)
{
    int rc = session_list(s->session, METHOD_ROLES, 0, look, s, err);

    if (rc != 0 || s->found)
        return rc;
    if (s->near[0] != '\0')
        return error_set(err,
                         ERROR_NOT_FOUND,
                         "there is no role \"%.40s\": did you mean %s?",
                         s->name,
                         s->near);
    return error_set(err,
                     ERROR_NOT_FOUND,
                     "there is no role \"%.40s\"; `triarch roles` lists them",
                     s->name);
}

int role_view_one(struct session *s, const char *name, struct error *err)
{
    return find(&(struct search){.session = s, .name = name, .shows = true}, err);
}

int role_view_find(struct session *s, const char *name, struct error *err)
{
    return find(&(struct search){.session = s, .name = name}, err);
}
