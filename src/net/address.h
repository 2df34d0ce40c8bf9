/* address.h - HOST:PORT, and the list of masters.
 *
 * HOST is an IPv4 address, an IPv6 address in brackets, or a name that the resolver
 * knows.  The canonical text has names in small letters and addresses as inet_ntop(3)
 * writes them, so equal addresses have equal texts.
 */
#ifndef NET_ADDRESS_H
#define NET_ADDRESS_H

#include "base/error.h"
#include "base/hash.h"
#include "base/limits.h"

#include <stddef.h>
#include <stdint.h>

#define ADDRESS_TEXT_MAX (LIMIT_NAME_BYTES + 1)

struct address {
    char text[ADDRESS_TEXT_MAX]; /* canonical HOST:PORT */
    char host[ADDRESS_TEXT_MAX]; /* without brackets */
    uint16_t port;
};

/* Port 0 is refused here and allowed there: any free port, to listen on. */
int address_parse(struct address *out, const char *text, struct error *err);
int address_parse_listen(struct address *out, const char *text, struct error *err);

/* "HOST:PORT,HOST:PORT,…" without duplicates; returns the count or a negative error. */
int address_parse_list(struct address *out,
                       unsigned max,
                       const char *text,
                       struct error *err);

/* ---- the list of masters: --cluster 1=HOST:PORT,2=HOST:PORT,… ---- */

struct cluster_member {
    uint64_t id;
    struct address address;
};

struct cluster {
    unsigned count;                               /* 1, 3 or 5 */
    struct cluster_member members[LIMIT_MASTERS]; /* sorted by id */
};

/* The error begins with "--cluster: " and says what to write instead. */
int cluster_parse(struct cluster *out, const char *text, struct error *err);
const struct cluster_member *cluster_find(const struct cluster *c, uint64_t id);

/* The same bytes for every way of writing the same list. */
#define CLUSTER_TEXT_MAX (LIMIT_MASTERS * (ADDRESS_TEXT_MAX + 24))
const char *cluster_text(const struct cluster *c, char out[CLUSTER_TEXT_MAX]);
/* The cluster hash of hello (joint 2): hash128 of that text. */
struct hash128 cluster_hash(const struct cluster *c);

#endif
