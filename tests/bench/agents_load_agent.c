/* agents_load_agent.c - an agent: the core of triarch-agent and its sessions with masters.
 *
 * It does with the core what src/agent/drive.c and master_link.c do, without a disk and
 * processes.  Actions of a step call nothing back, so all agents share one list of them.
 */
#include "agents_load.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/entropy.h"
#include "base/mem.h"
#include "wire/message_agent.h"
#include "wire/rpc.h"

#include <stdio.h>
#include <string.h>

/* ---- time ---- */

static uint64_t now_ms(void)
{
    return clock_boottime_us() / 1000;
}

static void tick(void *user)
{
    load_agent_drive(user, &(struct agent_event){.kind = AGENT_TICK});
}

static void set_timer(struct load_agent *a, uint64_t deadline_ms)
{
    struct loop *loop = a->fleet->loop;
    uint64_t now = now_ms();

    timer_stop(loop, &a->timer);
    deferred_cancel(loop, &a->turn);
    if (deadline_ms <= now)
        loop_defer(loop, &a->turn, tick, a);
    else if (deadline_ms != UINT64_MAX)
        timer_set_in(loop, &a->timer, deadline_ms - now, tick, a);
}

static void on_durable(void *user)
{
    struct load_agent *a = user;

    load_agent_drive(
        a,
        &(struct agent_event){.kind = AGENT_DURABLE, .durable.sequence = a->recorded});
}

static void on_usage(void *user)
{
    struct load_agent *a = user;

    timer_set_in(a->fleet->loop, &a->usage, a->fleet->usage_ms, on_usage, a);
    tasks_tell_usage(a);
}

/* ---- sessions ---- */

static struct load_link *link_of(struct load_agent *a, uint64_t session)
{
    for (unsigned i = 0; i < a->fleet->master_count; i++)
        if (a->links[i].session == session)
            return &a->links[i];
    return NULL;
}

static void on_up(void *user, const struct hello *hello)
{
    struct load_link *l = user;
    struct load_agent *a = l->agent;

    (void)hello;
    l->session = ++a->last_session;
    a->fleet->counts.sessions++;
    load_agent_drive(
        a,
        &(struct agent_event){.kind = AGENT_SESSION_OPENED,
                              .opened = {.session = l->session,
                                         .master = l->master,
                                         .address = link_address(l->link)->text}});
}

/* How many states of runs a master says are in its log. */
static void count_acks(struct fleet *f, struct bytes frame)
{
    struct order_list list;
    struct rpc rpc;

    if (rpc_unpack(&rpc, frame, NULL) == 0 && rpc.type == RPC_NOTIFY &&
        rpc.method == METHOD_ACK &&
        order_list_unpack(&list, METHOD_ACK, rpc.params, NULL) == 0)
        f->counts.acknowledged += list.count;
}

static void on_frame(void *user, struct bytes frame)
{
    struct load_link *l = user;

    count_acks(l->agent->fleet, frame);
    load_agent_drive(
        l->agent,
        &(struct agent_event){.kind = AGENT_FRAME,
                              .frame = {.session = l->session, .bytes = frame}});
}

/* A host that stands still does not dial either. */
static void on_down(void *user, const struct error *reason)
{
    struct load_link *l = user;
    struct load_agent *a = l->agent;
    uint64_t session = l->session;

    l->session = 0;
    a->fleet->counts.sessions--;
    if (a->silent) {
        link_destroy(l->link);
        l->link = NULL;
        return;
    }
    load_agent_drive(
        a,
        &(struct agent_event){.kind = AGENT_SESSION_CLOSED,
                              .closed = {.session = session, .reason = reason->code}});
}

static const struct link_events EVENTS = {
    .up = on_up, .frame = on_frame, .down = on_down};

/* ---- actions ---- */

static void close_session(struct load_agent *a, uint64_t session)
{
    struct load_link *l = link_of(a, session);
    struct error reason;

    error_set(&reason, ERROR_INVALID, "the agent closed the session");
    if (l != NULL)
        link_refuse(l->link, &reason);
}

static void send_frames(struct load_agent *a, uint64_t session, struct bytes frames)
{
    struct load_link *l = link_of(a, session);

    if (l != NULL && link_conn(l->link) != NULL)
        conn_send(link_conn(l->link), frames);
}

/* All masters are in --masters. */
static void dial(struct load_agent *a, const char *address)
{
    for (unsigned i = 0; i < a->fleet->master_count; i++)
        if (strcmp(link_address(a->links[i].link)->text, address) == 0)
            link_retry(a->links[i].link);
}

static void complain(const struct load_agent *a, enum log_level level, const char *text)
{
    if (level <= LOG_LEVEL_ERROR)
        fprintf(stderr, "agents_load: agent %u: %s\n", a->number, text);
}

