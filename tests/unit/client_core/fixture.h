/* fixture.h - a client core under test: feeds events, keeps what it did. */
#ifndef TESTS_UNIT_CLIENT_CORE_FIXTURE_H
#define TESTS_UNIT_CLIENT_CORE_FIXTURE_H

#include "client/core/client_core.h"

#include <check.h>

struct sent {
    uint32_t master;
    uint32_t id;
    enum method method;
    uint64_t at_ms;
    char key[LIMIT_KEY_BYTES + 1]; /* of a submit */
};

struct finished {
    uint64_t ticket;
    uint32_t master;
    enum error_code code;
    bool repeated;
    uint64_t id; /* of a result */
    uint64_t at_ms;
    char text[ERROR_TEXT_MAX];
};

struct fixture {
    struct client_core *core;
    struct client_actions actions;
    uint64_t now_ms;
    struct sent *sent;
    size_t sent_count, sent_capacity;
    struct finished *finished;
    size_t finished_count, finished_capacity;
    unsigned connects[CLIENT_MASTERS_MAX]; /* CLIENT_CONNECT so far */
    unsigned closes[CLIENT_MASTERS_MAX];
    /* Called for each action, after it was kept; may be NULL. */
    void (*on_action)(void *user, const struct client_action *action);
    void *user;
};

/* Masters are "a:1", "b:1", "c:1", …; the first one asked is always the same for one
 * entropy. */
void fixture_start(struct fixture *f, uint32_t masters, uint64_t entropy);
void fixture_start_with(struct fixture *f, const struct client_config *config);
void fixture_finish(struct fixture *f);

void fixture_step(struct fixture *f, struct client_event *event);

/* Requests. */
void fixture_submit(struct fixture *f, uint64_t ticket, const char *key);
void fixture_request(struct fixture *f,
                     uint64_t ticket,
                     enum method method,
                     enum client_route route,
                     uint32_t master,
                     uint64_t timeout_ms);

/* What the world does. */
void fixture_connected(struct fixture *f, uint32_t master);
void fixture_connected_leading(struct fixture *f, uint32_t master, uint64_t term);
void fixture_hello(struct fixture *f, uint32_t master, const struct hello *hello);
void fixture_refused(struct fixture *f, uint32_t master);
void fixture_refused_for(struct fixture *f, uint32_t master, enum error_code code);
void fixture_closed(struct fixture *f, uint32_t master);
void fixture_result(struct fixture *f, uint32_t master, uint32_t id, uint64_t job);
void fixture_error(struct fixture *f,
                   uint32_t master,
                   uint32_t id,
                   enum error_code code,
                   const char *hint);
void fixture_busy(struct fixture *f,
                  uint32_t master,
                  uint32_t id,
                  uint64_t retry_after_ms);
void fixture_leading(struct fixture *f, uint32_t master, uint64_t term);
void fixture_frame(struct fixture *f, uint32_t master, struct bytes frame);
/* Time goes on by this much, with CLIENT_TIME at every deadline on the way. */
void fixture_wait(struct fixture *f, uint64_t ms);

/* What the core did. */
size_t fixture_sent_to(const struct fixture *f, uint32_t master);
const struct sent *fixture_last_sent(const struct fixture *f);
const struct finished *fixture_last_finished(const struct fixture *f);

#endif
