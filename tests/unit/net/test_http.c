/* test_http.c - routes, files and followed files, seen by a raw client. */

#include "net_test.h"

#include "base/limits.h"
#include "base/mem.h"
#include "net/http.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct loop *loop;
static struct http *http;
static struct http_options options;
static struct address listen_on[2];

static char path[64]; /* of the file that /file shows */
static bool done;     /* nothing more will be appended to it */
static unsigned opened, closed;
static bool sparse;   /* of /file */
static uint64_t from; /* of /file */
static struct buffer in;

/* ---- the routes ---- */

static void answer_text(struct http_request *r, const char *text)
{
    struct buffer body = {0};

    buffer_append_text(&body, text);
    http_answer(r, 200, "text/plain", &body);
}

static void on_health(void *user, struct http_request *r)
{
    ck_assert_ptr_eq(user, &options);
    ck_assert_str_eq(http_path(r), "/health");
    answer_text(r, "fine\n");
}

static void on_empty(void *user, struct http_request *r)
{
    (void)user;
    answer_text(r, "");
}

static void on_echo(void *user, struct http_request *r)
{
    const char *q = http_query(r, "q");

    (void)user;
    ck_assert_ptr_null(http_query(r, "none"));
    answer_text(r, q == NULL ? http_path_rest(r) : q);
}

static void on_error(void *user, struct http_request *r)
{
    struct error err;

    (void)user;
    error_set(&err, error_code_of(http_path_rest(r)), "it says \"no\"\x80\x1b");
    http_answer_error(r, &err);
}

static bool is_done(void *user)
{
    ck_assert_ptr_eq(user, path);
    return done;
}

static void file_closed(void *user)
{
    ck_assert_ptr_eq(user, path);
    closed++;
}

static void on_file(void *user, struct http_request *r)
{
    struct http_file f = {.fd = open(path, O_RDONLY | O_CLOEXEC),
                          .content_type = "text/plain",
                          .sparse = sparse,
                          .from = from,
                          .done = is_done,
                          .closed = file_closed,
                          .user = path};

    (void)user;
    ck_assert_int_ge(f.fd, 0);
    opened++;
    http_answer_file(r, &f);
}

static void on_directory(void *user, struct http_request *r)
{
    struct http_file f = {.fd = open("/", O_RDONLY | O_CLOEXEC), .content_type = "x"};

    (void)user;
    http_answer_file(r, &f);
}

static const struct http_route ROUTES[] = {
    {"GET", "/health", on_health},
    {"GET", "/empty", on_empty},
    {"GET", "/echo/", on_echo},
    {"GET", "/error/", on_error},
    {"GET", "/file", on_file},
    {"GET", "/directory", on_directory},
    {"POST", "/post", on_empty},
};

/* ---- the fixture ---- */

static void write_file(const char *text, size_t size, int flags)
{
    int fd = open(path, O_WRONLY | O_CREAT | flags, 0600);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, size), (ssize_t)size);
    close(fd);
}

static void append(const char *text)
{
    write_file(text, strlen(text), O_APPEND);
}

static void setup(void)
{
    loop = loop_create();
    listen_on[0] = listen_on[1] = local_address(0);
    options = (struct http_options){.listen = listen_on,
                                    .listen_count = 2,
                                    .routes = ROUTES,
                                    .route_count = sizeof(ROUTES) / sizeof(ROUTES[0])};
    strcpy(path, "/tmp/test_http.XXXXXX");
    close(mkstemp(path));
}

static void start(void)
{
    struct error err = {0};

    http = http_create(loop, &options, &options, &err);
    ck_assert_msg(http != NULL, "%s", err.text);
}

static void teardown(void)
{
    http_destroy(http);
    loop_destroy(loop);
    unlink(path);
    buffer_finish(&in);
    ck_assert_uint_eq(opened, closed);
}

static int send_request(const char *request_text)
{
    int fd = raw_connect(http_port(http, 0));

    raw_send(fd, request_text, strlen(request_text));
    return fd;
}

/* The body of the answer in `in`, which is ended by a zero byte. */
static const char *body(void)
{
    const char *end;

    buffer_append_u8(&in, 0);
    in.size--;
    end = strstr((char *)in.data, "\r\n\r\n");
    ck_assert_ptr_nonnull(end);
    return end + 4;
}

