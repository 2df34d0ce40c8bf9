/* resolve.c - from an address to what connect(2) and bind(2) take. */
#include "net/resolve.h"

#include "base/assert.h"
#include "base/mem.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>

static const struct addrinfo HINTS = {
    .ai_family = AF_UNSPEC,
    .ai_socktype = SOCK_STREAM,
};

static int failed(struct error *err, const char *host, const char *why)
{
    return error_set(err, ERROR_UNAVAILABLE, "look up %s: %s", host, why);
}

static bool resolve_numeric(struct resolved *out, const struct address *a)
{
    out->count = 1;
    return uv_ip4_addr(a->host, a->port, (struct sockaddr_in *)&out->addresses[0]) ==
               0 ||
           uv_ip6_addr(a->host, a->port, (struct sockaddr_in6 *)&out->addresses[0]) ==
               0;
}

static void collect(struct resolved *out, const struct addrinfo *found, uint16_t port)
{
    out->count = 0;
    for (; found != NULL && out->count < RESOLVED_MAX; found = found->ai_next) {
        struct sockaddr_storage *a = &out->addresses[out->count];

        if (found->ai_family != AF_INET && found->ai_family != AF_INET6)
            continue;
        memcpy(a, found->ai_addr, found->ai_addrlen);
        if (found->ai_family == AF_INET)
            ((struct sockaddr_in *)a)->sin_port = htons(port);
        else
            ((struct sockaddr_in6 *)a)->sin6_port = htons(port);
        out->count++;
    }
}

int resolve_now(struct resolved *out, const struct address *a, struct error *err)
{
    struct addrinfo *found;
    int r;

    memset(out, 0, sizeof(*out));
    if (resolve_numeric(out, a))
        return 0;
    r = getaddrinfo(a->host, NULL, &HINTS, &found);
    if (r != 0)
        return failed(err, a->host, gai_strerror(r));
    collect(out, found, a->port);
    freeaddrinfo(found);
    return out->count > 0 ? 0 : failed(err, a->host, "no address");
}

struct resolve {
    struct loop *loop;
    struct address address;
    uv_getaddrinfo_t request;
    struct deferred deferred;
    void (*done)(void *user, const struct resolved *found, struct error *err);
    void *user;
};

static void on_numeric(void *user)
{
    struct resolve *r = user;
    struct resolved found = {0};
    struct error err = {0};

    resolve_numeric(&found, &r->address);
    if (r->done != NULL)
        r->done(r->user, &found, &err);
    mem_free(r);
}

static void on_looked_up(uv_getaddrinfo_t *request, int status, struct addrinfo *list)
{
    struct resolve *r = request->data;
    struct resolved found = {0};
    struct error err = {0};

    if (status == 0)
        collect(&found, list, r->address.port);
    else
        failed(&err, r->address.host, uv_strerror(status));
    if (status == 0 && found.count == 0)
        failed(&err, r->address.host, "no address");
    uv_freeaddrinfo(list);
    if (r->done != NULL)
        r->done(r->user, found.count > 0 ? &found : NULL, &err);
    mem_free(r);
}

struct resolve *
resolve_start(struct loop *l,
              const struct address *a,
              void (*done)(void *user, const struct resolved *found, struct error *err),
              void *user)
{
    struct resolve *r = mem_zalloc(sizeof(*r));
    struct resolved found = {0};

    r->loop = l;
    r->address = *a;
    r->done = done;
    r->user = user;
    r->request.data = r;
    if (resolve_numeric(&found, a))
        loop_defer(l, &r->deferred, on_numeric, r);
    else
        ASSERT(uv_getaddrinfo(
                   loop_uv(l), &r->request, on_looked_up, a->host, NULL, &HINTS) == 0);
    return r;
}

/* A lookup that runs on its thread cannot be stopped: it ends unheard. */
void resolve_cancel(struct resolve *r)
{
    r->done = NULL;
    if (!r->deferred.queued) {
        uv_cancel((uv_req_t *)&r->request);
        return;
    }
    deferred_cancel(r->loop, &r->deferred);
    mem_free(r);
}

socklen_t sockaddr_size(const struct sockaddr_storage *a)
{
    return a->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                    : sizeof(struct sockaddr_in);
}

void sockaddr_text(const struct sockaddr_storage *a, char out[ADDRESS_TEXT_MAX])
{
    char host[INET6_ADDRSTRLEN] = "?";

    if (a->ss_family == AF_INET6) {
        const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)a;

        uv_ip6_name(six, host, sizeof(host));
        snprintf(out, ADDRESS_TEXT_MAX, "[%s]:%u", host, ntohs(six->sin6_port));
    } else {
        const struct sockaddr_in *four = (const struct sockaddr_in *)a;

        uv_ip4_name(four, host, sizeof(host));
        snprintf(out, ADDRESS_TEXT_MAX, "%s:%u", host, ntohs(four->sin_port));
    }
}
