/* Responses whole, in pieces of every size, and wrong in every way. */
#include "base/limits.h"
#include "client/http_response.h"
#include "tests/lib/unit.h"

#include <string.h>

struct reading {
    struct http_response response;
    struct buffer body;
    struct error err;
    size_t left; /* bytes behind the end of the response */
};

/* Feed `text` in pieces of at most `piece` bytes; the return value of the last feed. */
static int
read_in_pieces(struct reading *r, const char *text, size_t size, size_t piece)
{
    int rc = 0;

    *r = (struct reading){0};
    for (size_t at = 0; at < size && rc == 0; at += piece) {
        size_t length = size - at < piece ? size - at : piece;
        struct bytes in = {(const uint8_t *)text + at, length}, body;

        while (rc == 0 && in.size > 0 && !http_response_complete(&r->response)) {
            rc = http_response_feed(&r->response, &in, &body, &r->err);
            if (rc == 0)
                buffer_append(&r->body, body.data, body.size);
        }
        r->left += in.size;
    }
    return rc;
}

static void finish(struct reading *r)
{
    http_response_finish(&r->response);
    buffer_finish(&r->body);
}

static const struct {
    const char *text;
    unsigned status;
    const char *body;
} good[] = {
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello"},
    {"HTTP/1.1 200 OK\r\ncontent-length:\t5 \r\nX: \r\n\r\nhello", 200, "hello"},
    {"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 404, ""},
    {"HTTP/1.1 204\r\n\r\n", 204, ""},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
     "5\r\nhello\r\n6;a=b\r\n world\r\n0\r\n\r\n",
     200,
     "hello world"},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n"
     "00A\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n",
     200,
     "0123456789"},
};

START_TEST(whole_responses_in_pieces_of_every_size)
{
    size_t size = strlen(good[_i].text);

    for (size_t piece = 1; piece <= size; piece++) {
        struct reading r;

        ck_assert_int_eq(read_in_pieces(&r, good[_i].text, size, piece), 0);
        ck_assert(http_response_complete(&r.response));
        ck_assert_uint_eq(r.response.status, good[_i].status);
        ck_assert_uint_eq(r.body.size, strlen(good[_i].body));
        if (r.body.size > 0)
            ck_assert_mem_eq(r.body.data, good[_i].body, r.body.size);
        ck_assert_uint_eq(r.left, 0);
        finish(&r);
    }
}
END_TEST

/* Cut anywhere, it is not complete and not wrong: the connection was lost. */
START_TEST(a_cut_response_is_never_complete)
{
    size_t size = strlen(good[_i].text);

    for (size_t cut = 0; cut < size; cut++) {
        struct reading r;

        ck_assert_int_eq(read_in_pieces(&r, good[_i].text, cut, cut + 1), 0);
        ck_assert(!http_response_complete(&r.response));
        finish(&r);
    }
}
END_TEST

START_TEST(the_offset_is_told)
{
    static const char text[] =
        "HTTP/1.1 200 OK\r\nTriarch-Offset: 4294967296\r\n"
        "Content-Length: 1\r\n\r\na";
    struct reading r;

    ck_assert_int_eq(read_in_pieces(&r, text, sizeof(text) - 1, 1), 0);
    ck_assert_uint_eq(r.response.offset, 4294967296);
    finish(&r);
}
END_TEST

START_TEST(what_follows_is_left_alone)
{
    static const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nabc";
    struct reading r;

    ck_assert_int_eq(read_in_pieces(&r, text, sizeof(text) - 1, sizeof(text)), 0);
    ck_assert_uint_eq(r.body.size, 1);
    ck_assert_uint_eq(r.left, 2);
    finish(&r);
}
END_TEST

#define HEAD    "HTTP/1.1 200 OK\r\n"
#define CHUNKED HEAD "Transfer-Encoding: chunked\r\n\r\n"