static bool has_header(const char *line)
{
    char text[128];

    body();
    snprintf(text, sizeof(text), "\r\n%s\r\n", line);
    return strcasestr((char *)in.data, text) != NULL;
}

/* Send one request and read the answer to its end; returns the status. */
static int get(const char *method, const char *target, const char *headers)
{
    char text[512];
    int fd, status = 0;

    snprintf(text,
             sizeof(text),
             "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n",
             method,
             target,
             headers);
    fd = send_request(text);
    buffer_clear(&in);
    raw_read_all(loop, fd, &in);
    close(fd);
    body();
    ck_assert_int_eq(sscanf((char *)in.data, "HTTP/1.1 %d ", &status), 1);
    return status;
}

static void read_until(int fd, const char *text)
{
    do
        raw_read_size(loop, fd, &in, in.size + 1);
    while (strstr((body(), (char *)in.data), text) == NULL);
}

/* ---- routes ---- */

START_TEST(routes_answer)
{
    start();
    ck_assert_int_eq(get("GET", "/health", ""), 200);
    ck_assert_str_eq(body(), "fine\n");
    ck_assert(has_header("Content-Type: text/plain"));
    ck_assert(has_header("Content-Length: 5"));
    ck_assert(has_header("X-Content-Type-Options: nosniff"));
    ck_assert_int_eq(get("GET", "/empty", ""), 200);
    ck_assert_str_eq(body(), "");
    ck_assert_int_eq(get("GET", "/echo/a%20b/c?x=1", ""), 200);
    ck_assert_str_eq(body(), "a b/c");
    ck_assert_int_eq(get("GET", "/echo/?q=1%262&p", ""), 200);
    ck_assert_str_eq(body(), "1&2");
    ck_assert_int_eq(get("HEAD", "/health", ""), 200);
    ck_assert_str_eq(body(), "");
    ck_assert(has_header("Content-Length: 5"));
}
END_TEST

START_TEST(what_no_route_answers_is_json)
{
    start();
    ck_assert_int_eq(get("GET", "/nothing", ""), 404);
    ck_assert_str_eq(
        body(),
        "{\"error\":{\"code\":\"not_found\",\"message\":\"there is nothing at this "
        "path\"}}");
    ck_assert(has_header("Content-Type: application/json"));
    ck_assert_int_eq(get("GET", "/health/", ""), 404);
    ck_assert_int_eq(get("GET", "/echo", ""), 404);
    ck_assert_int_eq(get("DELETE", "/health", ""), 405);
    ck_assert(has_header("Allow: GET"));
    ck_assert_int_eq(get("GET", "/post", ""), 405);
    ck_assert(has_header("Allow: POST"));
    ck_assert_int_eq(get("POST", "/post", ""), 200);
    ck_assert_int_eq(get("POST", "/post", "Content-Length: 3\r\n"), 413);
    ck_assert_int_eq(get("POST", "/post", "Transfer-Encoding: chunked\r\n"), 413);
}
END_TEST

START_TEST(errors_have_their_status)
{
    start();
    ck_assert_int_eq(get("GET", "/error/not_found", ""), 404);
    ck_assert_str_eq(body(),
                     "{\"error\":{\"code\":\"not_found\",\"message\":\"it says "
                     "\\\"no\\\"\xef\xbf\xbd\xef\xbf\xbd\"}}");
    ck_assert_int_eq(get("GET", "/error/invalid", ""), 400);
    ck_assert_int_eq(get("GET", "/error/busy", ""), 503);
    ck_assert_int_eq(get("GET", "/error/timeout", ""), 504);
    ck_assert_int_eq(get("GET", "/error/corrupt", ""), 500);
}
END_TEST

START_TEST(a_connection_takes_many_requests)
{
    static const char text[] = "GET /health HTTP/1.1\r\nHost: x\r\n\r\n";
    int fd;

    start();
    fd = raw_connect(http_port(http, 1));
    for (unsigned i = 0; i < 5; i++) {
        raw_send(fd, text, sizeof(text) - 1);
        buffer_clear(&in);
        do
            raw_read_size(loop, fd, &in, in.size + 1);
        while (strstr((body(), (char *)in.data), "fine\n") == NULL);
        ck_assert_uint_eq(http_connections(http), 1);
    }
    close(fd);
    wait_until(loop, http_connections(http) == 0);
}
END_TEST

/* ---- limits ---- */

