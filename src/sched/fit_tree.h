/* fit_tree.h - an ordered set of resource vectors: the first one that is large enough.
 *
 * An AVL tree (Adelson-Velsky and Landis 1962) in which each node also knows the most of
 * each kind that it or anything below it has, so that a search leaves out every subtree
 * in which one kind is short everywhere.  Changes are O(log n) always.  A search is
 * O(log n) when one kind decides; where many vectors each miss by another kind, it looks
 * at those between the start and the answer.
 *
 * Nodes lie in the objects that own them.  Keys are unique in a tree.
 */
#ifndef SCHED_FIT_TREE_H
#define SCHED_FIT_TREE_H

#include "wire/resources.h"

#include <stdbool.h>
#include <stdint.h>

/* Order: first, then second, both up. */
struct fit_key {
    uint64_t first;
    uint64_t second;
};

struct fit_node {
    struct fit_key key;
    struct resources has;
    struct resources most; /* of each kind, here and below */
    struct fit_node *left;
    struct fit_node *right;
    void *owner;
    int height; /* 0: in no tree */
};

struct fit_tree {
    struct fit_node *root;
};

static inline int fit_key_compare(const struct fit_key *a, const struct fit_key *b)
{
    if (a->first != b->first)
        return a->first < b->first ? -1 : 1;
    return (a->second > b->second) - (a->second < b->second);
}

/* A fixed order of vectors, by which equal ones find each other. */
static inline int resources_compare(const struct resources *a,
                                    const struct resources *b)
{
    for (int k = 0; k < RESOURCE_KINDS; k++)
        if (a->amount[k] != b->amount[k])
            return a->amount[k] < b->amount[k] ? -1 : 1;
    return 0;
}

/* The caller has set key, has and owner. */
void fit_tree_insert(struct fit_tree *t, struct fit_node *n);
void fit_tree_remove(struct fit_tree *t, struct fit_node *n);

/* The first of all, or NULL. */
struct fit_node *fit_tree_first(const struct fit_tree *t);

/* The first one with a key of at least `from` that has as much of each kind, or NULL. */
struct fit_node *fit_tree_find(const struct fit_tree *t,
                               struct fit_key from,
                               const struct resources *need);

#endif
