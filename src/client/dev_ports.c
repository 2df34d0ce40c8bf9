/* dev_ports.c - which ports the processes of `triarch dev` listen on. */
#include "client/dev_ports.h"

#include "base/entropy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PORTS_MAX (2 * LIMIT_MASTERS + DEV_AGENTS_MAX)

/* Below those that Linux gives to outgoing connections: one of them would take the port of
 * a process that is down for a moment, or of a kept cluster. */
#define PORT_FIRST 10000
#define PORT_COUNT 22000
#define TRIES      1000

/* A socket on a free port; it is held until all ports are chosen, so they differ. */
static int hold_port(uint16_t *port, struct error *err)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    for (unsigned i = 0; fd >= 0 && i < TRIES; i++) {
        *port = (uint16_t)(PORT_FIRST + entropy_u64() % PORT_COUNT);
        address.sin_port = htons(*port);
        if (bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
            return fd;
    }
    error_set(err, ERROR_IO, "find a free port: %s", strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

static int fill_free(uint16_t *const *ports, size_t count, struct error *err)
{
    int held[PORTS_MAX];
    size_t n = 0;
    int rc = 0;

    for (size_t i = 0; i < count && rc == 0; i++) {
        if (*ports[i] != 0)
            continue;
        held[n] = hold_port(ports[i], err);
        if (held[n] < 0)
            rc = -(int)ERROR_IO;
        else
            n++;
    }
    while (n > 0)
        close(held[--n]);
    return rc;
}

/* ---- the file ---- */

static int read_line(struct dev_ports *p, unsigned *masters, const char *line)
{
    unsigned number, rpc, http;
    char end;

    if (sscanf(line, "master-%u %u %u%c", &number, &rpc, &http, &end) == 4) {
        if (end != '\n' || number == 0 || number > LIMIT_MASTERS || rpc > UINT16_MAX ||
            http > UINT16_MAX)
            return -1;
        p->master_rpc[number - 1] = (uint16_t)rpc;
        p->master_http[number - 1] = (uint16_t)http;
        *masters = number > *masters ? number : *masters;
        return 0;
    }
    if (sscanf(line, "agent-%u %u %u%c", &number, &rpc, &http, &end) == 4 &&
        end == '\n' && number > 0 && number <= DEV_AGENTS_MAX && http <= UINT16_MAX) {
        p->agent_http[number - 1] = (uint16_t)http;
        return 0;
    }
    return -1;
}

static int read_file(struct dev_ports *p, const char *path, struct error *err)
{
    FILE *file = fopen(path, "re");
    unsigned masters = 0;
    char line[128];
    int rc = 0;

    if (file == NULL && errno == ENOENT)
        return 0;
    if (file == NULL)
        return error_set(err, ERROR_IO, "open %s: %s", path, strerror(errno));
    while (rc == 0 && fgets(line, sizeof(line), file) != NULL)
        if (read_line(p, &masters, line) != 0)
            rc = error_set(err,
                           ERROR_CORRUPT,
                           "%s: not a list of ports: give an empty --data DIR",
                           path);
    fclose(file);
    if (rc == 0 && masters != p->masters)
        rc = error_set(err,
                       ERROR_CONFLICT,
                       "%s: this cluster has %u masters: repeat with --masters %u, or "
                       "give an empty --data DIR",
                       path,
                       masters,
                       masters);
    return rc;
}

static int write_file(const struct dev_ports *p, const char *path, struct error *err)
{
    FILE *file = fopen(path, "we");
    int rc = 0;

    if (file == NULL)
        return error_set(err, ERROR_IO, "create %s: %s", path, strerror(errno));
    for (unsigned i = 0; i < p->masters; i++)
        fprintf(file, "master-%u %u %u\n", i + 1, p->master_rpc[i], p->master_http[i]);
    for (unsigned i = 0; i < DEV_AGENTS_MAX; i++)
        if (p->agent_http[i] != 0)
            fprintf(file, "agent-%u 0 %u\n", i + 1, p->agent_http[i]);
    if (ferror(file))
        rc = error_set(err, ERROR_IO, "write %s: %s", path, strerror(errno));
    if (fclose(file) != 0 && rc == 0)
        rc = error_set(err, ERROR_IO, "write %s: %s", path, strerror(errno));
    return rc;
}

int dev_ports_choose(struct dev_ports *p, const char *directory, struct error *err)
{
    uint16_t *ports[PORTS_MAX];
    char path[4096];
    size_t n = 0;
    int rc;

    snprintf(path, sizeof(path), "%s/ports", directory);
    rc = read_file(p, path, err);
    for (unsigned i = 0; i < p->masters; i++) {
        ports[n++] = &p->master_rpc[i];
        ports[n++] = &p->master_http[i];
    }
    for (unsigned i = 0; i < p->agents; i++)
        ports[n++] = &p->agent_http[i];
    if (rc == 0)
        rc = fill_free(ports, n, err);
    if (rc == 0)
        rc = write_file(p, path, err);
    return rc;
}