START_TEST(an_oversized_head_is_refused)
{
    char *text = mem_alloc(100 * KIB);
    size_t size = (size_t)sprintf(text, "GET /health HTTP/1.1\r\nHost: x\r\nX: ");
    int fd, status;

    start();
    memset(text + size, 'a', 100 * KIB - size);
    fd = raw_connect(http_port(http, 0));
    ck_assert_int_gt(send(fd, text, 100 * KIB, MSG_NOSIGNAL | MSG_DONTWAIT), 0);
    read_until(fd, "\r\n\r\n");
    ck_assert_int_eq(sscanf((char *)in.data, "HTTP/1.1 %d ", &status), 1);
    ck_assert(status == 431 || status == 413);
    close(fd);
    mem_free(text);
}
END_TEST

START_TEST(a_slow_head_is_cut)
{
    int fd;
    unsigned i;

    options.idle_ms = 60;
    start();
    fd = raw_connect(http_port(http, 0));
    raw_send(fd, "GET /health HTTP/1.1\r\n", 22);
    /* Always some progress, and never a whole head. */
    for (i = 0; raw_read(fd, &in); i++) {
        ck_assert_uint_lt(i, 2000);
        send(fd, "X: y\r\n", 6, MSG_NOSIGNAL);
        let_pass(loop, 3);
    }
    ck_assert_uint_eq(in.size, 0);
    wait_until(loop, http_connections(http) == 0);
    close(fd);
}
END_TEST

START_TEST(an_idle_connection_is_closed)
{
    static const char text[] = "GET /health HTTP/1.1\r\nHost: x\r\n\r\n";
    int fd;

    options.idle_ms = 60;
    start();
    fd = raw_connect(http_port(http, 0));
    raw_send(fd, text, sizeof(text) - 1);
    raw_read_all(loop, fd, &in);
    ck_assert_str_eq(body(), "fine\n");
    close(fd);
}
END_TEST

START_TEST(a_client_that_stops_reading_is_cut)
{
    char *big = mem_zalloc(24 * MIB);
    int fd;

    options.idle_ms = 100; /* a whole second for answers: libmicrohttpd's clock */
    start();
    write_file(big, 24 * MIB, 0);
    mem_free(big);
    fd = send_request("GET /file HTTP/1.1\r\nHost: x\r\n\r\n");
    wait_until(loop, closed == 1);
    ck_assert_uint_eq(opened, 1);
    wait_until(loop, http_connections(http) == 0);
    close(fd);
}
END_TEST

START_TEST(too_many_connections_are_told)
{
    int fds[2];

    options.connections_max = 2;
    start();
    for (unsigned i = 0; i < 2; i++)
        fds[i] = raw_connect(http_port(http, 0));
    wait_until(loop, http_connections(http) == 2);
    ck_assert_int_eq(get("GET", "/health", ""), 503);
    ck_assert(strstr(body(), "\"busy\"") != NULL);
    close(fds[0]);
    wait_until(loop, http_connections(http) == 1);
    ck_assert_int_eq(get("GET", "/health", ""), 200);
    close(fds[1]);
}
END_TEST

START_TEST(a_taken_port_is_an_error)
{
    struct error err = {0};

    start();
    listen_on[1] = local_address(http_port(http, 0));
    ck_assert_ptr_null(http_create(loop, &options, NULL, &err));
    ck_assert_int_eq(err.code, ERROR_IO);
}
END_TEST

/* ---- files ---- */

