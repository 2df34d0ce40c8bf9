/* http.c - a small HTTP/1.1 server on the loop: connections, routes, answers.
 *
 * libmicrohttpd has no thread and no listening socket: our listeners hand it connected
 * sockets, its epoll descriptor is watched by the loop, and a timer runs it when it
 * says so.  Its own time limit counts from the last byte, so a client could send one
 * header for ever; the sweep ends connections whose request does not become whole.
 */
#include "net/http.h"

#include "base/assert.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "net/http_private.h"
#include "net/listener.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONTENT_JSON "application/json"

struct connection {
    TAILQ_ENTRY(connection) link;
    int fd;
    bool has_zero;             /* its request names one */
    uint64_t waiting_since_ms; /* for a whole request; 0: it is being answered */
};

/* ---- running libmicrohttpd ---- */

static void run(void *user)
{
    struct http *h = user;
    unsigned long long due_ms;

    MHD_run(h->daemon);
    if (MHD_get_timeout(h->daemon, &due_ms) == MHD_YES)
        timer_set_in(h->loop, &h->due, due_ms, run, h);
    else
        timer_stop(h->loop, &h->due);
}

void http_run_soon(struct http *h)
{
    loop_defer(h->loop, &h->run, run, h);
}

/* ---- connections ---- */

static void on_connection(void *user,
                          struct MHD_Connection *connection,
                          void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct http *h = user;
    struct connection *c = *context;

    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        *context = c = mem_zalloc(sizeof(*c));
        c->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)
                    ->connect_fd;
        c->waiting_since_ms = loop_now_ms();
        TAILQ_INSERT_TAIL(&h->connections, c, link);
        h->connection_count++;
    } else {
        TAILQ_REMOVE(&h->connections, c, link);
        h->connection_count--;
        mem_free(c);
    }
}

static struct connection *connection_of(struct MHD_Connection *connection)
{
    return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)
        ->socket_context;
}

static void on_completed(void *user,
                         struct MHD_Connection *connection,
                         void **context,
                         enum MHD_RequestTerminationCode code)
{
    (void)user;
    (void)context;
    (void)code;
    connection_of(connection)->waiting_since_ms = loop_now_ms();
    connection_of(connection)->has_zero = false;
}

/* A zero byte would end the text before what stands behind it. */
static size_t unescape(void *user, struct MHD_Connection *connection, char *text)
{
    (void)user;
    if (strstr(text, "%00") != NULL)
        connection_of(connection)->has_zero = true;
    return MHD_http_unescape(text);
}

static void sweep(void *user)
{
    struct http *h = user;
    uint64_t now = loop_now_ms();
    struct connection *c;

    /* libmicrohttpd sees the end of the stream and closes. */
    TAILQ_FOREACH (c, &h->connections, link)
        if (c->waiting_since_ms != 0 && now - c->waiting_since_ms >= h->idle_ms)
            shutdown(c->fd, SHUT_RDWR);
    timer_set_in(h->loop, &h->sweep, h->idle_ms / 8 + 1, sweep, h);
}

static void say_busy(int fd)
{
    static const char body[] =
        "{\"error\":{\"code\":\"busy\",\"message\":\"too many connections\"}}";
    char text[256];
    int size =
        snprintf(text,
                 sizeof(text),
                 "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n"
                 "Content-Type: " CONTENT_JSON "\r\nContent-Length: %zu\r\n\r\n%s",
                 sizeof(body) - 1,
                 body);

    (void)!send(fd, text, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL);
    shutdown(fd, SHUT_WR);
}

static void on_turned_away(void *user, int fd)
{
    (void)user;
    say_busy(fd);
}

static void on_accepted(void *user, int fd)
{
    struct http *h = user;
    struct sockaddr_storage from = {0};
    socklen_t size = sizeof(from);

    if (h->connection_count >= h->connections_max) {
        say_busy(fd);
        close(fd);
        return;
    }
    getpeername(fd, (struct sockaddr *)&from, &size);
    /* It closes fd itself when it does not take it. */
    MHD_add_connection(h->daemon, fd, (struct sockaddr *)&from, size);
    http_run_soon(h);
}

static const struct listener_events LISTENER_EVENTS = {
    .accepted = on_accepted,
    .turned_away = on_turned_away,
};

/* ---- answers ---- */

