/* requests.c - the life of a request, from its ticket to its answer.
 *
 *            ask              silence
 *   QUEUED ──────▶ ASKED ──────────────▶ RESTLESS
 *     ▲ ▲            │  nobody owes an answer │
 *     │ └────────────┴────────────────────────┘
 *     └── RESTING ◀── busy
 *
 * An answer that is worth something ends it from any place.
 */
#include "base/assert.h"
#include "base/mem.h"
#include "client/core/core_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define RING_FIRST 64

static int by_rest(const struct request *a, const struct request *b)
{
    if (a->rest_ms != b->rest_ms)
        return a->rest_ms < b->rest_ms ? -1 : 1;
    return (a->id > b->id) - (a->id < b->id);
}

RB_GENERATE(rest_tree, request, by_rest, by_rest)

void requests_init(struct client_core *c)
{
    c->ring_size = RING_FIRST;
    c->ring = mem_zalloc(c->ring_size * sizeof(struct request *));
    TAILQ_INIT(&c->by_deadline);
    TAILQ_INIT(&c->queued);
    TAILQ_INIT(&c->queued_any);
    TAILQ_INIT(&c->queued_one);
    TAILQ_INIT(&c->asked);
    TAILQ_INIT(&c->asked_one);
    TAILQ_INIT(&c->restless);
    RB_INIT(&c->resting);
}

void requests_finish(struct client_core *c)
{
    struct request *r, *next;

    TAILQ_FOREACH_SAFE (r, &c->by_deadline, by_deadline, next)
        mem_free(r);
    mem_free(c->ring);
    buffer_finish(&c->busy);
}

/* ---- ids ----
 *
 * One id for all masters, and never again before 2^32 others: an answer that comes too
 * late finds nobody.  Answers with id 0 are about the connection. */

static struct request **ring_slot(const struct client_core *c, uint32_t id)
{
    return &c->ring[id & (c->ring_size - 1)];
}

static void ring_grow(struct client_core *c)
{
    struct request **old = c->ring;
    size_t old_size = c->ring_size;

    c->ring_size *= 2;
    c->ring = mem_zalloc(c->ring_size * sizeof(struct request *));
    for (size_t i = 0; i < old_size; i++)
        if (old[i] != NULL)
            *ring_slot(c, old[i]->id) = old[i];
    mem_free(old);
}

static uint32_t ring_next_id(struct client_core *c)
{
    if ((c->request_count + 1) * 2 > c->ring_size)
        ring_grow(c);
    do
        c->last_id++;
    while (c->last_id == 0 || *ring_slot(c, c->last_id) != NULL);
    return c->last_id;
}

struct request *requests_find(const struct client_core *c, uint32_t id)
{
    struct request *r = *ring_slot(c, id);

    return r != NULL && r->id == id ? r : NULL;
}

/* ---- places ---- */

static struct request_queue *queue_of(struct client_core *c, const struct request *r)
{
    bool one = r->route == CLIENT_ONE;

    switch (r->place) {
    case PLACE_QUEUED:
        return one                      ? &c->queued_one
               : r->route == CLIENT_ANY ? &c->queued_any
                                        : &c->queued;
    case PLACE_ASKED:
        return one ? &c->asked_one : &c->asked;
    case PLACE_RESTLESS:
        return &c->restless;
    case PLACE_NEW:
    case PLACE_RESTING:
    case PLACE_ENDED:
        break;
    }
    return NULL;
}

void requests_move(struct client_core *c, struct request *r, enum place place)
{
    struct request_queue *queue = queue_of(c, r);

    if (queue != NULL)
        TAILQ_REMOVE(queue, r, in_place);
    else if (r->place == PLACE_RESTING)
        RB_REMOVE(rest_tree, &c->resting, r);
    r->place = place;
    queue = queue_of(c, r);
    if (queue != NULL)
        TAILQ_INSERT_TAIL(queue, r, in_place);
    else if (place == PLACE_RESTING)
        RB_INSERT(rest_tree, &c->resting, r);
}

