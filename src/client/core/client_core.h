/* client_core.h - whom a client asks, when it asks again, and with which key (joint 11).
 *
 * Pure (joint 1): client_step() takes one event and fills a list of actions; it has no
 * clock, socket or randomness.  The command line, the load generators and the simulator
 * link this same object.
 *
 * Every request of the protocol may be repeated without harm: submit carries its key;
 * kill, purge and agent_gone are the same twice; listings change nothing.  So a request
 * is repeated until it has an answer that is worth something, or until its deadline:
 *
 *   not_leader{hint}         ask the master that the hint names, else all of them
 *   unknown, lost connection the same again: it may have taken effect
 *   busy, unavailable        the same again after a jittered rest
 *   silence of CLIENT_HEDGE_MS  ask the others at the same time; the first useful answer
 *                            wins, later ones are ignored
 *   anything else            is the answer
 *
 * Requests flow freely (up to CLIENT_WINDOW_BYTES) only to a master that is known to
 * lead: it said so, or it gave a useful answer.  While nobody is known to lead, a master
 * gets one request at a time, the oldest, and the next one after a growing pause.  So ten
 * thousand requests in flight do not storm the masters that are just electing.
 *
 * Work for one request is O(1), besides what a change of leader moves.
 */
#ifndef CLIENT_CORE_CLIENT_CORE_H
#define CLIENT_CORE_CLIENT_CORE_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/limits.h"
#include "wire/rpc.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLIENT_LISTED_MAX  10 /* masters that the user names */
#define CLIENT_MASTERS_MAX 16 /* with those that hints name */
#define CLIENT_NOBODY      UINT32_MAX

#define CLIENT_HEDGE_MS     300   /* silence until the others are asked as well */
#define CLIENT_REASK_MS     5000  /* silence until the same master is asked again */
#define CLIENT_DEADLINE_MS  30000 /* of a request that names none */
#define CLIENT_REACH_MS     5000 /* until a cluster that was never reached is given up */
#define CLIENT_CONNECT_MS   3000      /* for a connection and its hello */
#define CLIENT_WINDOW_BYTES (8 * MIB) /* of requests without an answer, to one master */

struct client_config {
    const char *const *masters; /* HOST:PORT; copied */
    uint32_t master_count;      /* 1 to CLIENT_LISTED_MAX */
    uint64_t entropy;           /* for jitter */
    uint64_t reach_ms;          /* 0: requests wait until their own deadline */
};

void client_config_init(struct client_config *config);

/* ---- events ---- */

enum client_route {
    CLIENT_LEADER, /* only the leader can answer it */
    CLIENT_ANY,    /* any master can: stale listings */
    CLIENT_ONE,    /* this master alone, tried once: what it says of itself */
};

enum client_event_kind {
    CLIENT_REQUEST,   /* exactly one CLIENT_FINISHED follows, now or later */
    CLIENT_CONNECTED, /* the answer to CLIENT_CONNECT: hellos were exchanged */
    CLIENT_REFUSED,   /* the other answer to CLIENT_CONNECT */
    CLIENT_CLOSED,    /* the connection is gone; not after CLIENT_CLOSE */
    CLIENT_FRAME,
    CLIENT_TIME, /* at the latest at actions.deadline_ms */
};

struct client_event {
    enum client_event_kind kind;
    uint64_t now_ms; /* monotonic; never falls */
    union {
        struct {
            uint64_t ticket;    /* the caller's; comes back */
            struct bytes frame; /* a whole request as wire's packers make it; copied.
                                 * Its id is replaced */
            enum client_route route;
            uint32_t master;     /* CLIENT_ONE: which */
            uint64_t timeout_ms; /* 0: CLIENT_DEADLINE_MS */
        } request;
        struct {
            uint32_t master;
            const struct hello *hello; /* the master's */
        } connected;
        struct {
            uint32_t master;
            const struct error *reason;
        } refused, closed;
        struct {
            uint32_t master;
            struct bytes bytes; /* one frame, without its size word */
        } frame;
    };
};

/* ---- actions ---- */

enum client_action_kind {
    CLIENT_CONNECT, /* answered by CLIENT_CONNECTED or CLIENT_REFUSED, unless closed */
    CLIENT_CLOSE,   /* or stop connecting; no event follows */
    CLIENT_SEND,    /* whole frames, in order */
    CLIENT_FINISHED,
};

struct client_action {
    enum client_action_kind kind;
    uint32_t master; /* of FINISHED: who answered, or CLIENT_NOBODY */
    size_t offset;   /* private: where bytes or text lie while the list grows */
    union {
        struct {
            const char *address; /* HOST:PORT; until the next client_step() */
        } connect;
        struct {
            struct bytes bytes;
        } send;
        struct {
            uint64_t ticket;
            enum error_code code; /* ERROR_NONE, or why not */
            bool repeated; /* an earlier try may have taken effect: not_found after
                                   * a purge can mean that it was this purge */
            struct bytes result; /* packed, of an answer without error */
            const char *text;    /* of an error; from outside: escape before printing */
        } finished;
    };
};

/* Zeroed is empty.  Pointers in it live until the next client_step() or finish. */
struct client_actions {
    struct client_action *list;
    size_t count, capacity;
    struct buffer bytes;
    uint64_t deadline_ms; /* feed CLIENT_TIME then; UINT64_MAX: nothing is due */
};

void client_actions_finish(struct client_actions *actions);

/* ---- the core ---- */

struct client_core;

struct client_core *client_core_create(const struct client_config *config);
void client_core_destroy(struct client_core *core); /* NULL is fine; drops requests */

/* Clears *actions, then fills it: carry them out in order. */
void client_step(struct client_core *core,
                 const struct client_event *event,
                 struct client_actions *actions);

/* ---- looking in ---- */

size_t client_core_requests(const struct client_core *core); /* not finished yet */
/* The master that is known to lead, or CLIENT_NOBODY. */
uint32_t client_core_leader(const struct client_core *core);
/* Masters: the listed ones first, then those that hints named. */
uint32_t client_core_masters(const struct client_core *core);
const char *client_core_address(const struct client_core *core, uint32_t master);
/* Why it cannot be asked right now, or "". */
const char *client_core_trouble(const struct client_core *core, uint32_t master);

#endif
