/* http_response.c - reads one HTTP/1.1 response, piece by piece and strictly. */
#include "client/http_response.h"

#include "base/limits.h"
#include "base/text.h"

#include <string.h>
#include <strings.h>

#define CHUNK_LINE_MAX   256 /* bytes, with extensions, which are ignored */
#define CHUNK_DIGITS_MAX 8   /* of its size: below 4 GiB */

void http_response_finish(struct http_response *r)
{
    buffer_finish(&r->line);
    *r = (struct http_response){0};
}

static int wrong(struct error *err, const char *what)
{
    return error_set(err, ERROR_INVALID, "the HTTP answer is malformed: %s", what);
}

/* ---- lines ---- */

static int take_line(struct http_response *r,
                     struct bytes *in,
                     size_t max,
                     bool *whole,
                     struct error *err)
{
    const uint8_t *newline = memchr(in->data, '\n', in->size);
    size_t size = newline == NULL ? in->size : (size_t)(newline - in->data) + 1;

    *whole = false;
    if (size > max || r->line.size > max - size)
        return error_set(err,
                         ERROR_TOO_LARGE,
                         "the HTTP answer has a line or head that is too long");
    buffer_append(&r->line, in->data, size);
    in->data += size;
    in->size -= size;
    if (newline == NULL)
        return 0;
    if (r->line.size < 2 || r->line.data[r->line.size - 2] != '\r')
        return wrong(err, "a line does not end with CRLF");
    r->line.data[r->line.size - 2] = '\0';
    if (memchr(r->line.data, '\0', r->line.size - 2) != NULL)
        return wrong(err, "a line has a zero byte");
    *whole = true;
    return 0;
}

static int
read_status_line(struct http_response *r, const char *line, struct error *err)
{
    static const char version[] = "HTTP/1.1 ";
    const char *at = line + sizeof(version) - 1;

    if (strncmp(line, version, sizeof(version) - 1) != 0)
        return wrong(err, "it does not begin with HTTP/1.1");
    for (int i = 0; i < 3; i++, at++) {
        if (*at < '0' || *at > '9')
            return wrong(err, "the status is not a number");
        r->status = r->status * 10 + (unsigned)(*at - '0');
    }
    if ((*at != ' ' && *at != '\0') || r->status < 200 || r->status > 599)
        return wrong(err, "the status is not one of an answer");
    r->part = HTTP_HEADERS;
    return 0;
}

static bool is_token(const char *name, size_t size)
{
    static const char allowed[] =
        "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

    return size > 0 && strspn(name, allowed) >= size;
}

static int read_length(struct http_response *r, const char *value, struct error *err)
{
    if (r->has_length)
        return wrong(err, "two lengths");
    if (*value == '\0')
        return wrong(err, "the length is missing");
    for (; *value >= '0' && *value <= '9'; value++)
        if (__builtin_mul_overflow(r->left, 10, &r->left) ||
            __builtin_add_overflow(r->left, (uint64_t)(*value - '0'), &r->left))
            return wrong(err, "the length is too large");
    if (*value != '\0')
        return wrong(err, "the length is not a number");
    r->has_length = true;
    return 0;
}

static int end_head(struct http_response *r, struct error *err)
{
    if (r->status == 204 || r->status == 304)
        r->part = HTTP_COMPLETE;
    else if (r->chunked && r->has_length)
        return wrong(err, "both a length and chunks");
    else if (r->chunked)
        r->part = HTTP_CHUNK_SIZE;
    else if (r->has_length)
        r->part = r->left > 0 ? HTTP_BODY : HTTP_COMPLETE;
    else
        return wrong(err, "neither a length nor chunks");
    return 0;
}

