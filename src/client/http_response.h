/* http_response.h - reads one HTTP/1.1 response, piece by piece and strictly.
 *
 * For the answers of our own agents, through whatever stands between: lines end with
 * CRLF, the length of the body is known from Content-Length or from chunks (so that a
 * lost connection is never taken for the end), heads and chunk lines are bounded.
 * Anything else is an error.  Pure: bytes in, pieces of the body out.
 */
#ifndef CLIENT_HTTP_RESPONSE_H
#define CLIENT_HTTP_RESPONSE_H

#include "base/buffer.h"
#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

enum http_part {
    HTTP_STATUS_LINE,
    HTTP_HEADERS,
    HTTP_BODY, /* `left` bytes of a known length */
    HTTP_CHUNK_SIZE,
    HTTP_CHUNK, /* `left` bytes of it */
    HTTP_CHUNK_END,
    HTTP_TRAILERS,
    HTTP_COMPLETE,
};

struct http_response {
    enum http_part part;
    unsigned status; /* once part is past HTTP_STATUS_LINE */
    bool chunked;
    bool has_length;
    uint64_t left;
    uint64_t
        offset; /* of the first byte of the body, as Triarch-Offset tells; else 0 */
    size_t head_bytes; /* of head and trailers so far */
    struct buffer line;
};

/* A zeroed struct is ready for the status line. */
void http_response_finish(struct http_response *r);

/* Consume from *in until a piece of the body is found (*body, a view into *in), or all is
 * consumed, or the response is complete.  0 or a negative error. */
int http_response_feed(struct http_response *r,
                       struct bytes *in,
                       struct bytes *body,
                       struct error *err);

static inline bool http_response_complete(const struct http_response *r)
{
    return r->part == HTTP_COMPLETE;
}

#endif