START_TEST(parts_of_a_file)
{
    static const struct {
        const char *target, *headers;
        int status;
        const char *body, *header;
    } cases[] = {
        {"/file", "", 200, "0123456789", "Content-Length: 10"},
        {"/file", "", 200, "0123456789", "Accept-Ranges: bytes"},
        {"/file?offset=0", "", 200, "0123456789", "Content-Length: 10"},
        {"/file?offset=7", "", 200, "789", "Content-Length: 3"},
        {"/file?offset=10", "", 200, "", "Content-Length: 0"},
        {"/file?offset=99", "", 200, "", "Content-Length: 0"},
        {"/file?tail=3", "", 200, "789", "Content-Length: 3"},
        {"/file?tail=0", "", 200, "", "Content-Length: 0"},
        {"/file?tail=99", "", 200, "0123456789", "Content-Length: 10"},
        {"/file?length=4", "", 200, "0123", "Content-Length: 4"},
        {"/file?length=0", "", 200, "", "Content-Length: 0"},
        {"/file?offset=7&length=99", "", 200, "789", "Content-Length: 3"},
        {"/file?tail=4&length=2", "", 200, "67", "Triarch-Offset: 6"},
        {"/file", "Range: bytes=2-4\r\n", 206, "234", "Content-Range: bytes 2-4/10"},
        {"/file", "Range: bytes=0-0\r\n", 206, "0", "Content-Range: bytes 0-0/10"},
        {"/file", "Range: bytes=8-\r\n", 206, "89", "Content-Range: bytes 8-9/10"},
        {"/file", "Range: bytes=8-99\r\n", 206, "89", "Content-Range: bytes 8-9/10"},
        {"/file", "Range: bytes=-3\r\n", 206, "789", "Content-Range: bytes 7-9/10"},
        {"/file", "Range: bytes=-99\r\n", 206, "0123456789", "Content-Length: 10"},
        {"/file", "Range: bytes=10-\r\n", 416, "", "Content-Range: bytes */10"},
        {"/file", "Range: bytes=-0\r\n", 416, "", "Content-Range: bytes */10"},
        {"/file", "Range: bytes=4-2\r\n", 200, "0123456789", "Content-Length: 10"},
        {"/file", "Range: bytes=1-2,4-5\r\n", 200, "0123456789", "Content-Length: 10"},
        {"/file", "Range: bytes=-\r\n", 200, "0123456789", "Content-Length: 10"},
        {"/file", "Range: lines=1-2\r\n", 200, "0123456789", "Content-Length: 10"},
        {"/file?offset=2",
         "Range: bytes=0-0\r\n",
         200,
         "23456789",
         "Content-Length: 8"},
    };

    start();
    append("0123456789");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ck_assert_int_eq(get("GET", cases[i].target, cases[i].headers),
                         cases[i].status);
        ck_assert_str_eq(body(), cases[i].body);
        ck_assert_msg(has_header(cases[i].header), "%s", (char *)in.data);
    }
    ck_assert_int_eq(get("HEAD", "/file", ""), 200);
    ck_assert(has_header("Content-Length: 10"));
}
END_TEST

START_TEST(the_last_lines_of_a_file)
{
    static const struct {
        const char *text, *target, *body;
        uint64_t from;
    } cases[] = {
        {"one\ntwo\nthree\n", "/file?lines=0", "", 0},
        {"one\ntwo\nthree\n", "/file?lines=1", "three\n", 0},
        {"one\ntwo\nthree\n", "/file?lines=2", "two\nthree\n", 0},
        {"one\ntwo\nthree\n", "/file?lines=3", "one\ntwo\nthree\n", 0},
        {"one\ntwo\nthree\n", "/file?lines=4", "one\ntwo\nthree\n", 0},
        {"one\ntwo\nthree", "/file?lines=1", "three", 0}, /* it is being written */
        {"one\n\n\n", "/file?lines=2", "\n\n", 0},
        {"\n", "/file?lines=1", "\n", 0},
        {"", "/file?lines=1", "", 0},
        {"one", "/file?lines=5", "one", 0},
        {"one\ntwo\nthree\n", "/file?lines=1&offset=4", "three\n", 0},
        {"one\ntwo\nthree\n", "/file?lines=9&offset=4", "two\nthree\n", 0},
        {"one\ntwo\nthree\n", "/file?lines=9&offset=99", "", 0},
        {"one\ntwo\nthree\n", "/file", "two\nthree\n", 4},
        {"one\ntwo\nthree\n", "/file?lines=1", "three\n", 4},
        {"one\ntwo\nthree\n", "/file?offset=0", "one\ntwo\nthree\n", 4},
        {"one\ntwo\nthree\n", "/file?tail=2", "e\n", 4},
        {"one\ntwo\nthree\n", "/file", "", 99},
    };

    start();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        from = cases[i].from;
        write_file(cases[i].text, strlen(cases[i].text), O_TRUNC);
        ck_assert_int_eq(get("GET", cases[i].target, ""), 200);
        ck_assert_msg(strcmp(body(), cases[i].body) == 0, "%zu: %s", i, body());
    }
}
END_TEST

