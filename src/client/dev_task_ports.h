/* dev_task_ports.h - which ports the agents of `triarch dev` give to tasks.
 *
 * All agents of all clusters of a host share its ports, so each takes a block of its own: who
 * is bound to the block's name among the abstract Unix sockets has it.  Like the ports these
 * belong to the network namespace, and the kernel frees them with the process.
 */
#ifndef CLIENT_DEV_TASK_PORTS_H
#define CLIENT_DEV_TASK_PORTS_H

#include "base/error.h"

#include <stdint.h>

/* Below the ports that Linux gives to outgoing connections. */
#define TASK_PORTS_FIRST  31000
#define TASK_PORTS        10 /* of one agent */
#define TASK_PORTS_BLOCKS 176

struct task_ports {
    int fd; /* -1: not held */
    uint16_t first, last;
};

/* The lowest block that nobody has and in which nobody listens. */
int task_ports_take(struct task_ports *p, struct error *err);
void task_ports_release(struct task_ports *p);

#endif
