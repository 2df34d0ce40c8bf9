/* agent_change.c - triarch agents drain, cordon, uncordon, gone.
 *
 * A drain goes on without the one who asked for it: waiting only looks at the agent again
 * and again, through any change of leader, until nothing is left on it. */
#include "client/agent_change.h"

#include "base/clock.h"
#include "base/text.h"
#include "client/agent_find.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define POLL_MS 500

/* ---- requests ---- */

static int ask_mode(struct session *s,
                    const struct found_agent *agent,
                    enum agent_mode mode,
                    uint64_t deadline_ms,
                    struct error *err)
{
    struct agent_mode_request q = {agent->id, mode, deadline_ms};
    struct buffer frame = {0};
    int rc;

    agent_mode_pack(&q, 0, &frame);
    rc = session_call(s, buffer_view(&frame), CLIENT_LEADER, NULL, NULL, err);
    buffer_finish(&frame);
    return rc == 0 ? 0 : error_wrap(err, "agent %" PRIu64, agent->id);
}

static int cordon(struct session *s, struct found_agent *agent, struct error *err)
{
    int rc = ask_mode(s, agent, AGENT_CORDONED, 0, err);

    if (rc != 0)
        return rc;
    session_note(s,
                 "agent %" PRIu64
                 " (%s) takes no new work; what runs there goes on "
                 "(%" PRIu32 " task%s)",
                 agent->id,
                 agent->hostname,
                 agent->tasks,
                 agent->tasks == 1 ? "" : "s");
    return EXIT_SUCCESS;
}

static int uncordon(struct session *s, struct found_agent *agent, struct error *err)
{
    int rc = ask_mode(s, agent, AGENT_NORMAL, 0, err);

    if (rc != 0)
        return rc;
    session_note(
        s, "agent %" PRIu64 " (%s) takes new work again", agent->id, agent->hostname);
    return EXIT_SUCCESS;
}

/* ---- gone ---- */

static int gone(struct session *s, struct found_agent *agent, struct error *err)
{
    struct buffer frame = {0};
    bool repeated = false;
    int rc;

    if (agent->state == AGENT_GONE) {
        session_note(
            s, "agent %" PRIu64 " (%s) is gone already", agent->id, agent->hostname);
        return EXIT_SUCCESS;
    }
    if (agent->state == AGENT_ACTIVE && !options_flag(s->options, "force"))
        return error_set(
            err,
            ERROR_INVALID,
            "agent %" PRIu64 " (%s) is ACTIVE with %" PRIu32
            " task%s: gone is for ever, and starts tasks elsewhere at once, exclusive "
            "ones too, while they may still run there; drain it first, stop "
            "triarch-agent, or add --force",
            agent->id,
            agent->hostname,
            agent->tasks,
            agent->tasks == 1 ? "" : "s");
    id_request_pack(METHOD_AGENT_GONE, agent->id, 0, &frame);
    rc = session_call(s, buffer_view(&frame), CLIENT_LEADER, NULL, &repeated, err);
    buffer_finish(&frame);
    /* The first try took effect, and its answer was lost. */
    if (rc == -(int)ERROR_NOT_FOUND && repeated)
        rc = 0;
    if (rc != 0)
        return error_wrap(err, "agent %" PRIu64, agent->id);
    session_note(s,
                 "agent %" PRIu64 " (%s) is gone for good; its %" PRIu32
                 " task%s elsewhere",
                 agent->id,
                 agent->hostname,
                 agent->tasks,
                 agent->tasks == 1 ? " starts" : "s start");
    return EXIT_SUCCESS;
}

/* ---- drain ---- */

struct drain {
    struct session *session;
    struct found_agent agent;
    struct loop_timer timer;
    bool drawn; /* a line of the terminal stands */
    uint32_t said;
    bool any_said;
};

static void woken(void *user)
{
    loop_stop(((struct drain *)user)->session->loop);
}

static void rest(struct drain *d)
{
    timer_set_in(d->session->loop, &d->timer, POLL_MS, woken, d);
    loop_run(d->session->loop);
    timer_stop(d->session->loop, &d->timer);
}

static void append_progress(struct buffer *out, const struct found_agent *agent)
{
    uint64_t now_us = clock_wall_us();
    char left[TEXT_SHORT_MAX];

    buffer_printf(out,
                  "agent %" PRIu64 " (%s): %" PRIu32 " task%s left",
                  agent->id,
                  agent->hostname,
                  agent->tasks,
                  agent->tasks == 1 ? "" : "s");
    if (agent->state == AGENT_UNREACHABLE)
        buffer_append_text(out, "; it is unreachable");
    else if (agent->drain_us > now_us)
        buffer_printf(out,
                      "; told to end in %s",
                      text_duration(left, (agent->drain_us - now_us) / 1000000 * 1000));
    else
        buffer_append_text(out, "; told to end");
}

