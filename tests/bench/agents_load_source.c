/* agents_load_source.c - sockets with source addresses of their own.
 *
 * A connection is four numbers, and a source address has some 28,000 ports for one
 * destination (net.ipv4.ip_local_port_range), fewer while old connections rest.  All of 127/8 is
 * this host, so more agents take more addresses.  The linker puts this in front of
 * socket_create() (--wrap), so dialling stays that of src/net.
 */
#include "agents_load.h"

#include "net/socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

int __real_socket_create(int family);
int __wrap_socket_create(int family);

static uint32_t source_first, source_count, source_next;

void sources_use(uint32_t first, uint32_t count)
{
    source_first = first;
    source_count = count;
}

/* The port is chosen when it connects: then it need be free for that destination alone. */
static int bind_source(int fd)
{
    const int on = 1;
    struct sockaddr_in from = {.sin_family = AF_INET};

    from.sin_addr.s_addr =
        htonl(INADDR_LOOPBACK + source_first + source_next++ % source_count);
    if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on)) != 0 ||
        bind(fd, (struct sockaddr *)&from, sizeof(from)) != 0)
        return -errno;
    return 0;
}

int __wrap_socket_create(int family)
{
    int fd = __real_socket_create(family);
    int rv;

    if (fd < 0 || family != AF_INET || source_count == 0)
        return fd;
    rv = bind_source(fd);
    if (rv == 0)
        return fd;
    close(fd);
    return rv;
}
