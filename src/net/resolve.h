/* resolve.h - from an address to what connect(2) and bind(2) take.
 *
 * Numeric hosts never ask the resolver.  Names are looked up on a thread of libuv.
 */
#ifndef NET_RESOLVE_H
#define NET_RESOLVE_H

#include "base/error.h"
#include "net/address.h"
#include "net/loop.h"

#include <sys/socket.h>

#define RESOLVED_MAX 8 /* addresses of one name that are tried */

struct resolved {
    unsigned count;
    struct sockaddr_storage addresses[RESOLVED_MAX];
};

/* Blocks while a name is looked up: for what happens once at the start. */
int resolve_now(struct resolved *out, const struct address *a, struct error *err);

/* `done` is called once, never from inside resolve_start(), and frees the lookup.
 * found: NULL on an error. */
struct resolve;
struct resolve *
resolve_start(struct loop *l,
              const struct address *a,
              void (*done)(void *user, const struct resolved *found, struct error *err),
              void *user);
void resolve_cancel(struct resolve *r); /* `done` will not be called */

socklen_t sockaddr_size(const struct sockaddr_storage *a);
/* Canonical "HOST:PORT" as in address.h. */
void sockaddr_text(const struct sockaddr_storage *a, char out[ADDRESS_TEXT_MAX]);

#endif