/* Nobody owes it an answer any more: it must be asked again. */
static void queue_if_unasked(struct client_core *c, struct request *r)
{
    if (r->asked == 0 && (r->place == PLACE_ASKED || r->place == PLACE_RESTLESS))
        requests_move(c, r, PLACE_QUEUED);
}

void requests_ask(struct client_core *c, struct request *r, uint32_t master)
{
    if ((r->asked & master_bit(master)) == 0) {
        r->asked |= master_bit(master);
        c->masters[master].bytes_asked += r->size;
        actions_send(c->out, master, (struct bytes){r->frame, r->size});
    }
    if (r->place == PLACE_QUEUED) {
        r->since_ms = c->now_ms;
        requests_move(c, r, PLACE_ASKED);
    }
}

/* Whether the master did owe an answer. */
static bool unask(struct client_core *c, struct request *r, uint32_t master)
{
    if ((r->asked & master_bit(master)) == 0)
        return false;
    r->asked &= ~master_bit(master);
    ASSERT(c->masters[master].bytes_asked >= r->size);
    c->masters[master].bytes_asked -= r->size;
    return true;
}

static void unask_all(struct client_core *c, struct request *r)
{
    for (uint32_t m = 0; r->asked != 0; m++)
        unask(c, r, m);
}

/* ---- begin and end ---- */

static void insert_by_deadline(struct client_core *c, struct request *r)
{
    struct request *before = TAILQ_LAST(&c->by_deadline, request_queue);

    while (before != NULL && before->deadline_ms > r->deadline_ms)
        before = TAILQ_PREV(before, request_queue, by_deadline);
    if (before == NULL)
        TAILQ_INSERT_HEAD(&c->by_deadline, r, by_deadline);
    else
        TAILQ_INSERT_AFTER(&c->by_deadline, before, r, by_deadline);
}

static struct request *create(struct client_core *c, const struct rpc *rpc)
{
    uint32_t id = ring_next_id(c);
    struct request *r;
    size_t begin;

    buffer_clear(&c->scratch);
    begin = rpc_begin_request(&c->scratch, id, rpc->method);
    buffer_append(&c->scratch, rpc->params.data, rpc->params.size);
    rpc_end(&c->scratch, begin);
    r = mem_alloc(sizeof(*r) + c->scratch.size);
    *r = (struct request){.id = id, .method = rpc->method, .size = c->scratch.size};
    memcpy(r->frame, c->scratch.data, r->size);
    *ring_slot(c, id) = r;
    c->request_count++;
    return r;
}

void requests_start(struct client_core *c, const struct client_event *event)
{
    static const char full[] = "too many requests wait for an answer already";
    struct bytes frame = event->request.frame;
    struct request *r;
    struct rpc rpc;

    if (c->request_count >= LIMIT_REQUESTS_WAITING) {
        actions_finished(c->out,
                         CLIENT_NOBODY,
                         ERROR_BUSY,
                         (struct bytes){(const uint8_t *)full, sizeof(full) - 1})
            ->finished.ticket = event->request.ticket;
        return;
    }
    ASSERT(rpc_frame_size(frame, NULL) == (int64_t)frame.size);
    ASSERT(rpc_unpack(&rpc,
                      (struct bytes){frame.data + FRAME_SIZE_WORD,
                                     frame.size - FRAME_SIZE_WORD},
                      NULL) == 0);
    ASSERT(rpc.type == RPC_REQUEST && rpc.method != METHOD_UNKNOWN);
    r = create(c, &rpc);
    r->ticket = event->request.ticket;
    r->route = event->request.route;
    r->only = event->request.master;
    ASSERT(r->route != CLIENT_ONE || r->only < c->master_count);
    r->timeout_ms = event->request.timeout_ms;
    if (r->timeout_ms == 0)
        r->timeout_ms = CLIENT_DEADLINE_MS;
    r->deadline_ms = c->now_ms + r->timeout_ms;
    r->rest_wait_ms = REST_MS;
    insert_by_deadline(c, r);
    requests_move(c, r, PLACE_QUEUED);
}

