/* search.c - which master gets which request now.
 *
 * One belief serves all requests: `preferred` leads, and `confirmed` says whether that is
 * known or only likely.  While it is known, every request goes there at once.  While it
 * is not, masters are probed: the oldest request goes to `preferred` alone, and to all
 * masters (`wide`) once that was refused, refuted or silent for CLIENT_HEDGE_MS.  Each
 * master gets the next probe only after a pause that grows.  A hint skips that pause, a
 * few times in a search: masters that name each other in a circle are asked no faster
 * than silent ones.
 */
#include "base/assert.h"
#include "base/mem.h"
#include "base/text.h"
#include "client/core/core_internal.h"

#include <string.h>

/* ---- what is learned ---- */

void search_confirm(struct client_core *c, uint32_t master, uint64_t term)
{
    if (term != 0 ? term < c->term : c->confirmed && c->preferred != master)
        return;
    if (term != 0)
        c->term = term;
    c->heard_ms = c->now_ms;
    if (core_leads(c, master))
        return;
    c->preferred = master;
    c->confirmed = true;
    c->searching = false;
    c->wide = false;
    c->hints = 0;
    for (uint32_t m = 0; m < c->master_count; m++)
        c->masters[m].probe_wait_ms = PROBE_MS;
    requests_requeue(c);
}

/* An extra that nothing is known of any more, or a new place: for a hint's address. */
static uint32_t place_for_extra(struct client_core *c)
{
    if (c->master_count < CLIENT_MASTERS_MAX)
        return c->master_count++;
    for (uint32_t m = c->listed; m < c->master_count; m++)
        if (c->masters[m].link == LINK_DOWN)
            return m;
    return CLIENT_NOBODY;
}

static uint32_t master_of(struct client_core *c, struct bytes address)
{
    uint32_t m;

    for (m = 0; m < c->master_count; m++) {
        const char *known = c->masters[m].address;

        if (strlen(known) == address.size &&
            memcmp(known, address.data, address.size) == 0)
            return m;
    }
    m = place_for_extra(c);
    if (m == CLIENT_NOBODY)
        return m;
    mem_free(c->masters[m].address);
    c->masters[m] = (struct master){.address = text_copy(address),
                                    .connect_wait_ms = CONNECT_WAIT_MS,
                                    .probe_wait_ms = PROBE_MS};
    return m;
}

void search_refute(struct client_core *c, uint32_t master, struct bytes hint)
{
    uint32_t hinted = CLIENT_NOBODY;

    if (core_leads(c, master))
        c->confirmed = false;
    if (c->confirmed)
        return;
    if (hint.size > 0)
        hinted = master_of(c, hint);
    if (hinted == CLIENT_NOBODY || hinted == master || c->hints >= HINTS_AT_ONCE) {
        c->wide = true;
        return;
    }
    c->hints++;
    c->preferred = hinted;
    c->masters[hinted].probe_ms = c->now_ms;
    if (c->masters[hinted].link == LINK_DOWN)
        c->masters[hinted].connect_ms = c->now_ms;
}

/* When the leader is no longer believed to lead: it owes an answer that is overdue, and
 * has given no other for as long. */
static uint64_t silent_at(const struct client_core *c)
{
    const struct request *oldest = TAILQ_FIRST(&c->restless);

    if (!c->confirmed || oldest == NULL ||
        (oldest->asked & master_bit(c->preferred)) == 0)
        return NEVER;
    return c->heard_ms + CLIENT_HEDGE_MS;
}

void search_tick(struct client_core *c)
{
    if (c->now_ms < silent_at(c))
        return;
    c->confirmed = false;
    c->wide = true;
}

/* ---- requests that are in no need of the leader ---- */

static void connect_to(struct client_core *c, uint32_t master)
{
    struct master *m = &c->masters[master];

    m->link = LINK_CONNECTING;
    m->connect_ms = c->now_ms + CLIENT_CONNECT_MS;
    actions_add(c->out, CLIENT_CONNECT, master)->connect.address = m->address;
}

static bool has_window(const struct client_core *c, uint32_t master)
{
    return c->masters[master].bytes_asked < CLIENT_WINDOW_BYTES;
}

static void dispatch_one(struct client_core *c)
{
    struct request *r, *next;

    TAILQ_FOREACH_SAFE (r, &c->queued_one, in_place, next) {
        struct master *m = &c->masters[r->only];

        if (m->hopeless != ERROR_NONE)
            requests_end(c, r, CLIENT_NOBODY, m->hopeless, text_view(m->trouble));
        else if (m->link == LINK_UP)
            requests_ask(c, r, r->only);
        else if (m->link == LINK_DOWN)
            connect_to(c, r->only);
    }
}

/* A master that can be asked now; the preferred one if possible. */
static uint32_t any_master(const struct client_core *c)
{
    if (c->preferred != CLIENT_NOBODY && c->masters[c->preferred].link == LINK_UP)
        return c->preferred;
    for (uint32_t m = 0; m < c->master_count; m++)
        if (c->masters[m].link == LINK_UP)
            return m;
    return CLIENT_NOBODY;
}

