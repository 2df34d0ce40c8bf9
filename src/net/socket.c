/* socket.c - TCP sockets with the options that all of ours have. */
#include "net/socket.h"

#include "base/limits.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

/* Silent for IDLE_S: ask, and again; with the last question the limit is over. */
#define IDLE_S     15
#define INTERVAL_S 5
#define QUESTIONS  ((int)(LIMIT_UNACKNOWLEDGED_MS / 1000 - IDLE_S) / INTERVAL_S)

static const struct {
    int level, name, value;
} OPTIONS[] = {
    {IPPROTO_TCP, TCP_NODELAY, 1},
    {IPPROTO_TCP, TCP_USER_TIMEOUT, LIMIT_UNACKNOWLEDGED_MS},
    {IPPROTO_TCP, TCP_KEEPIDLE, IDLE_S},
    {IPPROTO_TCP, TCP_KEEPINTVL, INTERVAL_S},
    {IPPROTO_TCP, TCP_KEEPCNT, QUESTIONS},
    {SOL_SOCKET, SO_KEEPALIVE, 1},
};

int socket_create(int family)
{
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    /* One that a kernel does not know changes when a dead connection is seen, no more. */
    for (unsigned i = 0; i < sizeof(OPTIONS) / sizeof(OPTIONS[0]); i++)
        setsockopt(fd,
                   OPTIONS[i].level,
                   OPTIONS[i].name,
                   &OPTIONS[i].value,
                   sizeof(OPTIONS[i].value));
    return fd;
}
