/* dev_task_ports.c - which ports the agents of `triarch dev` give to tasks. */
#include "client/dev_task_ports.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* A name without a file begins with a zero byte. */
static int bind_name(int fd, unsigned block)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int size = snprintf(address.sun_path + 1,
                        sizeof(address.sun_path) - 1,
                        "triarch-dev-task-ports-%u",
                        TASK_PORTS_FIRST + block * TASK_PORTS);

    return bind(fd,
                (struct sockaddr *)&address,
                (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)size));
}

/* Connections that have ended do not count. */
static bool is_free(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_bound =
        fd >= 0 &&
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)) == 0 &&
        bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0;

    if (fd >= 0)
        close(fd);
    return is_bound;
}

static bool are_free(unsigned first)
{
    for (unsigned port = first; port < first + TASK_PORTS; port++)
        if (!is_free((uint16_t)port))
            return false;
    return true;
}

int task_ports_take(struct task_ports *p, struct error *err)
{
    for (unsigned block = 0; block < TASK_PORTS_BLOCKS; block++) {
        unsigned first = TASK_PORTS_FIRST + block * TASK_PORTS;

        p->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (p->fd < 0)
            return error_set(err, ERROR_IO, "dev: make a socket: %s", strerror(errno));
        if (bind_name(p->fd, block) == 0 && are_free(first)) {
            p->first = (uint16_t)first;
            p->last = (uint16_t)(first + TASK_PORTS - 1);
            return 0;
        }
        task_ports_release(p);
    }
    return error_set(err,
                     ERROR_UNAVAILABLE,
                     "dev: no %d ports from %d to %d are free for tasks: end another "
                     "`triarch dev`, or start fewer agents",
                     TASK_PORTS,
                     TASK_PORTS_FIRST,
                     TASK_PORTS_FIRST + TASK_PORTS_BLOCKS * TASK_PORTS - 1);
}

void task_ports_release(struct task_ports *p)
{
    if (p->fd >= 0)
        close(p->fd);
    p->fd = -1;
}
