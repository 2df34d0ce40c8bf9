/* cmd_agents.c - triarch agents: who runs the tasks, and who shall not. */
#include "client/agent_change.h"
#include "client/session.h"
#include "client/table.h"

#include "base/text.h"
#include "wire/json.h"
#include "wire/message_agent.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const struct option_row rows[] = {
    {.name = "json", .kind = OPTION_FLAG, .help = "as JSON"},
    {.name = "all",
     .letter = 'a',
     .kind = OPTION_FLAG,
     .help = "list agents that are gone, too; --json always does"},
    {.name = "stale",
     .kind = OPTION_FLAG,
     .help = "let any master answer from what it has; it may be behind"},
    {.name = "deadline",
     .kind = OPTION_DURATION,
     .argument = "TIME",
     .fallback = "1h",
     .max = LIMIT_DRAIN_MS,
     .help = "drain: what still runs after TIME is told to end and starts elsewhere"},
    {.name = "now", .kind = OPTION_FLAG, .help = "drain: as --deadline 0s"},
    {.name = "wait",
     .kind = OPTION_FLAG,
     .help = "drain: wait until nothing is left on the agent, as it does anyway"},
    {.name = "no-wait", .kind = OPTION_FLAG, .help = "drain: do not wait"},
    {.name = "force", .kind = OPTION_FLAG, .help = "gone: also if the agent is active"},
};

static int append_json(void *user, const struct list_result *page, struct error *err)
{
    struct command_cursor at = {0};
    struct agent_info agent;

    while (agent_info_next(page, &at, &agent)) {
        json_t *value = json_agent(&agent, err);

        if (value == NULL)
            return -(int)err->code;
        json_array_append_new(user, value);
    }
    return 0;
}

static const struct column columns[] = {
    {"ID", COLUMN_NUMBER},
    {"HOSTNAME", COLUMN_TEXT},
    {"STATE", COLUMN_TEXT},
    {"TASKS", COLUMN_NUMBER},
    {"CPUS", COLUMN_NUMBER},
    {"MEM (MiB)", COLUMN_NUMBER},
    {"ADDRESS", COLUMN_TEXT},
    {"ATTRIBUTES", COLUMN_TEXT},
    {"MORE IN USE", COLUMN_BELOW},
};

struct listing {
    struct table *table;
    bool all;
    unsigned gone; /* left out */
};

static enum style style_of(enum agent_state state)
{
    switch (state) {
    case AGENT_ACTIVE:
        return STYLE_GOOD;
    case AGENT_UNREACHABLE:
        return STYLE_WARN;
    case AGENT_GONE:
    case AGENT_STATE_COUNT:
        break;
    }
    return STYLE_BAD;
}

/* "ACTIVE", "ACTIVE, draining", "ACTIVE, disk low, no limits" */
static void append_state(struct table *t,
                         const struct agent_info *agent,
                         const struct agent_spec *spec)
{
    static const char *const MODES[AGENT_MODE_COUNT] = {
        [AGENT_NORMAL] = "",
        [AGENT_CORDONED] = ", cordoned",
        [AGENT_DRAINING] = ", draining",
    };
    bool is_there = agent->state == AGENT_ACTIVE;
    bool is_low = is_there && (agent->flags & AGENT_FLAG_LOW_DISK) != 0;
    bool is_damped = is_there && (agent->flags & AGENT_FLAG_DAMPED) != 0;
    bool is_free = is_there && (spec->features & AGENT_FEATURE_LIMITS) == 0;
    bool is_normal = agent->mode == AGENT_NORMAL || agent->state == AGENT_GONE;
    bool is_odd = is_there && (is_low || is_damped || is_free || !is_normal);

    table_cell(t,
               is_odd ? STYLE_WARN : style_of(agent->state),
               "%s%s%s%s%s",
               agent_state_name(agent->state),
               is_normal ? "" : MODES[agent->mode],
               is_low ? ", disk low" : "",
               is_damped ? ", damped" : "",
               is_free ? ", no limits" : "");
}

