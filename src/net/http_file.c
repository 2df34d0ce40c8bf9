/* http_file.c - files as answers, whole, in part, or followed while they grow.
 *
 * A followed file is read to its end; then its connection is suspended and the file is
 * looked at every 100 ms.  libmicrohttpd does not look at suspended sockets, so the
 * same look finds clients that have gone.
 *
 * A hole in a file is space that its owner gave back (fallocate(2)): no answer begins in one, and a
 * follower that has been overtaken by one is cut, so that it asks again from there.
 */
#include "net/http.h"

#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "net/http_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOOK_MS     100
#define BLOCK_BYTES (64 * KIB)

struct follower {
    TAILQ_ENTRY(follower) link; /* while suspended */
    struct http *http;
    struct MHD_Connection *connection;
    struct http_file file;
    uint64_t at;   /* next byte to send */
    uint64_t size; /* of the file when it was looked at last */
    bool follow;
    bool over; /* end the answer: the client or the server goes */
};

/* The part of the file that was asked for: bytes [from, to). */
struct part {
    uint64_t from, to, size; /* size: of the file now */
    bool follow;
    bool ranged; /* 206 */
};

/* Where the bytes begin that are kept, at `from` or behind it. */
static uint64_t first_kept(int fd, uint64_t from)
{
    off_t at = lseek(fd, (off_t)from, SEEK_DATA);

    return at < 0 ? from : (uint64_t)at;
}

/* ---- reading ---- */

static void wait_for_more(struct follower *f);

/* Where the last n lines begin, at `least` or behind it; what ends the file without a newline is
 * a line.  Lines that begin before the last LIMIT_LINES_BYTES are not looked for. */
static uint64_t lines_from(int fd, uint64_t size, uint64_t n, uint64_t least)
{
    char *block = mem_alloc(BLOCK_BYTES);
    uint64_t end = size, first = size; /* first: of a line, so far */
    bool cut = size > LIMIT_LINES_BYTES && size - LIMIT_LINES_BYTES > least;
    ssize_t got = 1;

    if (cut)
        least = size - LIMIT_LINES_BYTES;
    while (n > 0 && end > least && got > 0) {
        uint64_t begin = end - least > BLOCK_BYTES ? end - BLOCK_BYTES : least;

        got = pread(fd, block, (size_t)(end - begin), (off_t)begin);
        for (ssize_t i = got - 1; i >= 0 && n > 0; i--) {
            uint64_t at = begin + (uint64_t)i;

            if (block[i] != '\n' || at + 1 == size)
                continue;
            first = at + 1;
            n--;
        }
        end = begin;
    }
    mem_free(block);
    return n == 0 || (cut && first < size) ? first : least;
}

static ssize_t on_read(void *user, uint64_t position, char *to, size_t max)
{
    struct follower *f = user;
    /* Asked before the read: what was appended before it became true is read. */
    bool done = f->follow && f->file.done(f->file.user);
    ssize_t n;

    (void)position;
    if (f->over)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (f->follow && first_kept(f->file.fd, f->at) != f->at)
        return MHD_CONTENT_READER_END_WITH_ERROR; /* overtaken: the client asks again */
    n = pread(f->file.fd, to, max, (off_t)f->at);
    if (n > 0) {
        f->at += (uint64_t)n;
        if (f->size < f->at)
            f->size = f->at;
        return n;
    }
    if (n == 0 && done)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (n < 0 || !f->follow) /* or it became shorter than we said */
        return MHD_CONTENT_READER_END_WITH_ERROR;
    wait_for_more(f);
    return 0;
}

static void end_file(const struct http_file *file)
{
    close(file->fd);
    if (file->closed != NULL)
        file->closed(file->user);
}

static void on_free(void *user)
{
    struct follower *f = user;

    end_file(&f->file);
    mem_free(f);
}

/* ---- following ---- */