void requests_end(struct client_core *c,
                  struct request *r,
                  uint32_t master,
                  enum error_code code,
                  struct bytes result_or_text)
{
    struct client_action *action =
        actions_finished(c->out, master, code, result_or_text);

    action->finished.ticket = r->ticket;
    action->finished.repeated = r->uncertain || r->asked != 0;
    unask_all(c, r);
    requests_move(c, r, PLACE_ENDED);
    TAILQ_REMOVE(&c->by_deadline, r, by_deadline);
    *ring_slot(c, r->id) = NULL;
    c->request_count--;
    mem_free(r);
}

static void end_with_text(struct client_core *c,
                          struct request *r,
                          enum error_code code,
                          const char *format,
                          ...) __attribute__((format(printf, 4, 5)));

static void end_with_text(struct client_core *c,
                          struct request *r,
                          enum error_code code,
                          const char *format,
                          ...)
{
    char text[ERROR_TEXT_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    requests_end(
        c, r, CLIENT_NOBODY, code, (struct bytes){(const uint8_t *)text, strlen(text)});
}

/* ---- answers ---- */

/* Only the leader says so of a request that needs the leader. */
static bool proves_leading(const struct request *r, enum error_code code)
{
    return r->route == CLIENT_LEADER &&
           (code == ERROR_NONE || code == ERROR_NOT_FOUND || code == ERROR_CONFLICT);
}

/* Others may make room before a master says that there is some. */
static void rest(struct client_core *c, struct request *r, uint64_t least_ms)
{
    uint64_t wait_ms;

    if (r->place == PLACE_RESTING)
        return;
    if (r->rest_wait_ms < least_ms)
        r->rest_wait_ms = least_ms < REST_MAX_MS ? least_ms : REST_MAX_MS;
    wait_ms = core_back_off(c, &r->rest_wait_ms, REST_MAX_MS);
    r->rest_ms = c->now_ms + wait_ms;
    requests_move(c, r, PLACE_RESTING);
}

/* Who waits to its deadline would hear the same. */
static void told_busy(struct client_core *c, struct request *r, const struct rpc *rpc)
{
    buffer_clear(&c->busy);
    buffer_append(&c->busy, rpc->text.data, rpc->text.size);
    c->busy_ms = rpc->retry_after_ms;
    if (r->asked == 0 && !r->uncertain && c->now_ms + c->busy_ms > r->deadline_ms)
        requests_too_busy(c, r);
    else
        rest(c, r, c->busy_ms);
}

static void refused(struct client_core *c,
                    struct request *r,
                    uint32_t master,
                    const struct rpc *rpc)
{
    bool may_be_done = rpc->code == ERROR_UNKNOWN || rpc->code == ERROR_TIMEOUT;

    r->refused = (uint8_t)rpc->code;
    r->uncertain = r->uncertain || may_be_done;
    if (rpc->code == ERROR_BUSY) {
        told_busy(c, r, rpc);
        return;
    }
    if (r->route != CLIENT_LEADER) {
        rest(c, r, 0);
        return;
    }
    search_refute(c, master, rpc->hint);
    queue_if_unasked(c, r);
}

void requests_answer(struct client_core *c, uint32_t master, const struct rpc *rpc)
{
    struct request *r = requests_find(c, rpc->id);
    bool owed;

    if (r == NULL)
        return;
    owed = unask(c, r, master);
    switch (rpc->code) {
    case ERROR_NOT_LEADER:
    case ERROR_UNKNOWN:
    case ERROR_TIMEOUT:
    case ERROR_BUSY:
    case ERROR_UNAVAILABLE:
        if (r->route != CLIENT_ONE) {
            if (owed)
                refused(c, r, master, rpc);
            return;
        }
        break;
    default:
        break;
    }
    if (proves_leading(r, rpc->code))
        search_confirm(c, master, 0);
    requests_end(
        c, r, master, rpc->code, rpc->code == ERROR_NONE ? rpc->params : rpc->text);
}

void requests_lost(struct client_core *c, uint32_t master)
{
    struct request *r, *next;

    if (c->masters[master].bytes_asked == 0)
        return;
    TAILQ_FOREACH_SAFE (r, &c->by_deadline, by_deadline, next) {
        if (!unask(c, r, master))
            continue;
        r->uncertain = true;
        if (r->route == CLIENT_ONE)
            end_with_text(c, r, ERROR_UNAVAILABLE, "%s", c->masters[master].trouble);
        else
            queue_if_unasked(c, r);
    }
}

void requests_unreachable(struct client_core *c, uint32_t master)
{
    struct request *r, *next;

    TAILQ_FOREACH_SAFE (r, &c->queued_one, in_place, next)
        if (r->only == master)
            end_with_text(c, r, ERROR_UNAVAILABLE, "%s", c->masters[master].trouble);
}

void requests_requeue(struct client_core *c)
{
    struct request_queue *from[] = {&c->restless, &c->asked};
    struct request_queue newer = TAILQ_HEAD_INITIALIZER(newer);
    struct request *r, *next;

    TAILQ_CONCAT(&newer, &c->queued, in_place);
    for (size_t i = 0; i < sizeof(from) / sizeof(from[0]); i++)
        TAILQ_FOREACH_SAFE (r, from[i], in_place, next)
            if (r->route == CLIENT_LEADER && (r->asked & master_bit(c->preferred)) == 0)
                requests_move(c, r, PLACE_QUEUED);
    TAILQ_CONCAT(&c->queued, &newer, in_place);
}

/* ---- time ---- */

void requests_tick(struct client_core *c)
{
    struct request *r;

    while ((r = TAILQ_FIRST(&c->by_deadline)) != NULL && c->now_ms >= r->deadline_ms)
        requests_expire(c, r);
    while ((r = TAILQ_FIRST(&c->asked)) != NULL &&
           c->now_ms >= r->since_ms + CLIENT_HEDGE_MS)
        requests_move(c, r, PLACE_RESTLESS);
    while ((r = TAILQ_FIRST(&c->restless)) != NULL &&
           c->now_ms >= r->since_ms + CLIENT_REASK_MS) {
        r->uncertain = true;
        unask_all(c, r);
        requests_move(c, r, PLACE_QUEUED);
    }
    while ((r = RB_MIN(rest_tree, &c->resting)) != NULL && c->now_ms >= r->rest_ms)
        requests_move(c, r, PLACE_QUEUED);
}

uint64_t requests_deadline(const struct client_core *c)
{
    struct rest_tree resting = c->resting; /* RB_MIN wants one that is not const */
    const struct request *ends = TAILQ_FIRST(&c->by_deadline);
    const struct request *asked = TAILQ_FIRST(&c->asked);
    const struct request *restless = TAILQ_FIRST(&c->restless);
    const struct request *rests = RB_MIN(rest_tree, &resting);
    uint64_t deadline = NEVER;

    if (ends != NULL && ends->deadline_ms < deadline)
        deadline = ends->deadline_ms;
    if (asked != NULL && asked->since_ms + CLIENT_HEDGE_MS < deadline)
        deadline = asked->since_ms + CLIENT_HEDGE_MS;
    if (restless != NULL && restless->since_ms + CLIENT_REASK_MS < deadline)
        deadline = restless->since_ms + CLIENT_REASK_MS;
    if (rests != NULL && rests->rest_ms < deadline)
        deadline = rests->rest_ms;
    return deadline;
}
