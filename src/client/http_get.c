/* http_get.c - GET over a stream. */
#include "client/http_get.h"

#include "base/mem.h"
#include "client/http_response.h"
#include "net/stream.h"

struct http_get {
    struct stream *stream;
    struct http_response response;
    bool head_told;
    const struct http_get_events *events;
    void *user;
    struct buffer request;
};

static void release(struct http_get *g)
{
    http_response_finish(&g->response);
    buffer_finish(&g->request);
    mem_free(g);
}

static void finish(struct http_get *g, const struct error *reason)
{
    const struct http_get_events *events = g->events;
    unsigned status = g->response.status;
    void *user = g->user;

    release(g);
    events->done(user, status, reason);
}

static void on_opened(void *user)
{
    struct http_get *g = user;

    stream_take(g->stream, &g->request);
}

static void tell_head(struct http_get *g)
{
    if (g->head_told || g->response.part <= HTTP_HEADERS)
        return;
    g->head_told = true;
    if (g->events->head != NULL)
        g->events->head(g->user, g->response.status, g->response.offset);
}

static size_t on_received(void *user, struct bytes bytes)
{
    struct http_get *g = user;
    struct stream *stream = g->stream;
    struct bytes rest = bytes, piece;
    struct error err = {0};
    int rc = 0;

    while (rc == 0 && rest.size > 0 && !http_response_complete(&g->response)) {
        rc = http_response_feed(&g->response, &rest, &piece, &err);
        if (rc == 0)
            tell_head(g);
        if (rc == 0 && piece.size > 0)
            g->events->body(g->user, g->response.status, g->response.offset, piece);
    }
    if (rc != 0 || http_response_complete(&g->response)) {
        stream_destroy(stream);
        finish(g, &err);
    }
    return bytes.size;
}

static void on_closed(void *user, const struct error *reason)
{
    finish(user, reason);
}

struct http_get *http_get(struct loop *l,
                          const struct address *from,
                          const char *path,
                          const struct http_get_events *events,
                          void *user)
{
    static const struct stream_options options = {0};
    static const struct stream_events stream_events = {
        .opened = on_opened,
        .received = on_received,
        .closed = on_closed,
    };
    struct http_get *g = mem_zalloc(sizeof(*g));

    g->events = events;
    g->user = user;
    buffer_printf(&g->request,
                  "GET %s HTTP/1.1\r\n"
                  "Host: %s\r\n"
                  "User-Agent: triarch/" PACKAGE_VERSION
                  "\r\n"
                  "Accept: */*\r\n"
                  "Connection: close\r\n\r\n",
                  path,
                  from->text);
    g->stream = stream_connect(l, from, &options, &stream_events, g);
    return g;
}

unsigned http_get_status(const struct http_get *g)
{
    return g->response.part == HTTP_STATUS_LINE ? 0 : g->response.status;
}

void http_get_cancel(struct http_get *g)
{
    if (g == NULL)
        return;
    stream_destroy(g->stream);
    release(g);
}