static void
dispatch(struct client_core *c, struct request_queue *queue, uint32_t master)
{
    struct request *r;

    while (has_window(c, master) && (r = TAILQ_FIRST(queue)) != NULL)
        requests_ask(c, r, master);
}

/* ---- the search ---- */

/* The request that would be sent to this master as a probe. */
static struct request *probe_for(const struct client_core *c, uint32_t master)
{
    struct request *oldest = TAILQ_FIRST(&c->restless);

    if (oldest != NULL && (oldest->asked & master_bit(master)) == 0)
        return oldest;
    if (c->confirmed)
        return NULL;
    oldest = TAILQ_FIRST(&c->queued);
    return oldest != NULL && (oldest->asked & master_bit(master)) == 0 ? oldest : NULL;
}

static bool is_needed(const struct client_core *c)
{
    if (!TAILQ_EMPTY(&c->restless))
        return true;
    if (c->confirmed)
        return false;
    return !TAILQ_EMPTY(&c->queued) ||
           (!TAILQ_EMPTY(&c->queued_any) && any_master(c) == CLIENT_NOBODY);
}

static bool is_candidate(const struct client_core *c, uint32_t master)
{
    return c->masters[master].hopeless == ERROR_NONE && !core_leads(c, master) &&
           (c->wide || master == c->preferred || !TAILQ_EMPTY(&c->restless));
}

/* When this master is to be connected or asked next, if it is a candidate. */
static uint64_t next_approach(const struct client_core *c, uint32_t master)
{
    const struct master *m = &c->masters[master];

    if (!is_candidate(c, master))
        return NEVER;
    if (m->link == LINK_DOWN)
        return m->connect_ms;
    return m->link == LINK_UP && probe_for(c, master) != NULL ? m->probe_ms : NEVER;
}

static void approach(struct client_core *c, uint32_t master)
{
    struct master *m = &c->masters[master];

    if (c->now_ms < next_approach(c, master))
        return;
    if (m->link == LINK_DOWN) {
        connect_to(c, master);
    } else {
        requests_ask(c, probe_for(c, master), master);
        m->probe_ms = c->now_ms + core_back_off(c, &m->probe_wait_ms, PROBE_MAX_MS);
    }
}

/* The first one to ask, when nothing is known. */
static void choose_preferred(struct client_core *c)
{
    uint32_t start = (uint32_t)rng_below(&c->rng, c->listed);

    for (uint32_t i = 0; i < c->listed; i++) {
        uint32_t m = (start + i) % c->listed;

        if (c->masters[m].hopeless == ERROR_NONE) {
            c->preferred = m;
            return;
        }
    }
}

/* The error that every listed master has for ever, or ERROR_NONE. */
static enum error_code hopeless(const struct client_core *c)
{
    enum error_code code = ERROR_NONE;

    for (uint32_t m = 0; m < c->listed; m++) {
        code = c->masters[m].hopeless;
        if (code == ERROR_NONE)
            return code;
    }
    return code;
}

static void begin_search(struct client_core *c)
{
    enum error_code code = hopeless(c);

    if (!c->searching) {
        c->searching = true;
        c->search_ms = c->now_ms;
    }
    if (c->now_ms >= c->search_ms + CLIENT_HEDGE_MS)
        c->wide = true;
    if (code == ERROR_NONE && !c->reached && c->reach_ms != 0 &&
        c->now_ms >= c->search_ms + c->reach_ms)
        code = ERROR_UNAVAILABLE;
    if (code != ERROR_NONE)
        requests_give_up(c, code);
    if (c->preferred == CLIENT_NOBODY)
        choose_preferred(c);
}

void search_dispatch(struct client_core *c)
{
    uint32_t any = any_master(c);

    dispatch_one(c);
    if (any != CLIENT_NOBODY)
        dispatch(c, &c->queued_any, any);
    if (c->confirmed)
        dispatch(c, &c->queued, c->preferred);
    if (!c->confirmed && is_needed(c))
        begin_search(c);
    c->searching = !c->confirmed && is_needed(c);
    if (!is_needed(c))
        return;
    for (uint32_t m = 0; m < c->master_count; m++)
        approach(c, m);
}

uint64_t search_deadline(const struct client_core *c)
{
    bool needed = is_needed(c);
    uint64_t deadline = silent_at(c);

    for (uint32_t m = 0; m < c->master_count; m++) {
        uint64_t at = needed ? next_approach(c, m) : NEVER;

        if (c->masters[m].link == LINK_CONNECTING)
            at = c->masters[m].connect_ms;
        if (at < deadline)
            deadline = at;
    }
    if (c->searching && !c->wide && c->search_ms + CLIENT_HEDGE_MS < deadline)
        deadline = c->search_ms + CLIENT_HEDGE_MS;
    if (c->searching && !c->reached && c->reach_ms != 0 &&
        c->search_ms + c->reach_ms < deadline)
        deadline = c->search_ms + c->reach_ms;
    return deadline;
}
