/* id_map.c - objects by their ids, in order. */
#include "base/id_map.h"

#include "base/assert.h"
#include "base/mem.h"

#include <stdbool.h>
#include <stddef.h>

#define DIGIT_BITS 4
#define WAYS       (1u << DIGIT_BITS)
#define LEVELS_MAX (64 / DIGIT_BITS)

/* On level 0 the ways are objects, above it they are nodes.  One without any way is freed. */
struct id_node {
    void *ways[WAYS];
    unsigned used;
};

static unsigned digit(uint64_t id, unsigned level)
{
    return (unsigned)(id >> (DIGIT_BITS * level)) % WAYS;
}

/* It is high enough for the id. */
static bool reaches(const struct id_map *m, uint64_t id)
{
    return m->levels == LEVELS_MAX ||
           (m->levels > 0 && id >> (DIGIT_BITS * m->levels) == 0);
}

void *id_map_find(const struct id_map *m, uint64_t id)
{
    void *at = m->root;

    if (!reaches(m, id))
        return NULL;
    for (unsigned level = m->levels; level-- > 0 && at != NULL;)
        at = ((const struct id_node *)at)->ways[digit(id, level)];
    return at;
}

static void *first(const struct id_node *n, unsigned level, uint64_t from)
{
    for (unsigned way = digit(from, level); way < WAYS; way++) {
        void *found = n->ways[way];

        if (found != NULL && level > 0)
            found = first(found, level - 1, from);
        if (found != NULL)
            return found;
        from = 0; /* all of the next way is after it */
    }
    return NULL;
}

void *id_map_next(const struct id_map *m, uint64_t from)
{
    return reaches(m, from) ? first(m->root, m->levels - 1, from) : NULL;
}

void *id_map_last(const struct id_map *m)
{
    void *at = m->root;

    for (unsigned level = m->levels; level-- > 0 && at != NULL;) {
        const struct id_node *n = at;
        unsigned way = WAYS - 1;

        while (n->ways[way] == NULL)
            way--;
        at = n->ways[way];
    }
    return at;
}

/* One level more; the ids that were there begin with a zero. */
static void raise_root(struct id_map *m)
{
    struct id_node *root = mem_zalloc(sizeof(*root));

    root->ways[0] = m->root;
    root->used = 1;
    m->root = root;
    m->levels++;
}

void id_map_add(struct id_map *m, uint64_t id, void *object)
{
    struct id_node *n;

    if (m->root == NULL) {
        m->root = mem_zalloc(sizeof(*m->root));
        while (!reaches(m, id))
            m->levels++;
    }
    while (!reaches(m, id))
        raise_root(m);
    n = m->root;
    for (unsigned level = m->levels - 1; level > 0; level--) {
        void **way = &n->ways[digit(id, level)];

        if (*way == NULL) {
            *way = mem_zalloc(sizeof(*n));
            n->used++;
        }
        n = *way;
    }
    ASSERT(object != NULL && n->ways[digit(id, 0)] == NULL);
    n->ways[digit(id, 0)] = object;
    n->used++;
}

void id_map_remove(struct id_map *m, uint64_t id)
{
    struct id_node *path[LEVELS_MAX] = {0};
    void *at = m->root;

    ASSERT(id_map_find(m, id) != NULL);
    for (unsigned level = m->levels; level-- > 0;) {
        path[level] = at;
        at = path[level]->ways[digit(id, level)];
    }
    for (unsigned level = 0; level < m->levels; level++) {
        path[level]->ways[digit(id, level)] = NULL;
        if (--path[level]->used > 0)
            return;
        mem_free(path[level]);
    }
    *m = (struct id_map){0};
}
