/* dev_ports.h - which ports the processes of `triarch dev` listen on.
 *
 * Masters keep the addresses they were founded with, so a kept data directory has a file
 * `ports` with one line for each process: its name, RPC port (0 for an agent), HTTP port.
 */
#ifndef CLIENT_DEV_PORTS_H
#define CLIENT_DEV_PORTS_H

#include "base/error.h"
#include "base/limits.h"

#include <stddef.h>
#include <stdint.h>

#define DEV_AGENTS_MAX 64

struct dev_ports {
    unsigned masters, agents;
    uint16_t master_rpc[LIMIT_MASTERS];
    uint16_t master_http[LIMIT_MASTERS];
    uint16_t agent_http[DEV_AGENTS_MAX];
};

/* Those of the directory if it has any, which must fit; free ports for all others. */
int dev_ports_choose(struct dev_ports *p, const char *directory, struct error *err);

#endif
