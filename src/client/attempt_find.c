/* attempt_find.c - earlier attempts of a task: which one is meant, and who has it.
 *
 * A few agents are asked at a time, in the order of the listing, until one has it; one that does
 * not answer costs its own patience, and no one else's.
 */
#include "client/attempt_find.h"

#include "client/attempt_answers.h"
#include "client/http_get.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ANSWER_MAX (size_t)(64 * KIB) /* bytes */

/* ---- which is meant ---- */

bool attempt_is_named(const struct options *o)
{
    return options_given(o, "attempt") || options_flag(o, "previous");
}

int attempt_check(const struct options *o, struct error *err)
{
    if (options_given(o, "attempt") && options_flag(o, "previous"))
        return error_set(
            err, ERROR_USAGE, "--attempt and --previous: give one of them");
    return 0;
}

bool attempt_number(const struct options *o, uint32_t newest, uint32_t *out)
{
    *out = options_given(o, "attempt") ? (uint32_t)options_number(o, "attempt")
           : newest > 0                ? newest - 1
                                       : 0;
    return *out > 0 && *out <= newest;
}

static int refuse_number(const struct task_place *p, uint32_t number, struct error *err)
{
    char name[48];

    snprintf(name, sizeof(name), "task %" PRIu64 ".%" PRIu32, p->job, p->instance);
    if (number == 0)
        return error_set(err,
                         ERROR_NOT_FOUND,
                         "%s is in its first attempt: none is before it",
                         name);
    return error_set(err,
                     ERROR_NOT_FOUND,
                     "%s has had %" PRIu32 " attempt%s: there is no attempt %" PRIu32,
                     name,
                     p->number,
                     p->number == 1 ? "" : "s",
                     number);
}

/* ---- whom to ask ---- */

struct agent {
    uint64_t id;
    char *address;
};

struct search {
    struct session *session;
    struct task_place *place;
    struct attempt_answers answers;
    char path[96];
    struct agent *agents;
    size_t count, capacity;
    size_t next; /* to be asked */
    size_t going;
    struct loop_timer deadline;
    bool over; /* its time */
    struct asking *slots;
};

/* One agent. */
struct asking {
    struct search *search;
    const struct agent *agent;
    struct http_get *get; /* NULL: the slot is free */
    struct loop_timer silence;
    struct address address;
    struct buffer body;
};

static int add_agents(void *user, const struct list_result *page, struct error *err)
{
    struct search *s = user;
    struct command_cursor at = {0};
    struct agent_info agent;
    struct agent_spec spec;

    while (agent_info_next(page, &at, &agent)) {
        int rc;

        if (agent.state == AGENT_GONE) {
            s->answers.gone++;
            continue;
        }
        rc = agent_spec_unpack(&spec, agent.spec, err);
        if (rc != 0)
            return rc;
        MEM_GROW(s->agents, s->capacity, s->count + 1);
        s->agents[s->count++] =
            (struct agent){.id = agent.id, .address = mem_strdup(spec.http_address)};
        agent_spec_finish(&spec);
    }
    return 0;
}

/* ---- asking ---- */

static void ask_more(struct search *s);

static void leave(struct asking *a)
{
    http_get_cancel(a->get);
    a->get = NULL;
    timer_stop(a->search->session->loop, &a->silence);
    buffer_clear(&a->body);
}

static void ended(struct asking *a, const char *why)
{
    struct search *s = a->search;

    if (why != NULL)
        attempt_answers_silent(&s->answers, a->agent->id, why);
    leave(a);
    s->going--;
    if (s->answers.id != 0 && s->place->attempt != s->answers.id) {
        s->place->attempt = s->answers.id;
        s->place->number = s->answers.number;
        s->place->agent = a->agent->id;
        s->place->address = a->address;
    }
    ask_more(s);
}

static void on_silence(void *user)
{
    ended(user, "it says nothing");
}

static void on_body(void *user, unsigned status, uint64_t begin, struct bytes piece)
{
    struct asking *a = user;

    (void)begin;
    if (status == 200 && a->body.size + piece.size <= ANSWER_MAX)
        buffer_append(&a->body, piece.data, piece.size);
}

