/* http_private.h - what the files of the HTTP server share. */
#ifndef NET_HTTP_PRIVATE_H
#define NET_HTTP_PRIVATE_H

#include "net/http.h"

#include <bsd/sys/queue.h>
#include <microhttpd.h>

struct follower;
TAILQ_HEAD(follower_list, follower);
struct connection;
TAILQ_HEAD(connection_list, connection);

struct http {
    struct loop *loop;
    void *user;
    const struct http_route *routes;
    unsigned route_count;
    unsigned connections_max;
    unsigned idle_ms;

    struct listener **listeners;
    unsigned listener_count;

    struct MHD_Daemon *daemon;
    struct watch *watch; /* on libmicrohttpd's epoll descriptor */
    struct loop_timer due;
    struct deferred run;

    struct connection_list connections;
    unsigned connection_count;
    struct loop_timer sweep;

    struct follower_list followers; /* suspended: at the end of their file */
    struct loop_timer look;
};

struct http_request {
    struct http *http;
    struct MHD_Connection *connection;
    const struct http_route *route;
    const char *path;
    bool answered;
};

/* Queue the response and give up our reference to it. */
void http_respond(struct http_request *r,
                  unsigned status,
                  struct MHD_Response *response);
struct MHD_Response *http_empty_response(void);
/* Let libmicrohttpd go on at the end of this turn. */
void http_run_soon(struct http *h);
/* End all followed files: before the daemon stops. */
void http_end_followers(struct http *h);

#endif
