/* agent_find.c - the agent that a user means by an id or a host name.
 *
 * The whole listing is read: names are not unique, and a wrong one is worth a hint. */
#include "client/agent_find.h"

#include "base/text.h"
#include "client/near_name.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct search {
    const char *text;
    uint64_t id; /* 0: by name */
    struct found_agent *out;
    uint64_t found;
    struct buffer ids; /* of those with the name */
    struct near_name near;
};

static void
take(struct search *s, const struct agent_info *agent, const struct agent_spec *spec)
{
    s->found++;
    buffer_printf(&s->ids, "%s%" PRIu64, s->found == 1 ? "" : ", ", agent->id);
    *s->out = (struct found_agent){.id = agent->id,
                                   .state = agent->state,
                                   .mode = agent->mode,
                                   .drain_us = agent->drain_us,
                                   .tasks = agent->tasks};
    snprintf(s->out->hostname, sizeof(s->out->hostname), "%s", spec->hostname);
}

static int look(void *user, const struct list_result *page, struct error *err)
{
    struct search *s = user;
    struct command_cursor at = {0};
    struct agent_info agent;
    struct agent_spec spec;

    while (agent_info_next(page, &at, &agent)) {
        int rc = agent_spec_unpack(&spec, agent.spec, err);

        if (rc != 0)
            return rc;
        if (s->id != 0
                ? agent.id == s->id
                : agent.state != AGENT_GONE && strcmp(spec.hostname, s->text) == 0)
            take(s, &agent, &spec);
        else if (s->id == 0 && agent.state != AGENT_GONE)
            near_name_offer(&s->near, spec.hostname);
        agent_spec_finish(&spec);
    }
    return 0;
}

static int judge(struct search *s, struct error *err)
{
    if (s->found == 1)
        return 0;
    if (s->found > 1)
        return error_set(err,
                         ERROR_CONFLICT,
                         "%" PRIu64
                         " agents have the host name %.80s: give the id, "
                         "%.*s",
                         s->found,
                         s->text,
                         (int)(s->ids.size < 80 ? s->ids.size : 80),
                         (const char *)s->ids.data);
    if (s->near.best[0] != '\0')
        return error_set(err,
                         ERROR_NOT_FOUND,
                         "no agent has the host name \"%.80s\": did you mean %.80s?",
                         s->text,
                         s->near.best);
    return error_set(err,
                     ERROR_NOT_FOUND,
                     s->id != 0
                         ? "there is no agent %.80s; `triarch agents` lists them"
                         : "no agent has the id or host name \"%.80s\"; `triarch "
                           "agents` lists them",
                     s->text);
}

int agent_find(struct session *session,
               const char *text,
               struct found_agent *out,
               struct error *err)
{
    struct search s = {.text = text, .near = {.word = text}, .out = out};
    const char *at = text;
    int rc;

    if (!text_take_uint(&at, INT64_MAX, &s.id) || *at != '\0')
        s.id = 0;
    rc = session_list(session, METHOD_AGENTS, 0, look, &s, err);
    if (rc == 0)
        rc = judge(&s, err);
    buffer_finish(&s.ids);
    return rc;
}

int agent_find_again(struct session *session,
                     struct found_agent *agent,
                     struct error *err)
{
    char id[24];

    snprintf(id, sizeof(id), "%" PRIu64, agent->id);
    return agent_find(session, id, agent, err);
}