static const char *const bad[] = {
    "HTTP/1.0 200 OK\r\n",
    "HTTP/2 200\r\n",
    "SSH-2.0-OpenSSH_9.2\r\n",
    "HTTP/1.1 20 OK\r\n",
    "HTTP/1.1 2000 OK\r\n",
    "HTTP/1.1 100 Continue\r\n",
    "HTTP/1.1 999 What\r\n",
    "HTTP/1.1 200 OK\n",
    HEAD "Content-Length: 5\n",
    HEAD "\r\n",
    HEAD "Triarch-Offset: -1\r\n",
    HEAD "Content-Length: -1\r\n",
    HEAD "Content-Length: 0x5\r\n",
    HEAD "Content-Length: 5, 5\r\n",
    HEAD "Content-Length:\r\n",
    HEAD "Content-Length: 5\r\nContent-Length: 5\r\n",
    HEAD "Content-Length: 99999999999999999999\r\n",
    HEAD "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    HEAD "Transfer-Encoding: gzip, chunked\r\n",
    HEAD "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    HEAD "no colon\r\n",
    HEAD ": no name\r\n",
    HEAD "a b: c\r\n",
    HEAD " folded: line\r\n",
    CHUNKED "\r\n",
    CHUNKED "x\r\n",
    CHUNKED "-1\r\n",
    CHUNKED "5x\r\n",
    CHUNKED "123456789\r\n",
    CHUNKED "1\r\nab\r\n",
    CHUNKED "1\r\na\n",
};

START_TEST(malformed_responses_are_refused)
{
    struct reading r;
    int rc = read_in_pieces(&r, bad[_i], strlen(bad[_i]), 7);

    ck_assert_msg(rc == -(int)ERROR_INVALID, "%d for %s", rc, bad[_i]);
    ck_assert_ptr_nonnull(strstr(r.err.text, "malformed"));
    finish(&r);
}
END_TEST

START_TEST(a_zero_byte_in_a_line_is_refused)
{
    static const char text[] = HEAD "Content\0-Length: 5\r\n\r\n";
    struct reading r;

    ck_assert_int_eq(read_in_pieces(&r, text, sizeof(text) - 1, 64),
                     -(int)ERROR_INVALID);
    finish(&r);
}
END_TEST

static void refuse_flood(const char *head, const char *line)
{
    struct buffer text = {0};
    struct reading r;

    buffer_append_text(&text, head);
    while (text.size < 2 * LIMIT_HTTP_HEAD_BYTES)
        buffer_append_text(&text, line);
    ck_assert_int_eq(read_in_pieces(&r, (const char *)text.data, text.size, 1000),
                     -(int)ERROR_TOO_LARGE);
    ck_assert_uint_le(r.response.line.capacity, 2 * LIMIT_HTTP_HEAD_BYTES);
    finish(&r);
    buffer_finish(&text);
}

START_TEST(endless_heads_are_refused)
{
    refuse_flood("", "HTTP/1.1 200");
    refuse_flood(HEAD, "x");
    refuse_flood(HEAD, "name: value\r\n");
    refuse_flood(CHUNKED, "0");
    refuse_flood(CHUNKED "0\r\n", "trailer: value\r\n");
}
END_TEST

int main(void)
{
    TCase *responses = tcase_create("responses");
    int goods = sizeof(good) / sizeof(good[0]), bads = sizeof(bad) / sizeof(bad[0]);

    tcase_add_loop_test(responses, whole_responses_in_pieces_of_every_size, 0, goods);
    tcase_add_loop_test(responses, a_cut_response_is_never_complete, 0, goods);
    tcase_add_test(responses, the_offset_is_told);
    tcase_add_test(responses, what_follows_is_left_alone);
    tcase_add_loop_test(responses, malformed_responses_are_refused, 0, bads);
    tcase_add_test(responses, a_zero_byte_in_a_line_is_refused);
    tcase_add_test(responses, endless_heads_are_refused);
    return unit_run("http_response", &responses, 1);
}
