/* dial.h - from an address to a connected socket.
 *
 * All addresses of a name are tried, one after the other.  Each has an equal share of the
 * time that is left, so that one that does not answer leaves time for the next.
 */
#ifndef NET_DIAL_H
#define NET_DIAL_H

#include "base/error.h"
#include "net/address.h"
#include "net/loop.h"

#include <stdint.h>

struct dial;

/* `done` is called once, never from inside dial_start(), and the dial is gone then.  fd: the
 * socket, for the callee; -1: err says why the last address failed. */
struct dial *dial_start(struct loop *l,
                        const struct address *to,
                        uint32_t limit_ms,
                        void (*done)(void *user, int fd, const struct error *err),
                        void *user);
void dial_cancel(struct dial *d); /* `done` will not be called; NULL is fine */

#endif
