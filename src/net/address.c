/* address.c - HOST:PORT, and the list of masters. */

#include "net/address.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PORT_MAX 65535

/* Digits only, at most `max`; -1 otherwise. */
static int64_t parse_number(const char *text, size_t size, uint64_t max)
{
    uint64_t value = 0;

    if (size == 0)
        return -1;
    for (size_t i = 0; i < size; i++) {
        if (!isdigit((unsigned char)text[i]))
            return -1;
        value = value * 10 + (uint64_t)(text[i] - '0');
        if (value > max)
            return -1;
    }
    return (int64_t)value;
}

/* ---- one address ---- */

/* RFC 1123 names, and the underscore that container networks use. */
static bool is_name(const char *host)
{
    bool digits_only = true;
    size_t label = 0;

    for (const char *p = host; *p != '\0'; p++) {
        unsigned char c = (unsigned char)*p;

        if (c == '.' && label == 0)
            return false;
        if (!isalnum(c) && c != '-' && c != '_' && c != '.')
            return false;
        label = c == '.' ? 0 : label + 1;
        digits_only = digits_only && (isdigit(c) || c == '.');
    }
    return label > 0 && !digits_only; /* 10.0.0.300 is a mistyped address */
}

static int canonical_host(struct address *out, bool brackets)
{
    uint8_t raw[sizeof(struct in6_addr)];

    if (brackets) {
        if (inet_pton(AF_INET6, out->host, raw) != 1)
            return -1;
        inet_ntop(AF_INET6, raw, out->host, sizeof(out->host));
        return 0;
    }
    if (inet_pton(AF_INET, out->host, raw) == 1) {
        inet_ntop(AF_INET, raw, out->host, sizeof(out->host));
        return 0;
    }
    for (char *p = out->host; *p != '\0'; p++)
        *p = (char)tolower((unsigned char)*p);
    return is_name(out->host) ? 0 : -1;
}

static int parse_view(struct address *out,
                      const char *text,
                      size_t size,
                      int64_t port_min,
                      struct error *err)
{
    const char *colon = memrchr(text, ':', size);
    const char *close = memrchr(text, ']', size);
    bool brackets = size > 0 && text[0] == '[';
    size_t host_size;
    int64_t port;

    memset(out, 0, sizeof(*out));
    if (size > ADDRESS_TEXT_MAX - sizeof("[]:65535"))
        return error_set(err,
                         ERROR_TOO_LARGE,
                         "an address has %zu bytes; the most is %zu",
                         size,
                         ADDRESS_TEXT_MAX - sizeof("[]:65535"));
    if (colon == NULL || (brackets && (close == NULL || close > colon)))
        return error_set(
            err, ERROR_INVALID, "`%.*s` has no port; write HOST:PORT", (int)size, text);
    host_size = (size_t)(colon - text);
    port = parse_number(colon + 1, size - host_size - 1, PORT_MAX);
    if (port < port_min)
        return error_set(err,
                         ERROR_INVALID,
                         "`%.*s`: the port is a number from %d to %d",
                         (int)size,
                         text,
                         (int)port_min,
                         PORT_MAX);
    if (!brackets && memchr(text, ':', host_size) != NULL)
        return error_set(err,
                         ERROR_INVALID,
                         "`%.*s`: write an IPv6 address in brackets: [::1]:5049",
                         (int)size,
                         text);
    if (brackets)
        memcpy(out->host, text + 1, host_size >= 2 ? host_size - 2 : 0);
    else
        memcpy(out->host, text, host_size);
    out->port = (uint16_t)port;
    if ((brackets && close + 1 != colon) || canonical_host(out, brackets) < 0)
        return error_set(
            err,
            ERROR_INVALID,
            "`%.*s`: HOST is a name, an IPv4 address or an IPv6 address in brackets",
            (int)size,
            text);
    snprintf(out->text,
             sizeof(out->text),
             brackets ? "[%.*s]:%u" : "%.*s:%u",
             (int)sizeof(out->text) - 10,
             out->host,
             out->port);
    return 0;
}

int address_parse(struct address *out, const char *text, struct error *err)
{
    return parse_view(out, text, strlen(text), 1, err);
}

int address_parse_listen(struct address *out, const char *text, struct error *err)
{
    return parse_view(out, text, strlen(text), 0, err);
}

/* ---- lists ---- */

/* The next part of a comma-separated text; false at its end. */
static bool next_part(const char **at, const char **part, size_t *size)
{
    if (*at == NULL)
        return false;
    *part = *at;
    *size = strcspn(*at, ",");
    *at = (*at)[*size] == ',' ? *at + *size + 1 : NULL;
    return true;
}