static const struct {
    enum error_code code;
    unsigned status;
} STATUS[] = {
    {ERROR_INVALID, MHD_HTTP_BAD_REQUEST},
    {ERROR_TOO_LARGE, MHD_HTTP_CONTENT_TOO_LARGE},
    {ERROR_NOT_FOUND, MHD_HTTP_NOT_FOUND},
    {ERROR_CONFLICT, MHD_HTTP_CONFLICT},
    {ERROR_BUSY, MHD_HTTP_SERVICE_UNAVAILABLE},
    {ERROR_NOT_LEADER, MHD_HTTP_SERVICE_UNAVAILABLE},
    {ERROR_UNKNOWN, MHD_HTTP_SERVICE_UNAVAILABLE},
    {ERROR_UNAVAILABLE, MHD_HTTP_SERVICE_UNAVAILABLE},
    {ERROR_TIMEOUT, MHD_HTTP_GATEWAY_TIMEOUT},
};

static unsigned status_of(enum error_code code)
{
    for (size_t i = 0; i < sizeof(STATUS) / sizeof(STATUS[0]); i++)
        if (STATUS[i].code == code)
            return STATUS[i].status;
    return MHD_HTTP_INTERNAL_SERVER_ERROR;
}

void http_respond(struct http_request *r,
                  unsigned status,
                  struct MHD_Response *response)
{
    ASSERT(!r->answered && response != NULL);
    r->answered = true;
    /* A log file is never to be taken for a page. */
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    MHD_queue_response(r->connection, status, response);
    MHD_destroy_response(response);
}

struct MHD_Response *http_empty_response(void)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);

    ASSERT(response != NULL);
    return response;
}

/* Takes body. */
static struct MHD_Response *response_of(const char *content_type, struct buffer *body)
{
    struct MHD_Response *response;

    if (body->size > 0) {
        response = MHD_create_response_from_buffer_with_free_callback(
            body->size, body->data, mem_free);
        ASSERT(response != NULL);
        *body = (struct buffer){0};
    } else {
        response = http_empty_response();
        buffer_finish(body);
    }
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
    return response;
}

void http_answer(struct http_request *r,
                 unsigned status,
                 const char *content_type,
                 struct buffer *body)
{
    http_respond(r, status, response_of(content_type, body));
}

static struct MHD_Response *error_response(enum error_code code, const char *text)
{
    char *clean = text_clean(text_view(text));
    json_t *json =
        json_pack("{s:{s:s,s:s}}", "error", "code", error_name(code), "message", clean);
    struct buffer body = {0};

    buffer_reserve(&body, json_dumpb(json, NULL, 0, JSON_COMPACT));
    body.size = json_dumpb(json, (char *)body.data, body.capacity, JSON_COMPACT);
    json_decref(json);
    mem_free(clean);
    return response_of(CONTENT_JSON, &body);
}

void http_answer_error(struct http_request *r, const struct error *err)
{
    http_respond(r, status_of(err->code), error_response(err->code, err->text));
}

/* ---- requests ---- */

const char *http_path(const struct http_request *r)
{
    return r->path;
}

const char *http_path_rest(const struct http_request *r)
{
    return r->path + strlen(r->route->path);
}

const char *http_query(const struct http_request *r, const char *name)
{
    return MHD_lookup_connection_value(r->connection, MHD_GET_ARGUMENT_KIND, name);
}

static bool path_matches(const struct http_route *route, const char *path)
{
    size_t size = strlen(route->path);

    return route->path[size - 1] == '/' ? strncmp(route->path, path, size) == 0
                                        : strcmp(route->path, path) == 0;
}

/* GET answers HEAD as well: libmicrohttpd leaves the body out. */
static bool method_matches(const struct http_route *route, const char *method)
{
    return strcmp(route->method, method) == 0 ||
           (strcmp(method, MHD_HTTP_METHOD_HEAD) == 0 &&
            strcmp(route->method, MHD_HTTP_METHOD_GET) == 0);
}

static void answer_no_route(struct http_request *r, const struct http_route *other)
{
    struct MHD_Response *response;

    if (other == NULL) {
        http_respond(r,
                     MHD_HTTP_NOT_FOUND,
                     error_response(ERROR_NOT_FOUND, "there is nothing at this path"));
        return;
    }
    response = error_response(ERROR_INVALID, "this path does not take this method");
    MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, other->method);
    http_respond(r, MHD_HTTP_METHOD_NOT_ALLOWED, response);
}

static void answer(struct http_request *r, const char *method)
{
    struct http *h = r->http;
    const struct http_route *other = NULL; /* the path with another method */

    for (unsigned i = 0; i < h->route_count; i++) {
        const struct http_route *route = &h->routes[i];

        if (!path_matches(route, r->path))
            continue;
        other = route;
        if (!method_matches(route, method))
            continue;
        r->route = route;
        route->handle(h->user, r);
        ASSERT(r->answered);
        return;
    }
    answer_no_route(r, other);
}

static bool has_body(struct MHD_Connection *connection)
{
    const char *length = MHD_lookup_connection_value(
        connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);

    return (length != NULL && strcmp(length, "0") != 0) ||
           MHD_lookup_connection_value(
               connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_TRANSFER_ENCODING) != NULL;
}