/* "1.5/4": allocated of capacity. */
static void append_cpus(struct table *t, uint64_t used, uint64_t of)
{
    char have[TEXT_SHORT_MAX], all[TEXT_SHORT_MAX];

    table_cell(t,
               STYLE_PLAIN,
               "%s/%s",
               text_thousandths(have, used),
               text_thousandths(all, of));
}

static void append_attributes(struct table *t, const struct agent_spec *spec)
{
    struct buffer text = {0};

    for (size_t i = 0; i < spec->attribute_count; i++)
        buffer_printf(&text,
                      "%s%s:%s",
                      i == 0 ? "" : ";",
                      spec->attributes[i].name,
                      spec->attributes[i].value);
    table_cell_bytes(t, STYLE_PLAIN, buffer_view(&text));
    buffer_finish(&text);
}

static void
append_part(struct buffer *out, const char *name, uint64_t used, uint64_t of)
{
    char have[TEXT_SHORT_MAX], all[TEXT_SHORT_MAX];

    buffer_printf(out,
                  "%s%s %s/%s",
                  out->size > 0 ? ", " : "",
                  name,
                  text_thousandths(have, used),
                  text_thousandths(all, of));
}

static uint64_t custom_used(const struct agent_info *agent, const char *name)
{
    for (size_t i = 0; i < agent->custom_count; i++)
        if (agent->custom[i].name.size == strlen(name) &&
            memcmp(agent->custom[i].name.data, name, strlen(name)) == 0)
            return agent->custom[i].amount;
    return 0;
}

static uint64_t ports_in(const struct port_range *ranges, size_t count)
{
    uint64_t ports = 0;

    for (size_t i = 0; i < count; i++)
        ports += (uint64_t)ranges[i].last - ranges[i].first + 1;
    return ports;
}

/* "disk 0/2048 MiB, gpus 1/2, ports 3/1000, licence 1/4" */
static void append_more(struct table *t,
                        const struct agent_info *agent,
                        const struct agent_spec *spec)
{
    const uint64_t *used = agent->allocated.amount, *of = spec->resources.amount;
    struct buffer text = {0};

    append_part(&text,
                "disk",
                used[RESOURCE_DISK] / MIB * 1000,
                of[RESOURCE_DISK] / MIB * 1000);
    buffer_append_text(&text, " MiB");
    if (of[RESOURCE_GPUS] > 0)
        append_part(
            &text, "gpus", used[RESOURCE_GPUS] * 1000, of[RESOURCE_GPUS] * 1000);
    if (spec->port_count > 0)
        append_part(&text,
                    "ports",
                    ports_in(agent->ports, agent->range_count) * 1000,
                    ports_in(spec->ports, spec->port_count) * 1000);
    for (size_t i = 0; i < spec->custom.count; i++)
        append_part(&text,
                    spec->custom.items[i].name,
                    custom_used(agent, spec->custom.items[i].name),
                    spec->custom.items[i].amount);
    table_cell_bytes(t, STYLE_PLAIN, buffer_view(&text));
    buffer_finish(&text);
}

