/* http_get.h - GET over a stream: one request, its answer as it comes. */
#ifndef CLIENT_HTTP_GET_H
#define CLIENT_HTTP_GET_H

#include "base/buffer.h"
#include "base/error.h"
#include "net/address.h"
#include "net/loop.h"

/* Who says nothing for so long may hang. */
#define HTTP_SILENCE_MS 3000

struct http_get_events {
    /* The head of the answer is here; begin as below.  May be NULL. */
    void (*head)(void *user, unsigned status, uint64_t begin);
    /* A piece of the body of an answer with this status.  begin: the offset in its file of the
     * first byte of the body, if the server tells it. */
    void (*body)(void *user, unsigned status, uint64_t begin, struct bytes piece);
    /* Once, then the request is gone.  reason: ERROR_NONE when the answer was whole. */
    void (*done)(void *user, unsigned status, const struct error *reason);
};

struct http_get;

/* path: what stands in the request line; no spaces or control characters. */
struct http_get *http_get(struct loop *l,
                          const struct address *from,
                          const char *path,
                          const struct http_get_events *events,
                          void *user);
/* Of the answer; 0 while there is none. */
unsigned http_get_status(const struct http_get *g);
/* No callback follows.  NULL is fine. */
void http_get_cancel(struct http_get *g);

#endif