static bool client_has_gone(struct follower *f)
{
    int fd = MHD_get_connection_info(f->connection, MHD_CONNECTION_INFO_CONNECTION_FD)
                 ->connect_fd;
    char c;
    ssize_t n = recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT);

    return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

/* A file that became shorter was emptied: nothing fits together then. */
static bool has_news(struct follower *f)
{
    struct stat st;

    if (fstat(f->file.fd, &st) != 0 || (uint64_t)st.st_size < f->size ||
        client_has_gone(f))
        f->over = true;
    else
        f->size = (uint64_t)st.st_size;
    return f->over || (uint64_t)st.st_size > f->at || f->file.done(f->file.user);
}

static void go_on(struct follower *f)
{
    TAILQ_REMOVE(&f->http->followers, f, link);
    MHD_resume_connection(f->connection);
    http_run_soon(f->http);
}

static void look(void *user)
{
    struct http *h = user;
    struct follower *f, *next;

    for (f = TAILQ_FIRST(&h->followers); f != NULL; f = next) {
        next = TAILQ_NEXT(f, link);
        if (has_news(f))
            go_on(f);
    }
    if (!TAILQ_EMPTY(&h->followers))
        timer_set_in(h->loop, &h->look, LOOK_MS, look, h);
}

static void wait_for_more(struct follower *f)
{
    struct http *h = f->http;

    MHD_suspend_connection(f->connection);
    if (TAILQ_EMPTY(&h->followers))
        timer_set_in(h->loop, &h->look, LOOK_MS, look, h);
    TAILQ_INSERT_TAIL(&h->followers, f, link);
}

void http_end_followers(struct http *h)
{
    struct follower *f;

    while ((f = TAILQ_FIRST(&h->followers)) != NULL) {
        f->over = true;
        go_on(f);
    }
    timer_stop(h->loop, &h->look);
    MHD_run(h->daemon); /* no connection may be suspended when it stops */
}

/* ---- what was asked for ---- */

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static int query_number(const struct http_request *r,
                        const char *name,
                        uint64_t *out,
                        struct error *err)
{
    const char *text = http_query(r, name);

    if (text == NULL)
        return 0;
    if (!text_parse_u64(out, text))
        return error_set(err, ERROR_INVALID, "%s is a number", name);
    return 1;
}

/* RFC 9110, 14.1.2: one range "bytes=A-B", "bytes=A-" or "bytes=-N".  What is not
 * understood is ignored; false: nothing of the file is in the range. */
static bool read_range(const char *text, struct part *p)
{
    uint64_t first = 0, last = UINT64_MAX;
    bool suffix;

    if (text == NULL || strncmp(text, "bytes=", 6) != 0)
        return true;
    text += 6;
    suffix = *text == '-';
    if (!suffix && !text_take_uint(&text, UINT64_MAX / 2, &first))
        return true;
    if (*text++ != '-')
        return true;
    if (*text != '\0' && !text_take_uint(&text, UINT64_MAX / 2, &last))
        return true;
    if (*text != '\0' || last < first || (suffix && last == UINT64_MAX))
        return true;
    p->ranged = true;
    p->from = suffix ? p->size - smaller(last, p->size) : first;
    p->to = suffix ? p->size : smaller(last, p->size - 1) + 1;
    return p->from < p->size && p->from < p->to;
}

/* A number of bytes or lines that was asked for; UINT64_MAX: it was not. */
struct wishes {
    uint64_t offset, tail, lines, length;
};

static int
read_wishes(const struct http_request *r, struct wishes *w, struct error *err)
{
    *w = (struct wishes){UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};
    if (query_number(r, "offset", &w->offset, err) < 0 ||
        query_number(r, "tail", &w->tail, err) < 0 ||
        query_number(r, "lines", &w->lines, err) < 0 ||
        query_number(r, "length", &w->length, err) < 0)
        return -(int)err->code;
    if (w->tail != UINT64_MAX && (w->offset != UINT64_MAX || w->lines != UINT64_MAX))
        return error_set(err, ERROR_INVALID, "give offset or tail, not both");
    return 0;
}

