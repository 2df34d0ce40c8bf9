/* id_map.h - objects by their ids, in order.
 *
 * For ids that a counter gives: a tree of sixteen ways by the digits of the id, as high as the
 * highest one needs.  Where no id is missing one costs 10 bytes, alone among its sixteen 144,
 * and a node of a red-black tree 32.  No step does more than one way down; nothing is copied.
 */
#ifndef BASE_ID_MAP_H
#define BASE_ID_MAP_H

#include <stdint.h>

struct id_node;

/* Zeroed: empty.  It owns no object, and no memory when it is empty again. */
struct id_map {
    struct id_node *root;
    unsigned levels;
};

/* NULL when there is none. */
void *id_map_find(const struct id_map *m, uint64_t id);
/* The one with the lowest id at or after `from`, or NULL. */
void *id_map_next(const struct id_map *m, uint64_t from);
/* The one with the highest id, or NULL. */
void *id_map_last(const struct id_map *m);

void id_map_add(struct id_map *m, uint64_t id, void *object); /* no other has the id */
void id_map_remove(struct id_map *m, uint64_t id);            /* one has it */

#endif
