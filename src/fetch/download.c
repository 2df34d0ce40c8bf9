/* download.c - see download.h.  How long it may take is the alarm of main.c. */
#include "fetch/download.h"

#include "base/limits.h"
#include "fetch/digest.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_SCHEME "file://"
#define PIECE_BYTES (64 * KIB)

struct transfer {
    const struct download *wish;
    struct digest digest;
    uint64_t size;
    bool refused; /* err says why */
    struct error *err;
};

static int write_all(int fd, const char *bytes, size_t size, struct error *err)
{
    while (size > 0) {
        ssize_t n = write(fd, bytes, size);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_set(err, ERROR_IO, "cannot write it: %s", strerror(errno));
        bytes += n;
        size -= (size_t)n;
    }
    return 0;
}

static int take(struct transfer *t, const char *bytes, size_t size)
{
    t->size += size;
    if (t->size > t->wish->max_bytes)
        return error_set(t->err,
                         ERROR_TOO_LARGE,
                         "it has more than %llu bytes; raise max_size in the job",
                         (unsigned long long)t->wish->max_bytes);
    digest_add(&t->digest, bytes, size);
    return write_all(t->wish->to, bytes, size, t->err);
}

static size_t on_bytes(char *bytes, size_t one, size_t count, void *user)
{
    struct transfer *t = user;

    t->refused = take(t, bytes, one * count) != 0;
    return t->refused ? 0 : count;
}

/* ---- http ---- */

static void set_options(CURL *curl, struct transfer *t, char *text)
{
    bool secure = strncmp(t->wish->source, "https:", 6) == 0;

    curl_easy_setopt(curl, CURLOPT_URL, t->wish->source);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(
        curl, CURLOPT_REDIR_PROTOCOLS_STR, secure ? "https" : "http,https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(curl, CURLOPT_MAXREDIRS, (long)LIMIT_FETCH_REDIRECTS);
    curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "triarch/" PACKAGE_VERSION);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, text);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, t);
}

static int by_curl(struct transfer *t)
{
    char text[CURL_ERROR_SIZE] = "";
    CURL *curl = curl_easy_init();
    CURLcode code;

    if (curl == NULL)
        return error_set(t->err, ERROR_IO, "libcurl does not start");
    set_options(curl, t, text);
    code = curl_easy_perform(curl);
    curl_easy_cleanup(curl);
    if (t->refused)
        return -(int)t->err->code;
    if (code != CURLE_OK)
        return error_set(
            t->err, ERROR_IO, "%s", text[0] != 0 ? text : curl_easy_strerror(code));
    return 0;
}

/* ---- file ---- */

static int copy(struct transfer *t, int fd)
{
    char piece[PIECE_BYTES];
    ssize_t n;

    while ((n = read(fd, piece, sizeof(piece))) > 0) {
        if (take(t, piece, (size_t)n) != 0)
            return -(int)t->err->code;
    }
    return n == 0 ? 0 : error_set(t->err, ERROR_IO, "read: %s", strerror(errno));
}

static int by_file(struct transfer *t, const char *path)
{
    /* A pipe that nobody writes to would keep us waiting. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    int rv;

    if (fd < 0)
        return error_set(t->err, ERROR_IO, "open %s: %s", path, strerror(errno));
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        rv = error_set(t->err, ERROR_INVALID, "%s is not a file", path);
    else
        rv = copy(t, fd);
    close(fd);
    return rv;
}

int download(const struct download *d, struct error *err)
{
    struct transfer t = {.wish = d, .err = err};
    char sum[DIGEST_TEXT];
    int rv;

    digest_begin(&t.digest);
    if (strncmp(d->source, FILE_SCHEME, strlen(FILE_SCHEME)) == 0)
        rv = by_file(&t, d->source + strlen(FILE_SCHEME));
    else
        rv = by_curl(&t);
    digest_end(&t.digest, sum);
    if (rv == 0 && strcmp(sum, d->sha256) != 0)
        rv = error_set(err,
                       ERROR_CORRUPT,
                       "its sha256 is %s, and the job says %s: %llu bytes came",
                       sum,
                       d->sha256,
                       (unsigned long long)t.size);
    return rv;
}
