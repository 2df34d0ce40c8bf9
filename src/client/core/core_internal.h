/* core_internal.h - the parts of the client's core, joined.
 *
 *   client_core.c  events in: connections, frames, time
 *   requests.c     the life of a request, from its ticket to its answer
 *   giving_up.c    the last word on a request that nobody answered
 *   search.c       which master gets which request now
 *   actions.c      the list that goes out
 */
#ifndef CLIENT_CORE_CORE_INTERNAL_H
#define CLIENT_CORE_CORE_INTERNAL_H

#include "base/rng.h"
#include "client/core/client_core.h"

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>

#define NEVER UINT64_MAX

/* Pauses; the next one is half as long again, up to the second number. */
#define PROBE_MS            10 /* between two requests to one that may not lead */
#define PROBE_MAX_MS        250
#define CONNECT_WAIT_MS     20 /* after a refused connection */
#define CONNECT_WAIT_MAX_MS 1000
#define REST_MS             20 /* after busy */
#define REST_MAX_MS         2000

#define HINTS_AT_ONCE     4   /* followed without a pause, until a leader is found */
#define TROUBLE_MAX       160 /* bytes of why a master cannot be asked */
#define CLIENT_HASH_BYTES 16

/* Where a request waits.  It may be asked at masters in every place: their answers are
 * taken whenever they come. */
enum place {
    PLACE_NEW,
    PLACE_QUEUED,   /* to be asked */
    PLACE_ASKED,    /* silence is shorter than CLIENT_HEDGE_MS */
    PLACE_RESTLESS, /* longer: the others may be asked */
    PLACE_RESTING,  /* was told busy: to be queued again at rest_ms */
    PLACE_ENDED,
};

#define FRAME_SIZE_WORD 4 /* what a frame begins with */

struct request {
    uint32_t id;
    enum method method;
    enum client_route route;
    uint32_t only; /* CLIENT_ONE: the master */
    uint64_t ticket;
    enum place place;
    uint32_t asked;  /* bit of each master that still owes an answer */
    bool uncertain;  /* a try ended without saying whether it took effect */
    uint8_t refused; /* enum error_code of the last refusal */
    uint64_t deadline_ms;
    uint64_t timeout_ms;
    uint64_t since_ms; /* of the last ask */
    uint64_t rest_ms;
    uint64_t rest_wait_ms;
    TAILQ_ENTRY(request) in_place;
    TAILQ_ENTRY(request) by_deadline;
    RB_ENTRY(request) by_rest;
    size_t size;
    uint8_t frame[];
};

TAILQ_HEAD(request_queue, request);
RB_HEAD(rest_tree, request);
RB_PROTOTYPE(rest_tree, request, by_rest, )

enum link {
    LINK_DOWN,
    LINK_CONNECTING, /* until its hello comes */
    LINK_UP,
};

struct master {
    char *address;
    enum link link;
    enum error_code hopeless; /* it can never be asked: another version or cluster */
    uint64_t connect_ms;      /* DOWN: not before; CONNECTING: at the latest */
    uint64_t connect_wait_ms;
    uint64_t probe_ms; /* not before, while it is not known to lead */
    uint64_t probe_wait_ms;
    size_t bytes_asked; /* of requests that it owes an answer */
    char trouble[TROUBLE_MAX];
};

struct client_core {
    struct client_actions *out; /* of the step that runs */
    uint64_t now_ms;
    struct rng rng;
    uint64_t reach_ms;

    struct master masters[CLIENT_MASTERS_MAX];
    uint32_t master_count;
    uint32_t listed;
    bool has_cluster;
    uint8_t cluster
        [CLIENT_HASH_BYTES]; /* the hash of --cluster that the first hello named */
    bool reached;            /* some master said a good hello, ever */

    /* whom to ask */
    uint32_t preferred; /* leads, or is said to: asked first */
    bool confirmed;     /* `preferred` is known to lead */
    uint64_t term;      /* the highest that a leader named */
    uint64_t heard_ms;  /* last useful answer of the confirmed leader */
    bool wide;          /* not confirmed: all masters are asked, not only `preferred` */
    bool searching;     /* not confirmed, and requests wait */
    uint64_t search_ms; /* since */
    unsigned hints;     /* followed at once in this search */

