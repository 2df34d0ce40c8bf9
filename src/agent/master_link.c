/* master_link.c - sessions with the masters: one lasting connection to each.
 *
 * A session is one connection that came up; its number is never used again, so an action that
 * is late for it finds nothing.  The core says and reads hello itself.  Behind the masters of
 * --masters stand those that one of them named; one that is down gives its place to the next.
 */
#include "agent/agent.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/link.h"

#include <string.h>

struct master_link {
    struct agent *agent;
    uint32_t master; /* its place in the list */
    struct link *link;
    uint64_t session; /* 0: down */
    bool complained;  /* that it cannot be reached, since it last was */
};

/* ---- what happens ---- */

static void on_up(void *user, const struct hello *hello)
{
    struct master_link *l = user;

    (void)hello;
    l->complained = false;
    l->session = ++l->agent->last_session;
    log_info("agent", "connected to master %s", link_address(l->link)->text);
    drive(l->agent,
          &(struct agent_event){.kind = AGENT_SESSION_OPENED,
                                .opened = {.session = l->session,
                                           .master = l->master,
                                           .address = link_address(l->link)->text}});
}

static void on_frame(void *user, struct bytes frame)
{
    struct master_link *l = user;

    drive(l->agent,
          &(struct agent_event){.kind = AGENT_FRAME,
                                .frame = {.session = l->session, .bytes = frame}});
}

static void on_down(void *user, const struct error *reason)
{
    struct master_link *l = user;
    uint64_t session = l->session;

    l->session = 0;
    log_warning("agent",
                "lost master %s: %s",
                link_address(l->link)->text,
                reason->code == ERROR_NONE ? "closed" : reason->text);
    drive(
        l->agent,
        &(struct agent_event){.kind = AGENT_SESSION_CLOSED,
                              .closed = {.session = session, .reason = reason->code}});
}

/* Once, not for each of the attempts until it is back. */
static void on_failed(void *user, const struct error *reason)
{
    struct master_link *l = user;

    if (!l->complained)
        log_warning("agent", "cannot reach master: %s", reason->text);
    l->complained = true;
}

static const struct link_events EVENTS = {
    .up = on_up,
    .frame = on_frame,
    .down = on_down,
    .failed = on_failed,
};

/* ---- what is done ---- */

static struct master_link *find(struct agent *a, uint64_t session)
{
    for (unsigned i = 0; i < a->link_count; i++)
        if (a->links[i].session == session)
            return &a->links[i];
    return NULL;
}

void links_send(struct agent *a, uint64_t session, struct bytes frames)
{
    struct master_link *l = find(a, session);
    struct conn *c = l == NULL ? NULL : link_conn(l->link);

    if (c != NULL)
        conn_send(c, frames);
}

void links_close(struct agent *a, uint64_t session)
{
    struct master_link *l = find(a, session);
    struct error reason;

    if (l == NULL)
        return;
    error_set(&reason, ERROR_INVALID, "the agent closed the session");
    link_refuse(l->link, &reason);
}

/* ---- life ---- */

static void start(struct agent *a, unsigned place, const struct address *to)
{
    const struct conn_options options = {0};
    struct master_link *l = &a->links[place];

    *l = (struct master_link){.agent = a, .master = place};
    l->link = link_create(a->loop, to, &options, &EVENTS, l);
}

void links_start(struct agent *a)
{
    a->links = mem_zalloc(AGENT_MASTERS_MAX * sizeof(*a->links));
    a->link_count = a->config.master_count;
    for (unsigned i = 0; i < a->link_count; i++)
        start(a, i, &a->config.masters[i]);
}

/* A new place while there is one, else that of one that is down. */
static unsigned place_for_extra(struct agent *a)
{
    if (a->link_count < AGENT_MASTERS_MAX)
        return a->link_count++;
    for (unsigned i = a->config.master_count; i < a->link_count; i++) {
        if (a->links[i].session == 0) {
            link_destroy(a->links[i].link);
            return i;
        }
    }
    return AGENT_MASTERS_MAX;
}

void links_dial(struct agent *a, const char *address)
{
    struct address to;
    struct error err;
    unsigned place;

    if (a->links == NULL)
        return; /* we are stopping */
    if (address_parse(&to, address, &err) != 0) {
        log_warning(
            "agent", "a master names a leader, but not its address: %s", err.text);
        return;
    }
    for (unsigned i = 0; i < a->link_count; i++) {
        if (strcmp(link_address(a->links[i].link)->text, to.text) == 0) {
            link_retry(a->links[i].link);
            return;
        }
    }
    place = place_for_extra(a);
    if (place == AGENT_MASTERS_MAX)
        return;
    log_warning(
        "agent",
        "the leader is said to be %s, which is not in --masters: connecting to it; "
        "name all masters there, so that this agent always finds the leader",
        to.text);
    start(a, place, &to);
}

void links_stop(struct agent *a)
{
    for (unsigned i = 0; i < a->link_count; i++)
        link_destroy(a->links[i].link);
    mem_free(a->links);
    a->links = NULL;
    a->link_count = 0;
}
