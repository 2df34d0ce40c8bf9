/* socket.h - TCP sockets with the options that all of ours have.
 *
 * No delay; and a connection whose other side vanished without a word ends after
 * LIMIT_UNACKNOWLEDGED_MS, whether bytes are on their way or none.  What a listening socket
 * accepts has the same options (tcp(7)).
 */
#ifndef NET_SOCKET_H
#define NET_SOCKET_H

/* AF_INET or AF_INET6; non-blocking, closed on exec.  A negative errno on failure. */
int socket_create(int family);

#endif