static int append_row(void *user, const struct list_result *page, struct error *err)
{
    struct listing *l = user;
    struct table *t = l->table;
    struct command_cursor at = {0};
    struct agent_info agent;
    struct agent_spec spec;

    while (agent_info_next(page, &at, &agent)) {
        const uint64_t *used = agent.allocated.amount;
        int rc;

        if (agent.state == AGENT_GONE && !l->all) {
            l->gone++;
            continue;
        }
        rc = agent_spec_unpack(&spec, agent.spec, err);
        if (rc != 0)
            return rc;
        table_cell(t, STYLE_PLAIN, "%" PRIu64, agent.id);
        table_cell(t, STYLE_PLAIN, "%s", spec.hostname);
        append_state(t, &agent, &spec);
        table_cell(t, STYLE_PLAIN, "%" PRIu32, agent.tasks);
        append_cpus(t, used[RESOURCE_CPUS], spec.resources.amount[RESOURCE_CPUS]);
        table_cell(t,
                   STYLE_PLAIN,
                   "%" PRIu64 "/%" PRIu64,
                   used[RESOURCE_MEM] / MIB,
                   spec.resources.amount[RESOURCE_MEM] / MIB);
        table_cell(t, STYLE_PLAIN, "%s", spec.http_address);
        append_attributes(t, &spec);
        append_more(t, &agent, &spec);
        agent_spec_finish(&spec);
    }
    return 0;
}

static int list_json(struct session *s, struct error *err)
{
    json_t *agents = json_array();
    int rc = session_list(s, METHOD_AGENTS, 0, append_json, agents, err);

    if (rc == 0)
        session_write_json(s, agents);
    else
        json_decref(agents);
    return rc;
}

static int list_table(struct session *s, struct error *err)
{
    struct table *t = table_create(columns, sizeof(columns) / sizeof(columns[0]));
    struct listing l = {.table = t, .all = options_flag(s->options, "all")};
    int rc = session_list(s, METHOD_AGENTS, 0, append_row, &l, err);

    if (rc == 0)
        table_print(t, &s->out);
    if (rc == 0 && table_rows(t) == 0)
        session_note(s,
                     "no agents; start triarch-agent on the machines that shall work");
    if (rc == 0 && l.gone > 0)
        session_note(s, "%u more are gone for good; --all lists them", l.gone);
    table_destroy(t);
    return rc;
}

static const struct option_verb own[] = {{"deadline", "drain"},
                                         {"now", "drain"},
                                         {"wait", "drain"},
                                         {"no-wait", "drain"},
                                         {"force", "gone"}};

static int run(struct session *s, struct error *err)
{
    size_t operands = options_operand_count(s->options);
    const char *verb = operands > 0 ? options_operand(s->options, 0) : NULL;
    const char *name = operands > 1 ? options_operand(s->options, 1) : NULL;
    int rc =
        options_check_verb(s->options, own, sizeof(own) / sizeof(own[0]), verb, err);

    if (rc == 0 && verb != NULL && (strcmp(verb, "list") != 0 || name != NULL))
        return agent_change(s, verb, name, err);
    if (rc == 0)
        rc = session_open(s, err);
    if (rc != 0)
        return rc;
    return options_flag(s->options, "json") ? list_json(s, err) : list_table(s, err);
}

const struct subcommand subcommand_agents = {
    .table =
        {
            .program = "agents",
            .meant = "nodes",
            .purpose = "list the agents, or keep work away from one",
            .details =
                "Alone, or as `agents list`, it lists the agents, what they have and "
                "what is given of it.\n"
                "`agents cordon AGENT` lets it take no new work; what runs there goes "
                "on. "
                "`agents drain AGENT` does so too, and what still runs at the deadline "
                "is "
                "told to end, with its grace, and starts elsewhere: the way to empty a "
                "machine that is to be worked on. `agents uncordon AGENT` ends both. "
                "`agents gone AGENT` is for a machine that never comes back: what ran "
                "there starts elsewhere at once, also exclusive tasks, so be sure that "
                "it "
                "is off.\n"
                "`no limits` beside a STATE: not all of the limits that tasks have "
                "(cpu, "
                "memory, processes) are enforced there; the agent's log says which, "
                "and "
                "why.\n"
                "AGENT is an id, or a host name that one agent alone has.",
            .operands = "[list|drain AGENT|cordon AGENT|uncordon AGENT|gone AGENT]",
            .operands_max = 2,
            .rows = rows,
            .row_count = sizeof(rows) / sizeof(rows[0]),
        },
    .run = run,
};
