/* commit_floor.c - the floor of a replicated commit: three processes, and nothing else.
 *
 *     commit_floor DIR ENTRIES SECONDS
 *
 * A leader and two followers on loopback.  In each round the leader sends ENTRIES records of
 * 256 bytes to both, writes them to its own file with one fdatasync, and waits until one
 * follower has done the same: then they are on disk on a majority.  The next round follows.
 * No log format, no election, no state machine, no client.  Prints one JSON line.
 */
#include "base/clock.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define ENTRY_BYTES 256
#define FOLLOWERS   2
#define ROUNDS_MAX  1000000
#define ENTRIES_MAX 4096

static void must(int ok, const char *what)
{
    if (ok)
        return;
    perror(what);
    exit(EXIT_FAILURE);
}

/* A connected pair of TCP sockets on loopback, as masters have. */
static void tcp_pair(int *a, int *b)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(at);
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;

    must(listener >= 0, "socket");
    must(bind(listener, (struct sockaddr *)&at, size) == 0, "bind");
    must(listen(listener, 1) == 0, "listen");
    must(getsockname(listener, (struct sockaddr *)&at, &size) == 0, "getsockname");
    *a = socket(AF_INET, SOCK_STREAM, 0);
    must(connect(*a, (struct sockaddr *)&at, size) == 0, "connect");
    *b = accept(listener, NULL, NULL);
    must(*b >= 0, "accept");
    close(listener);
    setsockopt(*a, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    setsockopt(*b, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static int open_file(const char *dir, int number)
{
    char path[4096];
    int fd;

    snprintf(path, sizeof(path), "%s/floor-%d", dir, number);
    fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_APPEND, 0600);
    must(fd >= 0, path);
    return fd;
}

static void append(int fd, const uint8_t *bytes, size_t size)
{
    must(write(fd, bytes, size) == (ssize_t)size, "write");
    must(fdatasync(fd) == 0, "fdatasync");
}

static void follow(int socket, const char *dir, int number, size_t size)
{
    uint8_t *bytes = malloc(size), done = 1;
    int file = open_file(dir, number);

    while (recv(socket, bytes, size, MSG_WAITALL) == (ssize_t)size) {
        append(file, bytes, size);
        if (send(socket, &done, 1, MSG_NOSIGNAL) != 1)
            break; /* the leader has seen enough */
    }
    _exit(EXIT_SUCCESS);
}

/* Wait until a follower has caught up with this round; late answers are counted too. */
static void
wait_majority(const int sockets[FOLLOWERS], uint64_t acks[FOLLOWERS], uint64_t round)
{
    while (acks[0] < round && acks[1] < round) {
        struct pollfd fds[FOLLOWERS] = {{.fd = sockets[0], .events = POLLIN},
                                        {.fd = sockets[1], .events = POLLIN}};
        uint8_t answers[64];

        must(poll(fds, FOLLOWERS, -1) > 0, "poll");
        for (int i = 0; i < FOLLOWERS; i++) {
            ssize_t n =
                fds[i].revents ? recv(sockets[i], answers, sizeof(answers), 0) : 0;

            must(n > 0 || !fds[i].revents, "recv");
            acks[i] += (uint64_t)n;
        }
    }
}

static int compare(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

int main(int argc, char **argv)
{
    int sockets[FOLLOWERS], other, file;
    uint64_t acks[FOLLOWERS] = {0}, round = 0, begin, now, end;
    unsigned entries = argc == 4 ? (unsigned)atoi(argv[2]) : 0;
    size_t size = (size_t)entries * ENTRY_BYTES;
    static uint32_t took[ROUNDS_MAX];
    uint8_t *bytes;

    if (entries == 0 || entries > ENTRIES_MAX) {
        fprintf(stderr, "usage: commit_floor DIR ENTRIES SECONDS\n");
        return 2;
    }
    bytes = calloc(1, size);
    for (int i = 0; i < FOLLOWERS; i++) {
        pid_t pid;

        tcp_pair(&sockets[i], &other);
        pid = fork();
        must(pid >= 0, "fork");
        if (pid == 0) {
            for (int j = 0; j <= i; j++)
                close(sockets[j]);
            follow(other, argv[1], i + 1, size);
        }
        close(other);
    }
    file = open_file(argv[1], 0);
    begin = now = clock_monotonic_us();
    end = begin + (uint64_t)(atof(argv[3]) * 1e6);
    while (now < end && round < ROUNDS_MAX) {
        uint64_t since = now;

        for (int i = 0; i < FOLLOWERS; i++)
            must(send(sockets[i], bytes, size, 0) == (ssize_t)size, "send");
        append(file, bytes, size);
        wait_majority(sockets, acks, round + 1);
        now = clock_monotonic_us();
        took[round++] = (uint32_t)(now - since);
    }
    for (int i = 0; i < FOLLOWERS; i++)
        close(sockets[i]);
    while (wait(NULL) > 0)
        ;
    qsort(took, round, sizeof(*took), compare);
    printf("{\"rate\":%.1f,\"p50_ms\":%.3f,\"p99_ms\":%.3f}\n",
           (double)(round * entries) * 1e6 / (double)(now - begin),
           took[round / 2] / 1000.0,
           took[round * 99 / 100] / 1000.0);
    return EXIT_SUCCESS;
}
