/* http.h - a small HTTP/1.1 server on the loop (libmicrohttpd).
 *
 * Routes are a table; the first that matches answers, in the same call.  GET routes
 * also answer HEAD.  What no route answers is a 404, another method on a known path a
 * 405, both with a JSON body {"error":{"code","message"}}.  Requests with a body are
 * refused: nothing here takes one yet.
 *
 * A file is sent as it is, or followed: the answer goes on while somebody appends to
 * the file and ends when its owner says that it is done.  Parameters of a file route:
 *     ?offset=N  from byte N           ?tail=N  the last N bytes
 *     ?lines=N   the last N lines, of the last LIMIT_LINES_BYTES; with offset: not before it
 *     ?length=N  at most N bytes       ?follow=1
 * and the header Range (one range of bytes), which `follow` ignores.
 *
 * A part that begins in a hole begins behind it: whoever limits the file gave the space back.
 * Offsets count it all the same; the header Triarch-Offset of the answer tells the offset of
 * its first byte.
 *
 * Escapes in a path or a parameter are decoded once; "%00" is refused.
 */
#ifndef NET_HTTP_H
#define NET_HTTP_H

#include "base/buffer.h"
#include "base/error.h"
#include "net/address.h"
#include "net/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_OFFSET_HEADER "Triarch-Offset"

struct http;
struct http_request;

struct http_route {
    const char *method; /* "GET" */
    const char *path;   /* "/health"; with a slash at its end: everything below */
    void (*handle)(void *user, struct http_request *r);
};

struct http_options {
    const struct address *listen; /* port 0: any free one */
    unsigned listen_count;
    const struct http_route *routes; /* kept, not copied */
    unsigned route_count;
    unsigned connections_max; /* 0: LIMIT_HTTP_CONNECTIONS */
    unsigned idle_ms;         /* for a whole head of a request, or any progress of an
                                 answer; 0: LIMIT_HTTP_IDLE_MS */
};

struct http *http_create(struct loop *l,
                         const struct http_options *options,
                         void *user,
                         struct error *err);
void http_destroy(struct http *h); /* not from inside a handler; NULL is fine */
uint16_t http_port(const struct http *h, unsigned listen_index);
unsigned http_connections(const struct http *h);

/* ---- in a handler: call one http_answer…() exactly once ---- */

const char *http_path(const struct http_request *r);
/* What follows the path of a route that ends in a slash. */
const char *http_path_rest(const struct http_request *r);
const char *http_query(const struct http_request *r, const char *name); /* or NULL */

/* Takes body. */
void http_answer(struct http_request *r,
                 unsigned status,
                 const char *content_type,
                 struct buffer *body);
/* The status follows from the code: not_found is 404, invalid 400, busy 503, … */
void http_answer_error(struct http_request *r, const struct error *err);

struct http_file {
    int fd; /* taken; read with pread() */
    const char *content_type;
    bool sparse;   /* holes are part of it */
    uint64_t from; /* where it begins for who does not say an offset */
    /* May be followed if set: true when nothing more will be appended to the file.
     * Called until `closed` was. */
    bool (*done)(void *user);
    void (*closed)(void *user); /* may be NULL; once, when the answer has ended */
    void *user;
};
void http_answer_file(struct http_request *r, const struct http_file *file);

#endif
