/* fuzz_http.c - HTTP answers, as `triarch logs` reads them.
 *
 * Bytes are the same answer however they are cut into pieces: same verdict, same status,
 * same body, and nothing kept beyond the limit. */
#include "base/assert.h"
#include "base/limits.h"
#include "client/http_response.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct reading {
    struct http_response response;
    struct buffer body;
    int rc;
};

static void read_in_pieces(struct reading *r, struct bytes all, size_t piece)
{
    struct error err;

    *r = (struct reading){0};
    while (all.size > 0 && r->rc == 0 && !http_response_complete(&r->response)) {
        size_t size = all.size < piece ? all.size : piece;
        struct bytes in = {all.data, size}, body;

        while (in.size > 0 && r->rc == 0 && !http_response_complete(&r->response)) {
            r->rc = http_response_feed(&r->response, &in, &body, &err);
            if (r->rc == 0 && body.size > 0)
                buffer_append(&r->body, body.data, body.size);
        }
        all.data += size;
        all.size -= size;
    }
    ASSERT(r->response.line.size <= LIMIT_HTTP_HEAD_BYTES);
}

static void finish(struct reading *r)
{
    http_response_finish(&r->response);
    buffer_finish(&r->body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reading whole, bytewise;

    read_in_pieces(&whole, (struct bytes){data, size}, size);
    read_in_pieces(&bytewise, (struct bytes){data, size}, 1);
    ASSERT((whole.rc == 0) == (bytewise.rc == 0));
    ASSERT(whole.response.part == bytewise.response.part);
    ASSERT(whole.body.size == bytewise.body.size);
    ASSERT(whole.body.size == 0 ||
           memcmp(whole.body.data, bytewise.body.data, whole.body.size) == 0);
    finish(&whole);
    finish(&bytewise);
    return 0;
}