    /* requests */
    uint32_t last_id;
    struct request **ring; /* by id: a power of two, less than half full */
    size_t ring_size;
    size_t request_count;
    struct request_queue by_deadline; /* all */
    struct request_queue queued;      /* CLIENT_LEADER */
    struct request_queue queued_any;
    struct request_queue queued_one;
    struct request_queue asked;     /* in order of since_ms */
    struct request_queue asked_one; /* CLIENT_ONE: nobody else is asked */
    struct request_queue restless;  /* in order of since_ms */
    struct rest_tree resting;
    struct buffer busy;    /* what a master said last that was; no text: none did */
    uint64_t busy_ms;      /* and for how long; 0: it did not say */
    struct buffer scratch; /* a frame being made */
};

/* actions.c */
void actions_clear(struct client_actions *a);
struct client_action *
actions_add(struct client_actions *a, enum client_action_kind kind, uint32_t master);
/* Frames for the same master join into one action. */
void actions_send(struct client_actions *a, uint32_t master, struct bytes frames);
struct client_action *actions_finished(struct client_actions *a,
                                       uint32_t master,
                                       enum error_code code,
                                       struct bytes result_or_text);
/* The list is complete: make its pointers right. */
void actions_settle(struct client_actions *a);

/* requests.c */
void requests_init(struct client_core *c);
void requests_finish(struct client_core *c);
void requests_start(struct client_core *c, const struct client_event *event);
struct request *requests_find(const struct client_core *c, uint32_t id);
void requests_move(struct client_core *c, struct request *r, enum place place);
/* Unless the master owes it an answer already; a queued one is ASKED from now on. */
void requests_ask(struct client_core *c, struct request *r, uint32_t master);
/* It has its answer; *r is gone. */
void requests_end(struct client_core *c,
                  struct request *r,
                  uint32_t master,
                  enum error_code code,
                  struct bytes result_or_text);
void requests_answer(struct client_core *c, uint32_t master, const struct rpc *rpc);
/* The master will not answer what it was asked: the connection is gone. */
void requests_lost(struct client_core *c, uint32_t master);
/* End every request to this master alone. */
void requests_unreachable(struct client_core *c, uint32_t master);
/* Whoever was asked before, ask the leader: its connection is another one. */
void requests_requeue(struct client_core *c);
void requests_tick(struct client_core *c);
uint64_t requests_deadline(const struct client_core *c);

/* giving_up.c */
/* Its deadline has come. */
void requests_expire(struct client_core *c, struct request *r);
/* It was told so, and has no time to wait. */
void requests_too_busy(struct client_core *c, struct request *r);
/* End every request that nobody can have seen. */
void requests_give_up(struct client_core *c, enum error_code code);

/* search.c */
/* This master leads, or acts like it: `term` as it said, or 0. */
void search_confirm(struct client_core *c, uint32_t master, uint64_t term);
/* This master does not lead; `hint` may name the one that does. */
void search_refute(struct client_core *c, uint32_t master, struct bytes hint);
void search_tick(struct client_core *c);
/* Ask whom there is to ask.  At the end of every step. */
void search_dispatch(struct client_core *c);
uint64_t search_deadline(const struct client_core *c);

/* client_core.c */
/* Nothing passes on the connection any more. */
void core_disconnected(struct client_core *c,
                       uint32_t master,
                       const struct error *reason);
/* Close it ourselves. */
void core_drop(struct client_core *c, uint32_t master, const struct error *reason);
/* A time between half and the whole of *wait_ms, which grows by half, up to `max`. */
uint64_t core_back_off(struct client_core *c, uint64_t *wait_ms, uint64_t max);

static inline uint32_t master_bit(uint32_t master)
{
    return UINT32_C(1) << master;
}

static inline bool core_leads(const struct client_core *c, uint32_t master)
{
    return c->confirmed && c->preferred == master;
}

#endif
