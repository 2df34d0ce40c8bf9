/* use.h - amounts of many tasks or agents together: of each kind, and of custom resources by
 * name.
 *
 * Over all agents amounts may pass 64 bits, and there may be a million names (each agent has
 * LIMIT_CUSTOM of its own): names are a tree, and amounts have 128 bits.
 */
#ifndef RAFT_FSM_USE_H
#define RAFT_FSM_USE_H

#include "wire/custom.h"
#include "wire/resources.h"

#include <bsd/sys/tree.h>
#include <stdbool.h>
#include <stdint.h>

struct job;

struct use_custom {
    char *name;
    unsigned __int128 amount; /* above 0 */
    RB_ENTRY(use_custom) by_name;
};

RB_HEAD(use_tree, use_custom);

RB_PROTOTYPE(use_tree, use_custom, by_name, )

/* Zeroed is none. */
struct use {
    unsigned __int128 amount[RESOURCE_KINDS];
    struct use_tree custom;
};

void use_finish(struct use *u); /* none again */

void use_add(struct use *u,
             const struct resources *r,
             const struct custom_resources *custom);
/* It was added before (assertion). */
void use_subtract(struct use *u,
                  const struct resources *r,
                  const struct custom_resources *custom);
/* What a task of the job needs. */
void use_take(struct use *u, const struct job *j);
void use_give(struct use *u, const struct job *j);
/* Of so many tasks of it. */
void use_take_many(struct use *u, const struct job *j, uint32_t tasks);
void use_give_many(struct use *u, const struct job *j, uint32_t tasks);
void use_add_all(struct use *u, const struct use *other);

/* Of a custom resource. */
unsigned __int128 use_of(const struct use *u, const char *name);
bool use_equal(const struct use *a, const struct use *b);

#endif
