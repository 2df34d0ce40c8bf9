/* notice.c - see notice.h. */
#include "agent/notice.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <unistd.h>

_Static_assert(sizeof(struct shim_notice) <= PIPE_BUF, "a notice is written whole");

int notice_prepare(void)
{
    int flags = fcntl(SHIM_FD_NOTICES, F_GETFL);

    return flags < 0 ? -1 : fcntl(SHIM_FD_NOTICES, F_SETFL, flags | O_NONBLOCK);
}

bool notice_try(const struct shim_notice *notice)
{
    ssize_t n;

    do {
        n = write(SHIM_FD_NOTICES, notice, sizeof(*notice));
    } while (n < 0 && errno == EINTR);
    return n >= 0 || errno != EAGAIN;
}

void notice_send(const struct shim_notice *notice)
{
    struct pollfd room = {.fd = SHIM_FD_NOTICES, .events = POLLOUT};

    while (!notice_try(notice))
        poll(&room, 1, -1);
}