int address_parse_list(struct address *out,
                       unsigned max,
                       const char *text,
                       struct error *err)
{
    const char *at = text, *part;
    unsigned count = 0;
    size_t size;

    while (next_part(&at, &part, &size)) {
        struct address a;
        int r = parse_view(&a, part, size, 1, err);

        if (r < 0)
            return r;
        if (count == max)
            return error_set(
                err, ERROR_TOO_LARGE, "more than %u addresses in `%.64s…`", max, text);
        for (unsigned i = 0; i < count; i++)
            if (strcmp(out[i].text, a.text) == 0)
                return error_set(err, ERROR_INVALID, "%s is given twice", a.text);
        out[count++] = a;
    }
    return (int)count;
}

/* ---- the list of masters ---- */

static int
parse_member(struct cluster_member *m, const char *part, size_t size, struct error *err)
{
    const char *equals = memchr(part, '=', size);
    size_t id_size = equals == NULL ? size : (size_t)(equals - part);
    int64_t id = parse_number(part, id_size, INT64_MAX / 10);
    int r;

    if (size == 0)
        return error_set(
            err, ERROR_INVALID, "a member is empty; write ID=HOST:PORT,ID=HOST:PORT,…");
    if (equals == NULL)
        return error_set(err,
                         ERROR_INVALID,
                         "`%.*s` has no id; write ID=HOST:PORT",
                         (int)size,
                         part);
    if (id <= 0)
        return error_set(
            err, ERROR_INVALID, "`%.*s`: an id is a number from 1", (int)size, part);
    m->id = (uint64_t)id;
    if (id_size + 1 == size)
        return error_set(err,
                         ERROR_INVALID,
                         "`%.*s` has no address; write %" PRIu64 "=HOST:PORT",
                         (int)size,
                         part,
                         m->id);
    r = parse_view(&m->address, equals + 1, size - id_size - 1, 1, err);
    return r < 0 ? error_wrap(err, "master %" PRIu64, m->id) : 0;
}

static int
add_member(struct cluster *c, const struct cluster_member *m, struct error *err)
{
    unsigned at = c->count;

    for (unsigned i = 0; i < c->count; i++) {
        if (c->members[i].id == m->id)
            return error_set(
                err, ERROR_INVALID, "id %" PRIu64 " is given twice", m->id);
        if (strcmp(c->members[i].address.text, m->address.text) == 0)
            return error_set(err,
                             ERROR_INVALID,
                             "masters %" PRIu64 " and %" PRIu64
                             " have the same address %s",
                             c->members[i].id,
                             m->id,
                             m->address.text);
    }
    for (; at > 0 && c->members[at - 1].id > m->id; at--)
        c->members[at] = c->members[at - 1];
    c->members[at] = *m;
    c->count++;
    return 0;
}

int cluster_parse(struct cluster *out, const char *text, struct error *err)
{
    const char *at = text, *part;
    struct cluster_member m;
    size_t size;

    memset(out, 0, sizeof(*out));
    while (next_part(&at, &part, &size)) {
        if (parse_member(&m, part, size, err) < 0)
            return error_wrap(err, "--cluster");
        if (out->count == LIMIT_MASTERS)
            return error_set(err,
                             ERROR_INVALID,
                             "--cluster: more than %d masters; a cluster has 1, 3 or 5",
                             LIMIT_MASTERS);
        if (add_member(out, &m, err) < 0)
            return error_wrap(err, "--cluster");
    }
    if (out->count % 2 == 0)
        return error_set(err,
                         ERROR_INVALID,
                         "--cluster: %u masters; a cluster has 1, 3 or 5",
                         out->count);
    return 0;
}

const struct cluster_member *cluster_find(const struct cluster *c, uint64_t id)
{
    for (unsigned i = 0; i < c->count; i++)
        if (c->members[i].id == id)
            return &c->members[i];
    return NULL;
}

const char *cluster_text(const struct cluster *c, char out[CLUSTER_TEXT_MAX])
{
    size_t size = 0;

    for (unsigned i = 0; i < c->count; i++)
        size += (size_t)snprintf(out + size,
                                 CLUSTER_TEXT_MAX - size,
                                 "%s%" PRIu64 "=%s",
                                 i > 0 ? "," : "",
                                 c->members[i].id,
                                 c->members[i].address.text);
    return out;
}

struct hash128 cluster_hash(const struct cluster *c)
{
    char text[CLUSTER_TEXT_MAX];

    cluster_text(c, text);
    return hash128_of((struct bytes){(const uint8_t *)text, strlen(text)});
}
