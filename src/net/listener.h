/* listener.h - a listening socket that hands out connected ones.
 *
 * A descriptor is held in reserve: when the process has no other left, it is given up
 * for a moment to accept the newest connection, tell it so and close it.  Otherwise the
 * connection would wait without an answer and the loop would spin.
 */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include "net/address.h"
#include "net/loop.h"

struct listener;

struct listener_events {
    void (*accepted)(void *user, int fd); /* owns fd */
    /* Out of descriptors: say something short on fd without waiting; it is closed
     * after. */
    void (*turned_away)(void *user, int fd);
};

struct listener *listener_create(struct loop *l,
                                 const struct address *at,
                                 const struct listener_events *events,
                                 void *user,
                                 struct error *err);
void listener_destroy(struct listener *l); /* NULL is fine */
uint16_t listener_port(const struct listener *l);

/* A bound and listening socket, or a negative error; fills the port. */
int listen_socket(const struct address *at, uint16_t *port, struct error *err);

#endif