static void carry_out(struct load_agent *a, const struct agent_action *action)
{
    switch (action->kind) {
    case AGENT_SEND:
        send_frames(a, action->send.session, action->send.bytes);
        break;
    case AGENT_CLOSE:
        close_session(a, action->close.session);
        break;
    case AGENT_DIAL:
        dial(a, action->dial.address);
        break;
    case AGENT_RECORD:
        a->recorded = action->record.sequence;
        loop_defer(a->fleet->loop, &a->durable, on_durable, a);
        break;
    case AGENT_START_RUN:
        tasks_start(a, &action->start_run);
        break;
    case AGENT_SIGNAL_RUN:
        tasks_signal(a, action->signal_run.attempt, action->signal_run.signal);
        break;
    case AGENT_FORGET_RUN:
        tasks_forget(a, action->forget_run.attempt);
        break;
    case AGENT_TIMER:
        set_timer(a, action->timer.deadline_ms);
        break;
    case AGENT_LOG:
        complain(a, action->log.level, action->log.text);
        break;
    case AGENT_FATAL:
        complain(a, LOG_LEVEL_ERROR, action->fatal.error->text);
        a->fleet->counts.fatal++;
        break;
    case AGENT_ADOPT_RUN: /* it begins without a checkpoint, */
    case AGENT_CHECK:     /* jobs have no checks, */
    case AGENT_RENEW:     /* and no shim asks for the lease */
        break;
    }
}

static void count(struct load_agent *a)
{
    struct fleet_counts *n = &a->fleet->counts;
    struct agent_status status;

    agent_core_status(a->core, &status);
    n->registered += status.registered;
    n->registered -= a->registered;
    n->updates += status.updates_sent - a->updates;
    a->registered = status.registered;
    a->updates = status.updates_sent;
}

void load_agent_drive(struct load_agent *a, struct agent_event *event)
{
    struct fleet *f = a->fleet;

    if (a->silent)
        return;
    ASSERT(!f->driving);
    f->driving = true;
    event->now_ms = now_ms();
    agent_step(a->core, event, &f->actions);
    for (size_t i = 0; i < f->actions.count; i++)
        carry_out(a, &f->actions.list[i]);
    f->driving = false;
    count(a);
}

/* ---- life ---- */

/* a->spec is filled. */
void load_agent_start(struct load_agent *a, struct fleet *fleet, uint32_t number)
{
    static const struct conn_options options = {0};
    struct agent_event event = {
        .kind = AGENT_START,
        .start = {.spec = &a->spec, .masters = fleet->master_count},
    };

    a->fleet = fleet;
    a->number = number;
    a->core = agent_core_create();
    RB_INIT(&a->tasks);
    entropy_fill(event.start.entropy, sizeof(event.start.entropy));
    load_agent_drive(a, &event);
    for (uint32_t i = 0; i < fleet->master_count; i++) {
        a->links[i] = (struct load_link){.agent = a, .master = i};
        a->links[i].link = link_create(
            fleet->loop, &fleet->masters[i], &options, &EVENTS, &a->links[i]);
    }
    if (fleet->usage_ms > 0) /* not all of them at once */
        timer_set_in(fleet->loop,
                     &a->usage,
                     fleet->usage_ms + number % fleet->usage_ms,
                     on_usage,
                     a);
}

static void stand_still(struct load_agent *a)
{
    struct loop *loop = a->fleet->loop;

    timer_stop(loop, &a->timer);
    timer_stop(loop, &a->usage);
    deferred_cancel(loop, &a->turn);
    deferred_cancel(loop, &a->durable);
    tasks_stand_still(a);
}

void load_agent_silence(struct load_agent *a)
{
    struct fleet_counts *n = &a->fleet->counts;

    if (a->silent)
        return;
    a->silent = true;
    n->silent++;
    n->registered -= a->registered;
    a->registered = false;
    stand_still(a);
    for (unsigned i = 0; i < a->fleet->master_count; i++)
        if (a->links[i].session != 0)
            conn_pause(link_conn(a->links[i].link));
}

void load_agent_disconnect(struct load_agent *a)
{
    struct error reason;

    error_set(&reason, ERROR_UNAVAILABLE, "disconnected");
    for (unsigned i = 0; i < a->fleet->master_count; i++)
        if (a->links[i].session != 0)
            link_drop(a->links[i].link, &reason);
}

void load_agent_stop(struct load_agent *a)
{
    if (a->core != NULL) {
        stand_still(a);
        for (unsigned i = 0; i < a->fleet->master_count; i++)
            link_destroy(a->links[i].link);
        tasks_finish(a);
        agent_core_destroy(a->core);
    }
    agent_spec_finish(&a->spec);
}
