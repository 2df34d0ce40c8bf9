/* net_test.c - a loop for one test, waiting for what happens on it, and raw sockets. */
#include "net_test.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void set_flag(void *user)
{
    *(bool *)user = true;
}

/* What the test waits for may happen before the sleep of this turn: sleep briefly. */
void loop_turn(struct loop *l)
{
    struct loop_timer t = {0};
    bool over = false;

    timer_set_in(l, &t, 2, set_flag, &over);
    uv_run(loop_uv(l), UV_RUN_ONCE);
    timer_stop(l, &t);
}

void let_pass(struct loop *l, uint64_t ms)
{
    struct loop_timer t = {0};
    bool over = false;

    timer_set_in(l, &t, ms, set_flag, &over);
    wait_until(l, over);
}

struct address local_address(uint16_t port)
{
    struct address a;
    char text[32];

    snprintf(text, sizeof(text), "127.0.0.1:%u", port);
    ck_assert_int_eq(address_parse_listen(&a, text, NULL), 0);
    return a;
}

static struct sockaddr_in local_sockaddr(uint16_t port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons(port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

int raw_connect(uint16_t port)
{
    struct sockaddr_in to = local_sockaddr(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

void raw_send(int fd, const void *bytes, size_t size)
{
    ck_assert_int_eq(send(fd, bytes, size, MSG_NOSIGNAL), (ssize_t)size);
}

bool raw_read(int fd, struct buffer *in)
{
    ssize_t n = recv(fd, buffer_reserve(in, 65536), 65536, MSG_DONTWAIT);

    if (n < 0)
        return errno == EAGAIN;
    in->size += (size_t)n;
    return n > 0;
}

void raw_read_all(struct loop *l, int fd, struct buffer *in)
{
    while (raw_read(fd, in))
        loop_turn(l);
}

void raw_read_size(struct loop *l, int fd, struct buffer *in, size_t size)
{
    while (in->size < size) {
        ck_assert(raw_read(fd, in));
        loop_turn(l);
    }
}

uint16_t unused_port(void)
{
    struct sockaddr_in at = local_sockaddr(0);
    socklen_t size = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    getsockname(fd, (struct sockaddr *)&at, &size);
    close(fd);
    return ntohs(at.sin_port);
}