/* As many lines as wanted may reach far back: into the limit, and no further. */
START_TEST(the_search_for_lines_is_bounded)
{
    char *text = mem_alloc(2 * LIMIT_LINES_BYTES);
    size_t length;

    start();
    memset(text, 'x', 2 * LIMIT_LINES_BYTES);
    write_file(text, 2 * LIMIT_LINES_BYTES, O_TRUNC); /* one line */
    ck_assert_int_eq(get("HEAD", "/file?lines=1", ""), 200);
    ck_assert(has_header("Content-Length: 8388608"));
    for (size_t i = 99; i < 2 * LIMIT_LINES_BYTES; i += 100)
        text[i] = '\n';
    write_file(text, 2 * LIMIT_LINES_BYTES, O_TRUNC);
    ck_assert_int_eq(get("HEAD", "/file?lines=50000", ""), 200);
    length = 2 * LIMIT_LINES_BYTES - (2 * LIMIT_LINES_BYTES) / 100 * 100;
    snprintf(
        text, 100, "Content-Length: %zu", 49999 * 100ul + (length > 0 ? length : 100));
    ck_assert_msg(has_header(text), "%s", (char *)in.data);
    ck_assert_int_eq(get("HEAD", "/file?lines=100000", ""), 200);
    length = LIMIT_LINES_BYTES - (100 - LIMIT_LINES_BYTES % 100) % 100;
    snprintf(text, 100, "Content-Length: %zu", length);
    ck_assert_msg(has_header(text), "%s wants %s", (char *)in.data, text);
    mem_free(text);
}
END_TEST

/* The first 8 KiB were given back; "0123456789" stands behind them. */
static void append_behind_hole(void)
{
    ck_assert_int_eq(truncate(path, 8192), 0);
    append("0123456789");
}

START_TEST(a_hole_at_the_beginning_is_skipped)
{
    static const struct {
        const char *target, *headers;
        int status;
        const char *body, *header;
    } cases[] = {
        {"/file", "", 200, "0123456789", "Content-Length: 10"},
        {"/file", "", 200, "0123456789", "Triarch-Offset: 8192"},
        {"/file?offset=0", "", 200, "0123456789", "Triarch-Offset: 8192"},
        {"/file?offset=8195", "", 200, "3456789", "Triarch-Offset: 8195"},
        {"/file?offset=99999", "", 200, "", "Triarch-Offset: 8202"},
        {"/file?tail=3", "", 200, "789", "Triarch-Offset: 8199"},
        {"/file?tail=100", "", 200, "0123456789", "Content-Length: 10"},
        {"/file", "Range: bytes=8191-8193\r\n", 206, "01", "bytes 8192-8193/8202"},
        {"/file", "Range: bytes=5-9\r\n", 416, "", "bytes */8202"},
        {"/file?follow=1", "", 200, "0123456789", "Triarch-Offset: 8192"},
    };

    start();
    append_behind_hole();
    done = true;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ck_assert_int_eq(get("GET", cases[i].target, cases[i].headers),
                         cases[i].status);
        if (strstr(cases[i].target, "follow") == NULL)
            ck_assert_str_eq(body(), cases[i].body);
        else /* in chunks */
            ck_assert_ptr_nonnull(strstr(body(), cases[i].body));
        ck_assert_msg(
            strstr((char *)in.data, cases[i].header) != NULL, "%s", (char *)in.data);
    }
}
END_TEST

START_TEST(a_hole_of_a_sparse_file_is_sent)
{
    sparse = true;
    start();
    append_behind_hole();
    ck_assert_int_eq(get("HEAD", "/file", ""), 200);
    ck_assert(has_header("Content-Length: 8202"));
    ck_assert_int_eq(get("GET", "/file?offset=8190&length=4", ""), 200);
    ck_assert(has_header("Content-Length: 4"));
    ck_assert_int_eq(memcmp(in.data + in.size - 4, "\0\00001", 4), 0);
}
END_TEST

START_TEST(escapes_are_decoded_once)
{
    start();
    ck_assert_int_eq(get("GET", "/echo/a%2fb%252fc", ""), 200);
    ck_assert_str_eq(body(), "a/b%2fc");
    ck_assert_int_eq(get("GET", "/echo/x?q=%2e%2E%252e", ""), 200);
    ck_assert_str_eq(body(), "..%2e");
    ck_assert_int_eq(get("GET", "/echo/a%00b", ""), 400);
    ck_assert(strstr(body(), "zero byte") != NULL);
    ck_assert_int_eq(get("GET", "/echo/a?q=b%00c", ""), 400);
    ck_assert_int_eq(get("GET", "/echo/a%2500b", ""), 200);
    ck_assert_str_eq(body(), "a%00b");
}
END_TEST

