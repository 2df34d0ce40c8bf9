/* cmd_roles.c - triarch roles: who may use how much of the cluster, and in which order. */
#include "client/role_view.h"

#include "base/mem.h"
#include "base/text.h"
#include "wire/message_role.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const struct option_row rows[] = {
    {.name = "json", .kind = OPTION_FLAG, .help = "as JSON"},
    {.name = "order",
     .kind = OPTION_TEXT,
     .argument = "ORDER",
     .help = "of its queue: fcfs, sjf, srtf, priority or fair"},
    {.name = "priority",
     .kind = OPTION_TEXT,
     .argument = "N",
     .help = "from -1000 to 1000; roles of a higher one come first"},
    {.name = "weight",
     .kind = OPTION_TEXT,
     .argument = "X",
     .help = "of its share beside other roles, from 0.001 to 1000"},
    {.name = "min",
     .kind = OPTION_TEXT,
     .argument = "RESOURCES",
     .help = "what it can always get, as 'cpus:8;mem:16384'; none takes it away"},
    {.name = "max",
     .kind = OPTION_TEXT,
     .argument = "RESOURCES",
     .help = "what it never exceeds; kinds that are not named have no end"},
    {.name = "aging",
     .kind = OPTION_TEXT,
     .argument = "TIME",
     .help =
         "of waiting, that makes up for a point of priority or twice the length; or "
         "never"},
    {.name = "length",
     .kind = OPTION_TEXT,
     .argument = "TIME",
     .help = "of a task of which nobody knows how long it takes"},
    {.name = "placement",
     .kind = OPTION_TEXT,
     .argument = "HOW",
     .help = "binpack fills agents up, spread takes empty ones first"},
    {.name = "alpha",
     .kind = OPTION_TEXT,
     .argument = "N",
     .help = "of 1000 parts of a score, how many are affinity; the rest is placement"},
    {.name = "reserve",
     .kind = OPTION_TEXT,
     .argument = "TIME",
     .help =
         "that who waits first has waited when room is kept for it; 0s: at once; or "
         "off"},
    {.name = "preempt",
     .kind = OPTION_TEXT,
     .argument = "N",
     .help = "tasks of others that it may end within a minute to take their place; or "
             "off"},
    {.name = "rebalance",
     .kind = OPTION_TEXT,
     .argument = "N",
     .help =
         "tasks of its services that are moved to better agents within a minute; or "
         "off"},
};

/* ---- one option of a change each ---- */

static int take_order(struct role_spec *spec, const char *text, struct error *err)
{
    for (int i = 0; i < ROLE_ORDER_COUNT; i++) {
        spec->order = (enum role_order)i;
        if (strcmp(text, role_order_name(spec->order)) == 0)
            return 0;
    }
    return error_set(err,
                     ERROR_USAGE,
                     "'%.40s' is no order; give fcfs, sjf, srtf, priority or fair",
                     text);
}

static int take_priority(struct role_spec *spec, const char *text, struct error *err)
{
    const char *digits = *text == '-' ? text + 1 : text;
    uint64_t value;

    if (!text_parse_u64(&value, digits) || value > ROLE_PRIORITY_MAX)
        return error_set(err,
                         ERROR_USAGE,
                         "'%.40s' is no priority; give a whole number from -%d to %d",
                         text,
                         ROLE_PRIORITY_MAX,
                         ROLE_PRIORITY_MAX);
    spec->priority = *text == '-' ? -(int32_t)value : (int32_t)value;
    return 0;
}

static int take_weight(struct role_spec *spec, const char *text, struct error *err)
{
    const char *at = text;
    uint64_t value;

    if (!text_take_thousandths(&at, &value) || *at != '\0' || value > UINT32_MAX)
        return error_set(
            err,
            ERROR_USAGE,
            "'%.40s' is no weight; give a number with up to three decimals",
            text);
    spec->weight = (uint32_t)value;
    return 0;
}

static int take_aging(struct role_spec *spec, const char *text, struct error *err)
{
    spec->aging_ms = ROLE_NEVER;
    return strcmp(text, "never") == 0
               ? 0
               : text_parse_duration_ms(&spec->aging_ms, text, err);
}

static int take_reserve(struct role_spec *spec, const char *text, struct error *err)
{
    spec->reserve_ms = ROLE_NEVER;
    return strcmp(text, "off") == 0
               ? 0
               : text_parse_duration_ms(&spec->reserve_ms, text, err);
}

static int take_length(struct role_spec *spec, const char *text, struct error *err)
{
    return text_parse_duration_ms(&spec->length_ms, text, err);
}

static int take_alpha(struct role_spec *spec, const char *text, struct error *err)
{
    uint64_t value;

    if (!text_parse_u64(&value, text) || value > ROLE_ALPHA_MAX)
        return error_set(err,
                         ERROR_USAGE,
                         "'%.40s' is no part of a thousand; give a whole number from 0 "
                         "to %u",
                         text,
                         ROLE_ALPHA_MAX);
    spec->alpha = (uint32_t)value;
    return 0;
}

