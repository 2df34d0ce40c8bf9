/* orders.c - what an agent is told: launch, stop, and that its reports are in the log.
 *
 * Orders for one agent go out in the order of attempt ids, launches before anything later: the
 * agent launches an id at most once by remembering the highest it accepted (spec 3).  They are
 * gathered in its view and leave at the end of the turn.
 *
 * Launches carry specs of up to LIMIT_SPEC_BYTES.  What an agent is to launch may be more than
 * LIMIT_SESSION_OUT_BYTES, at which its session is closed, and would be again after each
 * re-registration; so no more than LAUNCH_BYTES go out until it is heard again.
 */
#include "master/core/internal.h"

#include "base/mem.h"

#include <string.h>

#define ORDERS_MAX   1024u     /* in one frame */
#define LAUNCH_BYTES (4 * MIB) /* to an agent before it is heard again, and one more */

static void mark(struct master_core *m, struct agent_view *v)
{
    if (v->dirty)
        return;
    v->dirty = true;
    TAILQ_INSERT_TAIL(&m->dirty, v, dirty_link);
}

void orders_add(struct master_core *m,
                struct agent_view *v,
                enum order_kind kind,
                uint64_t attempt)
{
    MEM_GROW(v->orders, v->order_capacity, v->order_count + 1);
    v->orders[v->order_count++] = (struct order){kind, attempt};
    mark(m, v);
}

void orders_ack(struct master_core *m, struct agent_view *v, const struct ack *ack)
{
    MEM_GROW(v->acks, v->ack_capacity, v->ack_count + 1);
    v->acks[v->ack_count++] = *ack;
    mark(m, v);
}

/* Agents are many: what was sent leaves no memory behind. */
static void forget_orders(struct agent_view *v)
{
    mem_free(v->orders);
    v->orders = NULL;
    v->order_count = 0;
    v->order_capacity = 0;
}

static void forget_acks(struct agent_view *v)
{
    mem_free(v->acks);
    v->acks = NULL;
    v->ack_count = 0;
    v->ack_capacity = 0;
}

void orders_forget(struct master_core *m, struct agent_view *v)
{
    if (v->dirty)
        TAILQ_REMOVE(&m->dirty, v, dirty_link);
    v->dirty = false;
    forget_orders(v);
    forget_acks(v);
    v->launch_bytes = 0;
}

void orders_heard(struct master_core *m, struct agent_view *v)
{
    v->launch_bytes = 0;
    if (v->order_count > 0)
        mark(m, v);
}

void orders_derive(struct master_core *m, struct agent_view *v, bool knows_all)
{
    const struct agent *agent = state_agent(m->state, v->id);
    struct attempt *a;
    size_t i = 0;

    if (agent == NULL)
        return;
    TAILQ_FOREACH (a, &agent->attempts, by_agent) {
        bool known = knows_all;

        /* Both are in order of the attempts. */
        while (i < v->reported_count && v->reported[i] < a->id)
            i++;
        known |= i < v->reported_count && v->reported[i] == a->id;
#ifdef MUTANT_LAUNCH_NOT_REPEATED
        known = true;
#endif
        if (attempt_is_to_end(a))
            orders_add(m, v, ORDER_STOP, a->id);
        else if (!known)
            orders_add(m, v, ORDER_LAUNCH, a->id);
    }
}

/* ---- sending ---- */

static bool launch_of(const struct master_core *m, uint64_t id, struct launch *out)
{
    const struct attempt *a = state_attempt(m->state, id);

    /* What ended or is to end meanwhile is not launched; its stop follows. */
    if (a == NULL || attempt_is_to_end(a))
        return false;
    *out = (struct launch){.attempt = a->id,
                           .job = a->job->id,
                           .instance = a->instance,
                           .number = a->number,
                           .spec = a->job->spec,
                           .ports = attempt_ports(a),
                           .port_count = a->port_count};
    return true;
}

/* Launches from `from` on, as many as the agent may get now; returns where they end. */
static size_t send_launches(struct master_core *m, struct agent_view *v, size_t from)
{
    struct launch launches[ORDERS_MAX];
    uint32_t count = 0;
    uint32_t sent = 0;
    size_t i = from;

    for (; i < v->order_count && v->orders[i].kind == ORDER_LAUNCH &&
           count < ORDERS_MAX && v->launch_bytes < LAUNCH_BYTES;
         i++) {
        if (!launch_of(m, v->orders[i].attempt, &launches[count]))
            continue;
        v->launch_bytes += launches[count++].spec.size;
    }
    m->counters.launches_sent += count;
    while (sent < count) {
        size_t begin = core_begin(m);

        sent +=
            launch_pack(m->leading.term, launches + sent, count - sent, core_out(m));
        core_end(m, v->session, begin);
    }
    return i;
}

static struct stop stop_of(const struct master_core *m, uint64_t id)
{
    const struct attempt *a = state_attempt(m->state, id);

    return (struct stop){.attempt = id, .superseded = a != NULL && a->superseded};
}

static size_t send_stops(struct master_core *m, const struct agent_view *v, size_t from)
{
    struct stop stops[ORDERS_MAX];
    uint32_t count = 0;
    size_t begin = core_begin(m);

    for (; from < v->order_count && v->orders[from].kind == ORDER_STOP &&
           count < ORDERS_MAX;
         from++)
        stops[count++] = stop_of(m, v->orders[from].attempt);
    m->counters.stops_sent += count;
    stop_pack(m->leading.term, stops, count, core_out(m));
    core_end(m, v->session, begin);
    return from;
}

/* What it may not get now stays, in order. */
static void send_orders(struct master_core *m, struct agent_view *v)
{
    size_t from = 0;
    size_t to = 0;

    do {
        from = to;
        if (from < v->order_count)
            to = v->orders[from].kind == ORDER_LAUNCH ? send_launches(m, v, from)
                                                      : send_stops(m, v, from);
    } while (to > from);
    v->order_count -= to;
    if (v->order_count > 0)
        memmove(v->orders, v->orders + to, v->order_count * sizeof(*v->orders));
}

static void send_acks(struct master_core *m, struct agent_view *v)
{
    for (size_t from = 0; from < v->ack_count; from += ORDERS_MAX) {
        size_t n = v->ack_count - from < ORDERS_MAX ? v->ack_count - from : ORDERS_MAX;
        size_t begin = core_begin(m);

        ack_pack(m->leading.term, v->acks + from, (uint32_t)n, core_out(m));
        core_end(m, v->session, begin);
    }
}

void orders_flush(struct master_core *m)
{
    struct agent_view *v;

    while ((v = TAILQ_FIRST(&m->dirty)) != NULL) {
        TAILQ_REMOVE(&m->dirty, v, dirty_link);
        v->dirty = false;
        if (v->session != 0) {
            send_acks(m, v);
            send_orders(m, v);
        }
        if (v->session == 0 || v->order_count == 0)
            forget_orders(v);
        forget_acks(v);
    }
}