/* Called twice: when the head is there, and when the body would be.  An answer to the
 * first call closes the connection after it, so only a body is refused there. */
static enum MHD_Result on_request(void *user,
                                  struct MHD_Connection *connection,
                                  const char *path,
                                  const char *method,
                                  const char *version,
                                  const char *body,
                                  size_t *body_size,
                                  void **context)
{
    static char seen;
    struct http_request r = {.http = user, .connection = connection, .path = path};

    (void)version;
    (void)body;
    ASSERT(*body_size == 0);
    connection_of(connection)->waiting_since_ms = 0;
    if (has_body(connection)) {
        http_respond(&r,
                     MHD_HTTP_CONTENT_TOO_LARGE,
                     error_response(ERROR_TOO_LARGE, "this path takes no body"));
    } else if (connection_of(connection)->has_zero) {
        http_respond(
            &r,
            MHD_HTTP_BAD_REQUEST,
            error_response(ERROR_INVALID, "a path or parameter has a zero byte"));
    } else if (*context == NULL) {
        *context = &seen;
    } else {
        answer(&r, method);
    }
    return MHD_YES;
}

/* ---- life ---- */

static void on_log(void *user, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

static void on_log(void *user, const char *format, va_list args)
{
    char text[256];

    (void)user;
    vsnprintf(text, sizeof(text), format, args);
    text[strcspn(text, "\n")] = '\0';
    log_debug("net", "http: %s", text);
}

static void start_daemon(struct http *h)
{
    unsigned flags = MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET |
                     MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;

    h->daemon = MHD_start_daemon(flags,
                                 0,
                                 NULL,
                                 NULL,
                                 on_request,
                                 h,
                                 MHD_OPTION_EXTERNAL_LOGGER,
                                 on_log,
                                 NULL,
                                 MHD_OPTION_CONNECTION_LIMIT,
                                 h->connections_max + 1,
                                 MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                                 (size_t)LIMIT_HTTP_HEAD_BYTES,
                                 MHD_OPTION_CONNECTION_TIMEOUT,
                                 (h->idle_ms + 999) / 1000,
                                 MHD_OPTION_NOTIFY_CONNECTION,
                                 on_connection,
                                 h,
                                 MHD_OPTION_NOTIFY_COMPLETED,
                                 on_completed,
                                 NULL,
                                 MHD_OPTION_UNESCAPE_CALLBACK,
                                 unescape,
                                 NULL,
                                 MHD_OPTION_SIGPIPE_HANDLED_BY_APP,
                                 1,
                                 MHD_OPTION_END);
    ASSERT(h->daemon != NULL);
    h->watch =
        watch_create(h->loop,
                     MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd,
                     run,
                     h);
    sweep(h);
}

static int
start_listeners(struct http *h, const struct http_options *options, struct error *err)
{
    h->listeners = mem_zalloc(sizeof(h->listeners[0]) * options->listen_count);
    for (unsigned i = 0; i < options->listen_count; i++) {
        h->listeners[i] =
            listener_create(h->loop, &options->listen[i], &LISTENER_EVENTS, h, err);
        if (h->listeners[i] == NULL)
            return -(int)err->code;
        h->listener_count++;
    }
    return 0;
}

struct http *http_create(struct loop *l,
                         const struct http_options *options,
                         void *user,
                         struct error *err)
{
    struct http *h = mem_zalloc(sizeof(*h));

    h->loop = l;
    h->user = user;
    h->routes = options->routes;
    h->route_count = options->route_count;
    h->connections_max = options->connections_max > 0 ? options->connections_max
                                                      : LIMIT_HTTP_CONNECTIONS;
    h->idle_ms = options->idle_ms > 0 ? options->idle_ms : LIMIT_HTTP_IDLE_MS;
    TAILQ_INIT(&h->connections);
    TAILQ_INIT(&h->followers);
    start_daemon(h);
    if (start_listeners(h, options, err) == 0)
        return h;
    http_destroy(h);
    return NULL;
}

void http_destroy(struct http *h)
{
    if (h == NULL)
        return;
    for (unsigned i = 0; i < h->listener_count; i++)
        listener_destroy(h->listeners[i]);
    http_end_followers(h);
    watch_destroy(h->watch);
    MHD_stop_daemon(h->daemon);
    timer_stop(h->loop, &h->due);
    timer_stop(h->loop, &h->sweep);
    deferred_cancel(h->loop, &h->run);
    mem_free(h->listeners);
    mem_free(h);
}

uint16_t http_port(const struct http *h, unsigned listen_index)
{
    return listener_port(h->listeners[listen_index]);
}

unsigned http_connections(const struct http *h)
{
    return h->connection_count;
}