static int take_balance(struct role_spec *spec, const char *text, struct error *err)
{
    for (int i = 0; i < ROLE_BALANCE_COUNT; i++) {
        spec->balance = (enum role_balance)i;
        if (strcmp(text, role_balance_name(spec->balance)) == 0)
            return 0;
    }
    return error_set(
        err, ERROR_USAGE, "'%.40s' is no placement; give binpack or spread", text);
}

/* So many within a minute. */
static int
take_budget(uint32_t *out, uint32_t most, const char *text, struct error *err)
{
    uint64_t value = 0;

    if (strcmp(text, "off") != 0 && (!text_parse_u64(&value, text) || value > most))
        return error_set(err,
                         ERROR_USAGE,
                         "'%.40s' is no number of tasks; give a whole number from 0 to "
                         "%u, or off",
                         text,
                         most);
    *out = (uint32_t)value;
    return 0;
}

static int take_preempt(struct role_spec *spec, const char *text, struct error *err)
{
    return take_budget(&spec->preempt, ROLE_PREEMPT_MAX, text, err);
}

static int take_rebalance(struct role_spec *spec, const char *text, struct error *err)
{
    return take_budget(&spec->rebalance, ROLE_REBALANCE_MAX, text, err);
}

/* Amounts as an agent's --resources; a kind that is not named stays at this. */
#define NOT_GIVEN UINT64_MAX

static int take_bound(struct role_bound *b, const char *text, struct error *err)
{
    struct port_range ranges[LIMIT_PORT_RANGES];
    size_t range_count = 0;
    int rc;

    if (strcmp(text, "none") == 0)
        return 0;
    for (int k = 0; k < RESOURCE_KINDS; k++)
        b->amount.amount[k] = NOT_GIVEN;
    rc = resources_parse(&b->amount, ranges, &range_count, &b->custom, text, err);
    if (rc == 0 && range_count > 0)
        rc = error_set(err, ERROR_USAGE, "ports have no bounds");
    for (int k = 0; k < RESOURCE_KINDS; k++) {
        if (b->amount.amount[k] == NOT_GIVEN)
            b->amount.amount[k] = 0;
        else
            b->kinds |= 1u << k;
    }
    if (rc == 0 && b->kinds == 0 && b->custom.count == 0)
        rc = error_set(err,
                       ERROR_USAGE,
                       "it is empty; give amounts, as 'cpus:8;mem:16384', or none");
    return rc;
}

static int take_min(struct role_spec *spec, const char *text, struct error *err)
{
    return take_bound(&spec->min, text, err);
}

static int take_max(struct role_spec *spec, const char *text, struct error *err)
{
    return take_bound(&spec->max, text, err);
}

static const struct {
    const char *option;
    enum role_field field;
    int (*take)(struct role_spec *spec, const char *text, struct error *err);
} FIELDS[] = {
    {"order", ROLE_HAS_ORDER, take_order},
    {"priority", ROLE_HAS_PRIORITY, take_priority},
    {"weight", ROLE_HAS_WEIGHT, take_weight},
    {"min", ROLE_HAS_MIN, take_min},
    {"max", ROLE_HAS_MAX, take_max},
    {"aging", ROLE_HAS_AGING, take_aging},
    {"length", ROLE_HAS_LENGTH, take_length},
    {"alpha", ROLE_HAS_ALPHA, take_alpha},
    {"placement", ROLE_HAS_BALANCE, take_balance},
    {"reserve", ROLE_HAS_RESERVE, take_reserve},
    {"preempt", ROLE_HAS_PREEMPT, take_preempt},
    {"rebalance", ROLE_HAS_REBALANCE, take_rebalance},
};
#define FIELD_COUNT (sizeof(FIELDS) / sizeof(FIELDS[0]))

/* ---- set, remove ---- */

/* Options of set belong to no other verb. */
static int refuse_fields(struct session *s, const char *verb, struct error *err)
{
    for (size_t i = 0; i < FIELD_COUNT; i++)
        if (options_given(s->options, FIELDS[i].option))
            return options_refuse(
                s->options, FIELDS[i].option, err, "not together with %s", verb);
    return 0;
}

/* Nor that of the others. */
static int refuse_json(struct session *s, const char *verb, struct error *err)
{
    if (!options_flag(s->options, "json"))
        return 0;
    return options_refuse(s->options, "json", err, "not together with %s", verb);
}

static int take_change(struct session *s, struct role_change *change, struct error *err)
{
    struct error why;

    for (size_t i = 0; i < FIELD_COUNT; i++) {
        const char *text = options_text(s->options, FIELDS[i].option);

        if (text == NULL)
            continue;
        if (FIELDS[i].take(&change->spec, text, &why) != 0)
            return options_refuse(s->options, FIELDS[i].option, err, "%s", why.text);
        change->given |= FIELDS[i].field;
    }
    if (role_change_check(change, err) == 0)
        return 0;
    if (role_name_valid(text_view(change->name)))
        error_wrap(err, "role %s", change->name);
    err->code = ERROR_USAGE; /* all of it stood on the command line */
    return -(int)ERROR_USAGE;
}

