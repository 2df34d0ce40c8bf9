/* master_link.c - sessions with the masters: one lasting connection to each.
 *
 * A session is one connection that came up; its number is never used again, so an action that
 * is late for it finds nothing.  The core says and reads hello itself.
 */
#include "agent/agent.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/link.h"

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
    drive(
        l->agent,
        &(struct agent_event){.kind = AGENT_SESSION_OPENED,
                              .opened = {.session = l->session, .master = l->master}});
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
    for (unsigned i = 0; a->links != NULL && i < a->config.master_count; i++)
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

void links_start(struct agent *a)
{
    const struct conn_options options = {0};

    a->links = mem_zalloc(a->config.master_count * sizeof(*a->links));
    for (unsigned i = 0; i < a->config.master_count; i++) {
        struct master_link *l = &a->links[i];

        l->agent = a;
        l->master = i;
        l->link = link_create(a->loop, &a->config.masters[i], &options, &EVENTS, l);
    }
}

void links_stop(struct agent *a)
{
    for (unsigned i = 0; a->links != NULL && i < a->config.master_count; i++)
        link_destroy(a->links[i].link);
    mem_free(a->links);
    a->links = NULL;
}