START_TEST(mistakes_about_files)
{
    start();
    append("0123456789");
    ck_assert_int_eq(get("GET", "/file?offset=x", ""), 400);
    ck_assert(strstr(body(), "offset is a number") != NULL);
    ck_assert_int_eq(get("GET", "/file?offset=-1", ""), 400);
    ck_assert_int_eq(get("GET", "/file?tail=", ""), 400);
    ck_assert_int_eq(get("GET", "/file?tail=1&offset=1", ""), 400);
    ck_assert_int_eq(get("GET", "/file?tail=1&lines=1", ""), 400);
    ck_assert_int_eq(get("GET", "/file?lines=few", ""), 400);
    ck_assert_int_eq(get("GET", "/file?length=1&follow=1", ""), 400);
    ck_assert_int_eq(get("GET", "/directory", ""), 404);
}
END_TEST

START_TEST(a_large_file_does_not_hold_up_others)
{
    size_t size = 24 * MIB;
    char *big = mem_alloc(size);
    int slow;

    start();
    for (size_t i = 0; i < size; i++)
        big[i] = (char)(i * 31 >> 3);
    write_file(big, size, 0);
    slow = send_request("GET /file HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    wait_until(loop, opened == 1);
    ck_assert_int_eq(get("GET", "/health", ""), 200);
    ck_assert_uint_eq(closed, 0);
    buffer_clear(&in);
    raw_read_all(loop, slow, &in);
    ck_assert_uint_eq(in.size - (size_t)(body() - (char *)in.data), size);
    ck_assert_int_eq(memcmp(body(), big, size), 0);
    close(slow);
    mem_free(big);
}
END_TEST

/* ---- followed files ---- */

START_TEST(a_growing_file_is_followed)
{
    int fd;

    start();
    append("one\n");
    fd = send_request("GET /file?follow=1 HTTP/1.1\r\nHost: x\r\n\r\n");
    read_until(fd, "\r\none\n\r\n");
    ck_assert(has_header("Transfer-Encoding: chunked"));
    append("two\n");
    read_until(fd, "\r\ntwo\n\r\n");
    let_pass(loop, 250);
    append("three\n");
    read_until(fd, "\r\nthree\n\r\n");
    ck_assert_uint_eq(closed, 0);
    append("last\n");
    done = true;
    read_until(fd, "\r\nlast\n\r\n0\r\n\r\n");
    wait_until(loop, closed == 1);
    close(fd);
}
END_TEST

START_TEST(following_begins_where_asked)
{
    int fd;

    start();
    append("0123456789");
    fd = send_request("GET /file?follow=1&tail=2 HTTP/1.0\r\n\r\n");
    read_until(fd, "\r\n\r\n89");
    close(fd);
    wait_until(loop, closed == 1);
    /* Further than the file is: wait until it gets there. */
    buffer_clear(&in);
    fd = send_request("GET /file?follow=1&offset=11 HTTP/1.0\r\n\r\n");
    wait_until(loop, opened == 2);
    let_pass(loop, 250);
    append("abc");
    read_until(fd, "\r\n\r\nbc");
    done = true;
    raw_read_all(loop, fd, &in);
    ck_assert_str_eq(body(), "bc");
    close(fd);
}
END_TEST

/* Its connection is idle for longer than an answer may be, and costs nothing meanwhile. */
START_TEST(a_quiet_file_is_followed)
{
    uint64_t turns;
    int fd;

    options.idle_ms = 1000;
    start();
    append("x");
    fd = send_request("GET /file?follow=1 HTTP/1.0\r\n\r\n");
    read_until(fd, "\r\n\r\nx");
    turns = loop_counters(loop)->turns;
    let_pass(loop, 2500);
    ck_assert_uint_lt(loop_counters(loop)->turns - turns, 5000);
    append("y");
    read_until(fd, "\r\n\r\nxy");
    close(fd);
    wait_until(loop, closed == 1);
}
END_TEST

START_TEST(a_client_that_goes_ends_following)
{
    int fd;

    start();
    append("x");
    fd = send_request("GET /file?follow=1 HTTP/1.1\r\nHost: x\r\n\r\n");
    read_until(fd, "\r\nx\r\n");
    close(fd);
    wait_until(loop, closed == 1);
    wait_until(loop, http_connections(http) == 0);
}
END_TEST

START_TEST(an_emptied_file_ends_following)
{
    int fd;

    start();
    append("some text");
    fd = send_request("GET /file?follow=1 HTTP/1.1\r\nHost: x\r\n\r\n");
    read_until(fd, "some text\r\n");
    ck_assert_int_eq(truncate(path, 0), 0);
    raw_read_all(loop, fd, &in);
    ck_assert_ptr_null(strstr(body(), "\r\n0\r\n")); /* not a good end */
    ck_assert_uint_eq(closed, 1);
    close(fd);
}
END_TEST

/* What it has not seen was given back meanwhile. */
START_TEST(an_overtaken_follower_is_cut)
{
    char *text = mem_zalloc(8192);
    int fd;

    memset(text, 'x', 8191);
    start();
    append(text);
    append("y");
    mem_free(text);
    fd = send_request("GET /file?follow=1 HTTP/1.1\r\nHost: x\r\n\r\n");
    read_until(fd, "xxy\r\n");
    ck_assert_int_eq(truncate(path, 1048576), 0);
    append("news");
    raw_read_all(loop, fd, &in);
    ck_assert_ptr_null(strstr(body(), "\r\n0\r\n")); /* not a good end */
    close(fd);
    done = true;
    ck_assert_int_eq(get("GET", "/file?follow=1&offset=8192", ""), 200);
    ck_assert(has_header("Triarch-Offset: 1048576"));
    ck_assert_ptr_nonnull(strstr(body(), "\r\nnews\r\n"));
}
END_TEST

START_TEST(many_follow_one_file)
{
    int fds[20];

    start();
    for (unsigned i = 0; i < 20; i++)
        fds[i] = send_request("GET /file?follow=1 HTTP/1.0\r\n\r\n");
    wait_until(loop, opened == 20);
    append("to all");
    let_pass(loop, 10);
    done = true;
    for (unsigned i = 0; i < 20; i++) {
        buffer_clear(&in);
        raw_read_all(loop, fds[i], &in);
        ck_assert_str_eq(body(), "to all");
        close(fds[i]);
    }
}
END_TEST

/* teardown() destroys the server while they wait. */
START_TEST(the_server_may_end_while_files_are_followed)
{
    int fds[3];

    start();
    append("x");
    for (unsigned i = 0; i < 3; i++) {
        fds[i] = send_request("GET /file?follow=1 HTTP/1.1\r\nHost: x\r\n\r\n");
        buffer_clear(&in);
        read_until(fds[i], "\r\nx\r\n");
    }
    let_pass(loop, 10);
    for (unsigned i = 0; i < 3; i++)
        close(fds[i]);
    ck_assert_uint_eq(opened, 3);
}
END_TEST

int main(void)
{
    TCase *cases[] = {net_case("routes",
                               routes_answer,
                               what_no_route_answers_is_json,
                               errors_have_their_status,
                               a_connection_takes_many_requests),
                      net_case("limits",
                               an_oversized_head_is_refused,
                               a_slow_head_is_cut,
                               an_idle_connection_is_closed,
                               a_client_that_stops_reading_is_cut,
                               too_many_connections_are_told,
                               a_taken_port_is_an_error),
                      net_case("files",
                               parts_of_a_file,
                               the_last_lines_of_a_file,
                               the_search_for_lines_is_bounded,
                               a_hole_at_the_beginning_is_skipped,
                               a_hole_of_a_sparse_file_is_sent,
                               escapes_are_decoded_once,
                               mistakes_about_files,
                               a_large_file_does_not_hold_up_others),
                      net_case("follow",
                               a_growing_file_is_followed,
                               following_begins_where_asked,
                               a_quiet_file_is_followed,
                               a_client_that_goes_ends_following,
                               an_emptied_file_ends_following,
                               an_overtaken_follower_is_cut,
                               many_follow_one_file,
                               the_server_may_end_while_files_are_followed)};

    for (size_t i = 0; i < 4; i++)
        tcase_add_checked_fixture(cases[i], setup, teardown);
    return unit_run("http", cases, 4);
}