/* Who guarantees a minimum expects that it is taken back from those who borrowed it. */
static void note_minimum(struct session *s, const struct role_change *change)
{
    if ((change->given & ROLE_HAS_MIN) != 0 && change->spec.min.kinds != 0 &&
        (change->given & ROLE_HAS_PREEMPT) == 0)
        session_note(s,
                     "without --preempt N it gets what others borrowed of its minimum "
                     "back as their tasks end; with it N of them are stopped a minute");
}

/* It is set whatever becomes of the look at it. */
static int show_set(struct session *s, const char *name, struct error *err)
{
    int rc = role_view_one(s, name, err);

    return rc == 0 ? 0 : error_wrap(err, "role %s is set, and cannot be shown", name);
}

static int set(struct session *s, const char *name, struct error *err)
{
    struct role_change change = {.name = mem_strdup(name)};
    struct buffer frame = {0};
    int rc = take_change(s, &change, err);

    if (rc == 0)
        rc = session_open(s, err);
    if (rc == 0) {
        role_set_pack(&change, 0, &frame);
        rc = session_call(s, buffer_view(&frame), CLIENT_LEADER, NULL, NULL, err);
        if (rc != 0)
            error_wrap(err, "role %s", name);
    }
    if (rc == 0)
        rc = show_set(s, name, err);
    if (rc == 0)
        note_minimum(s, &change);
    buffer_finish(&frame);
    role_change_finish(&change);
    return rc;
}

static int remove_role(struct session *s, const char *name, struct error *err)
{
    struct buffer frame = {0};
    bool repeated = false;
    int rc = refuse_fields(s, "remove", err);

    if (rc == 0)
        rc = refuse_json(s, "remove", err);
    if (rc != 0)
        return rc;
    if (!role_name_valid(text_view(name)))
        return error_set(
            err, ERROR_NOT_FOUND, "'%.40s' cannot be the name of a role", name);
    rc = session_open(s, err);
    if (rc != 0)
        return rc;
    role_remove_pack(name, 0, &frame);
    rc = session_call(s, buffer_view(&frame), CLIENT_LEADER, NULL, &repeated, err);
    buffer_finish(&frame);
    /* The first try took effect, and its answer was lost. */
    if (rc == -(int)ERROR_NOT_FOUND && repeated)
        rc = 0;
    if (rc != 0)
        return error_wrap(err, "role %s", name);
    session_note(s, "role %s is removed", name);
    return EXIT_SUCCESS;
}

static int list(struct session *s, const char *name, struct error *err)
{
    int rc = refuse_fields(s, "list", err);

    if (rc == 0)
        rc = session_open(s, err);
    if (rc != 0)
        return rc;
    return name == NULL ? role_view_all(s, err) : role_view_one(s, name, err);
}

/* ---- verbs ---- */

static int run(struct session *s, struct error *err)
{
    size_t operands = options_operand_count(s->options);
    const char *verb = operands > 0 ? options_operand(s->options, 0) : "list";
    const char *name = operands > 1 ? options_operand(s->options, 1) : NULL;
    struct text_nearest meant = {.word = verb};

    if (strcmp(verb, "list") == 0)
        return list(s, name, err);
    if (strcmp(verb, "set") == 0 && name != NULL)
        return set(s, name, err);
    if (strcmp(verb, "remove") == 0 && name != NULL)
        return remove_role(s, name, err);
    if (strcmp(verb, "set") == 0 || strcmp(verb, "remove") == 0)
        return error_set(err, ERROR_USAGE, "roles %s: name a role", verb);
    text_nearest_offer(&meant, "list");
    text_nearest_offer(&meant, "set");
    text_nearest_offer(&meant, "remove");
    return error_set(err,
                     ERROR_USAGE,
                     "roles %.64s: write list [ROLE], set ROLE or remove ROLE%s%s",
                     verb,
                     meant.best == NULL ? "" : "; did you mean ",
                     meant.best == NULL ? "" : meant.best);
}

const struct subcommand subcommand_roles = {
    .table =
        {
            .program = "roles",
            .meant = "quota queues partitions",
            .purpose = "list the roles, set one or remove one",
            .details =
                "A role is a part of the cluster for some of its users: what it is "
                "guaranteed, what it may use at most, how much of the rest is its "
                "share, "
                "and "
                "how its own queue is ordered. Each job is in one (--role, or `role` "
                "in "
                "its "
                "file); `default` is always there.\n"
                "`roles` lists what each uses and may use, a line for each resource; "
                "`roles list ROLE` shows all that is set of one. "
                "`roles set ROLE` makes a role, or changes of it what is given and "
                "leaves the rest as it is, and shows it. `roles remove ROLE` needs a "
                "role without jobs that go on.",
            .operands = "[list [ROLE]|set ROLE|remove ROLE]",
            .operands_max = 2,
            .rows = rows,
            .row_count = sizeof(rows) / sizeof(rows[0]),
        },
    .run = run,
};