static void
place_part(const struct http_file *file, const struct wishes *w, struct part *p)
{
    if (w->offset != UINT64_MAX)
        p->from = p->follow ? w->offset : smaller(w->offset, p->size);
    else if (w->tail != UINT64_MAX)
        p->from = p->size - smaller(w->tail, p->size);
    else
        p->from = smaller(file->from, p->size);
    if (w->lines != UINT64_MAX && p->from < p->size)
        p->from = lines_from(file->fd, p->size, w->lines, p->from);
}

/* 1: a part; 0: the range is outside of the file; negative: a mistake. */
static int read_part(const struct http_request *r,
                     const struct http_file *file,
                     struct part *p,
                     struct error *err)
{
    const char *follow = http_query(r, "follow");
    struct wishes w;

    if (read_wishes(r, &w, err) != 0)
        return -(int)err->code;
    p->to = p->size;
    p->follow = file->done != NULL && follow != NULL && strcmp(follow, "1") == 0;
    if (p->follow && w.length != UINT64_MAX)
        return error_set(
            err, ERROR_INVALID, "what is followed has no length: give one of them");
    place_part(file, &w, p);
    if (w.offset == UINT64_MAX && w.tail == UINT64_MAX && w.lines == UINT64_MAX &&
        !p->follow &&
        !read_range(MHD_lookup_connection_value(
                        r->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_RANGE),
                    p))
        return 0;
    if (!file->sparse)
        p->from = first_kept(file->fd, p->from);
    if (!p->follow) { /* it may have grown meanwhile */
        p->from = smaller(p->from, p->to);
        p->to = p->from + smaller(p->to - p->from, w.length);
    }
    return !p->ranged || p->from < p->to;
}

/* ---- answering ---- */

static void answer_no_range(struct http_request *r, uint64_t size)
{
    struct MHD_Response *response = http_empty_response();
    char text[64];

    snprintf(text, sizeof(text), "bytes */%" PRIu64, size);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_RANGE, text);
    http_respond(r, MHD_HTTP_RANGE_NOT_SATISFIABLE, response);
}

static void
answer_part(struct http_request *r, const struct http_file *file, const struct part *p)
{
    struct follower *f = mem_zalloc(sizeof(*f));
    struct MHD_Response *response;
    char text[96];

    f->http = r->http;
    f->connection = r->connection;
    f->file = *file;
    f->at = p->from;
    f->size = p->size;
    f->follow = p->follow;
    response = MHD_create_response_from_callback(p->follow ? MHD_SIZE_UNKNOWN
                                                           : p->to - p->from,
                                                 BLOCK_BYTES,
                                                 on_read,
                                                 f,
                                                 on_free);
    ASSERT(response != NULL);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, file->content_type);
    if (!p->follow)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ACCEPT_RANGES, "bytes");
    snprintf(text, sizeof(text), "%" PRIu64, p->from);
    MHD_add_response_header(response, HTTP_OFFSET_HEADER, text);
    if (p->ranged) {
        snprintf(text,
                 sizeof(text),
                 "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64,
                 p->from,
                 p->to - 1,
                 p->size);
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_RANGE, text);
    }
    http_respond(r, p->ranged ? MHD_HTTP_PARTIAL_CONTENT : MHD_HTTP_OK, response);
}

void http_answer_file(struct http_request *r, const struct http_file *file)
{
    struct part p = {0};
    struct error err = {0};
    struct stat st;
    int what;

    if (fstat(file->fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        error_set(&err, ERROR_NOT_FOUND, "this is not a file");
        what = -ERROR_NOT_FOUND;
    } else {
        p.size = (uint64_t)st.st_size;
        what = read_part(r, file, &p, &err);
    }
    if (what > 0) {
        answer_part(r, file, &p);
        return;
    }
    end_file(file);
    if (what < 0)
        http_answer_error(r, &err);
    else
        answer_no_range(r, p.size);
}