static int read_header(struct http_response *r, char *line, struct error *err)
{
    char *colon = strchr(line, ':');
    char *value, *end;

    if (*line == '\0')
        return end_head(r, err);
    if (colon == NULL || !is_token(line, (size_t)(colon - line)))
        return wrong(err, "a header has no name");
    *colon = '\0';
    value = colon + 1 + strspn(colon + 1, " \t");
    for (end = value + strlen(value); end > value && strchr(" \t", end[-1]) != NULL;)
        *--end = '\0';
    if (strcasecmp(line, "Content-Length") == 0)
        return read_length(r, value, err);
    if (strcasecmp(line, "Triarch-Offset") == 0 && !text_parse_u64(&r->offset, value))
        return wrong(err, "the offset is not a number");
    if (strcasecmp(line, "Transfer-Encoding") == 0) {
        if (r->chunked || strcasecmp(value, "chunked") != 0)
            return wrong(err, "a transfer encoding that was not asked for");
        r->chunked = true;
    }
    return 0;
}

static int read_chunk_size(struct http_response *r, const char *line, struct error *err)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    const char *at = line;
    const char *digit;

    r->left = 0;
    while (*at != '\0' && (digit = strchr(digits, *at)) != NULL) {
        if (at - line >= CHUNK_DIGITS_MAX)
            return wrong(err, "a chunk is too large");
        r->left = r->left * 16 + (uint64_t)((digit - digits) % 16);
        at++;
    }
    if (at == line || (*at != '\0' && *at != ';' && *at != ' ' && *at != '\t'))
        return wrong(err, "a chunk has no size");
    r->part = r->left > 0 ? HTTP_CHUNK : HTTP_TRAILERS;
    return 0;
}

static int read_line(struct http_response *r, char *line, struct error *err)
{
    switch (r->part) {
    case HTTP_STATUS_LINE:
        return read_status_line(r, line, err);
    case HTTP_HEADERS:
        return read_header(r, line, err);
    case HTTP_CHUNK_SIZE:
        return read_chunk_size(r, line, err);
    case HTTP_CHUNK_END:
        r->part = HTTP_CHUNK_SIZE;
        return *line == '\0' ? 0 : wrong(err, "a chunk is longer than it says");
    case HTTP_TRAILERS:
        if (*line == '\0')
            r->part = HTTP_COMPLETE;
        return 0;
    case HTTP_BODY:
    case HTTP_CHUNK:
    case HTTP_COMPLETE:
        break;
    }
    return 0;
}

/* ---- pieces ---- */

static bool is_in_body(const struct http_response *r)
{
    return r->part == HTTP_BODY || r->part == HTTP_CHUNK;
}

static void take_body(struct http_response *r, struct bytes *in, struct bytes *body)
{
    size_t size = in->size < r->left ? in->size : (size_t)r->left;

    *body = (struct bytes){in->data, size};
    in->data += size;
    in->size -= size;
    r->left -= size;
    if (r->left == 0)
        r->part = r->part == HTTP_CHUNK ? HTTP_CHUNK_END : HTTP_COMPLETE;
}

/* Lines of chunks are bounded each; those of head and trailers all together. */
static bool is_in_chunks(const struct http_response *r)
{
    return r->part == HTTP_CHUNK_SIZE || r->part == HTTP_CHUNK_END;
}

static size_t line_max(const struct http_response *r)
{
    return is_in_chunks(r) ? CHUNK_LINE_MAX : LIMIT_HTTP_HEAD_BYTES - r->head_bytes;
}

int http_response_feed(struct http_response *r,
                       struct bytes *in,
                       struct bytes *body,
                       struct error *err)
{
    bool whole;
    int rc = 0;

    *body = (struct bytes){0};
    while (rc == 0 && in->size > 0 && !http_response_complete(r)) {
        if (is_in_body(r)) {
            take_body(r, in, body);
            return 0;
        }
        rc = take_line(r, in, line_max(r), &whole, err);
        if (rc != 0 || !whole)
            continue;
        if (!is_in_chunks(r))
            r->head_bytes += r->line.size;
        rc = read_line(r, (char *)r->line.data, err);
        buffer_clear(&r->line);
    }
    return rc;
}
