/* client.h - a client of the masters: the core (client/core) on a loop.
 *
 * Requests survive any change of leader; each ends exactly once.  Everything is for the
 * loop's own thread.
 *
 *     struct client_call call = {.done = on_answer, .user = me};
 *     submit_pack(&submit, 0, &frame);
 *     client_request(client, &call, buffer_view(&frame), CLIENT_LEADER);
 */
#ifndef CLIENT_CLIENT_H
#define CLIENT_CLIENT_H

#include "base/buffer.h"
#include "base/error.h"
#include "client/core/client_core.h"
#include "net/address.h"
#include "net/loop.h"

#include <stdbool.h>
#include <stdint.h>

struct client;

struct client_options {
    const struct address *masters; /* copied */
    unsigned master_count;         /* 1 to CLIENT_LISTED_MAX */
    uint64_t reach_ms;             /* as in client_config */
};

struct client_answer {
    enum error_code code; /* ERROR_NONE, or why not */
    const char *text;     /* of an error, without control characters */
    struct bytes result;  /* packed; valid during the call */
    bool repeated;        /* an earlier try may have taken effect */
    uint32_t master;      /* who answered, or CLIENT_NOBODY */
};

/* The caller's; lives until `done`, in which it may be used again. */
struct client_call {
    void (*done)(void *user, const struct client_answer *answer);
    void *user;
    uint64_t timeout_ms; /* 0: CLIENT_DEADLINE_MS */
    uint32_t master;     /* for CLIENT_ONE */
};

struct client *client_create(struct loop *l, const struct client_options *options);
/* Requests that are under way are dropped: their `done` is not called.  Not from inside a
 * callback.  NULL is fine. */
void client_destroy(struct client *c);

/* frame: a whole request as wire's packers make it; copied.  `done` may come before this
 * returns. */
void client_request(struct client *c,
                    struct client_call *call,
                    struct bytes frame,
                    enum client_route route);

/* For people: whom it knows. */
const struct client_core *client_core_of(const struct client *c);
/* The address of the leader, "" while nobody is known to lead. */
const char *client_leader(const struct client *c);

#endif