/* One line that is redrawn, or a line for each number of tasks. */
static void show(struct drain *d)
{
    struct screen *screen = &d->session->err;
    bool redraws = screen->terminal && !screen->dumb;
    struct buffer out = {0};

    if (!redraws && d->any_said && d->said == d->agent.tasks)
        return;
    buffer_append_text(&out, redraws ? "\r\033[?7l" : "");
    append_progress(&out, &d->agent);
    buffer_append_text(&out, redraws ? "\033[K\033[?7h" : "\n");
    screen_write(screen, &out);
    buffer_finish(&out);
    d->drawn = redraws;
    d->said = d->agent.tasks;
    d->any_said = true;
}

static void erase(struct drain *d)
{
    struct buffer out = {0};

    if (d->drawn)
        buffer_append_text(&out, "\r\033[K");
    screen_write(&d->session->err, &out);
    buffer_finish(&out);
    d->drawn = false;
}

/* 1 when it is over, 0 when there is more to wait for, or an error. */
static int look(struct drain *d, struct error *err)
{
    int rc = agent_find_again(d->session, &d->agent, err);

    if (rc != 0)
        return session_is_passing(err->code) ? 0 : rc;
    if (d->agent.state == AGENT_GONE)
        return error_set(err,
                         ERROR_CONFLICT,
                         "agent %" PRIu64
                         " drains no more: it was declared gone, so "
                         "what ran there starts elsewhere, and may go on there until "
                         "it hears of it",
                         d->agent.id);
    if (d->agent.tasks == 0)
        return 1;
    if (d->agent.mode != AGENT_DRAINING)
        return error_set(err,
                         ERROR_CONFLICT,
                         "agent %" PRIu64 " drains no more: it was made %s; %" PRIu32
                         " task%s left",
                         d->agent.id,
                         agent_mode_name(d->agent.mode),
                         d->agent.tasks,
                         d->agent.tasks == 1 ? "" : "s");
    show(d);
    return 0;
}

static int
wait_for_drain(struct session *s, const struct found_agent *agent, struct error *err)
{
    struct drain d = {.session = s, .agent = *agent};
    int rc = look(&d, err);

    while (rc == 0) {
        rest(&d);
        rc = look(&d, err);
    }
    erase(&d);
    if (rc < 0)
        return rc;
    session_note(s,
                 "agent %" PRIu64
                 " (%s) is drained: nothing is left on it; `triarch "
                 "agents uncordon %" PRIu64 "` gives it work again",
                 agent->id,
                 agent->hostname,
                 agent->id);
    return EXIT_SUCCESS;
}

static int drain(struct session *s, struct found_agent *agent, struct error *err)
{
    uint64_t deadline_ms = options_duration_ms(s->options, "deadline");
    char text[TEXT_SHORT_MAX];
    int rc;

    if (options_flag(s->options, "wait") && options_flag(s->options, "no-wait"))
        return options_refuse(s->options, "wait", err, "not together with --no-wait");
    if (options_flag(s->options, "now")) {
        if (options_given(s->options, "deadline"))
            return options_refuse(
                s->options, "now", err, "not together with --deadline");
        deadline_ms = 0;
    }
    rc = ask_mode(s, agent, AGENT_DRAINING, deadline_ms, err);
    if (rc != 0)
        return rc;
    if (!options_flag(s->options, "no-wait"))
        return wait_for_drain(s, agent, err);
    session_note(s,
                 "agent %" PRIu64
                 " (%s) drains; what still runs there %s%s is moved "
                 "(%" PRIu32 " task%s now)",
                 agent->id,
                 agent->hostname,
                 deadline_ms > 0 ? "in " : "at once",
                 deadline_ms > 0 ? text_duration(text, deadline_ms) : "",
                 agent->tasks,
                 agent->tasks == 1 ? "" : "s");
    return EXIT_SUCCESS;
}

/* ---- verbs ---- */

static const struct {
    const char *name;
    int (*run)(struct session *s, struct found_agent *agent, struct error *err);
} VERBS[] = {
    {"drain", drain},
    {"cordon", cordon},
    {"uncordon", uncordon},
    {"gone", gone},
};

int agent_change(struct session *s,
                 const char *verb,
                 const char *name,
                 struct error *err)
{
    struct text_nearest meant = {.word = verb};
    struct found_agent agent;
    int rc;

    if (strcmp(verb, "list") == 0)
        return error_set(err, ERROR_USAGE, "agents list: it takes no agent");
    text_nearest_offer(&meant, "list");
    for (size_t i = 0; i < sizeof(VERBS) / sizeof(VERBS[0]); i++) {
        text_nearest_offer(&meant, VERBS[i].name);
        if (strcmp(VERBS[i].name, verb) != 0)
            continue;
        if (name == NULL)
            return error_set(err,
                             ERROR_USAGE,
                             "agents %s: name an agent, by its id or host name",
                             verb);
        rc = session_open(s, err);
        if (rc == 0)
            rc = agent_find(s, name, &agent, err);
        return rc == 0 ? VERBS[i].run(s, &agent, err) : rc;
    }
    if (meant.best != NULL)
        return error_set(
            err, ERROR_USAGE, "agents %.64s: did you mean %s?", verb, meant.best);
    return error_set(
        err,
        ERROR_USAGE,
        "agents %.64s: write list, or drain, cordon, uncordon or gone and an agent",
        verb);
}
