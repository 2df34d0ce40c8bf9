/* slots.h - the agent's side of the slot file: which slots are free. */
#ifndef AGENT_SLOTS_H
#define AGENT_SLOTS_H

#include "agent/shim.h"
#include "base/error.h"

#include <stdint.h>

struct slots {
    int fd;
    uint32_t count; /* slots of the file */
    uint32_t *free; /* a stack */
    size_t free_count, free_capacity;
};

/* All slots of the file are taken, until they are given back. */
int slots_open(struct slots *s, const char *path, struct error *err);
void slots_close(struct slots *s);

int slots_read(const struct slots *s,
               uint32_t number,
               struct slot *out,
               struct error *err);

/* The file grows as needed, and has its space before it is used. */
int slots_take(struct slots *s, uint32_t *number, struct error *err);
void slots_give(struct slots *s, uint32_t number);

#endif