static void on_done(void *user, unsigned status, const struct error *reason)
{
    struct asking *a = user;
    struct error err = {0};

    a->get = NULL;
    if (reason->code != ERROR_NONE)
        err = *reason;
    else if (status == 404)
        error_set(
            &err, ERROR_VERSION, "it does not know attempts: update triarch-agent");
    else if (status != 200)
        error_set(&err, ERROR_UNAVAILABLE, "it answers with status %u", status);
    else
        attempt_answers_take(&a->search->answers, buffer_view(&a->body), &err);
    ended(a, err.code != ERROR_NONE ? err.text : NULL);
}

static void ask(struct asking *a, const struct agent *agent)
{
    static const struct http_get_events events = {.body = on_body, .done = on_done};
    struct search *s = a->search;
    struct loop *loop = s->session->loop;
    struct error err;

    if (address_parse(&a->address, agent->address, &err) != 0) {
        attempt_answers_silent(&s->answers, agent->id, "it has no address for HTTP");
        return;
    }
    a->agent = agent;
    a->get = http_get(loop, &a->address, s->path, &events, a);
    timer_set_in(loop, &a->silence, HTTP_SILENCE_MS, on_silence, a);
    s->going++;
}

static void ask_more(struct search *s)
{
    for (size_t i = 0; i < LIMIT_AGENTS_ASKED && s->answers.id == 0; i++)
        while (s->slots[i].get == NULL && s->next < s->count)
            ask(&s->slots[i], &s->agents[s->next++]);
    if (s->going == 0 || s->answers.id != 0)
        loop_stop(s->session->loop);
}

static void on_deadline(void *user)
{
    struct search *s = user;

    s->over = true;
    loop_stop(s->session->loop);
}

/* Those that were not asked in time, or did not answer. */
static void count_rest(struct search *s)
{
    for (size_t i = 0; i < LIMIT_AGENTS_ASKED; i++)
        if (s->slots[i].get != NULL)
            attempt_answers_silent(
                &s->answers, s->slots[i].agent->id, "it says nothing");
    for (; s->next < s->count; s->next++)
        attempt_answers_silent(
            &s->answers, s->agents[s->next].id, "there was no time to ask it");
}

static void ask_all(struct search *s)
{
    struct asking slots[LIMIT_AGENTS_ASKED] = {0};
    struct loop *loop = s->session->loop;
    uint64_t patience_ms = options_duration_ms(s->session->options, "timeout");

    s->slots = slots;
    for (size_t i = 0; i < LIMIT_AGENTS_ASKED; i++)
        slots[i].search = s;
    timer_set_in(loop, &s->deadline, patience_ms, on_deadline, s);
    ask_more(s);
    while (s->going > 0 && s->answers.id == 0 && !s->over)
        loop_run(loop);
    timer_stop(loop, &s->deadline);
    if (s->over && s->answers.id == 0)
        count_rest(s);
    for (size_t i = 0; i < LIMIT_AGENTS_ASKED; i++) {
        leave(&slots[i]);
        buffer_finish(&slots[i].body);
    }
}

int attempt_find(struct session *session, struct task_place *place, struct error *err)
{
    struct search s = {.session = session, .place = place};
    uint32_t *number = &s.answers.number, to = place->number;
    int rc;

    if (!attempt_number(session->options, place->number, number))
        return refuse_number(place, *number, err);
    if (*number == place->number)
        return 0;
    if (to - *number >= LIMIT_ATTEMPTS_LISTED)
        to = *number;
    snprintf(s.path,
             sizeof(s.path),
             "/attempts/%" PRIu64 ".%" PRIu32 "?to=%" PRIu32,
             place->job,
             place->instance,
             to);
    rc = session_list(session, METHOD_AGENTS, 0, add_agents, &s, err);
    if (rc == 0)
        ask_all(&s);
    if (rc == 0 && s.answers.id == 0)
        rc = attempt_answers_refuse(&s.answers, place->job, place->instance, err);
    for (size_t i = 0; i < s.count; i++)
        mem_free(s.agents[i].address);
    mem_free(s.agents);
    attempt_answers_finish(&s.answers);
    return rc;
}
