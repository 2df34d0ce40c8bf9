/* fit_tree.h - an ordered set of resource vectors: the first one that fits.
 *
 * An AVL tree (Adelson-Velsky and Landis 1962).  Beside its own vector each node holds the
 * *signature* of all vectors from it down, with which a search leaves out subtrees:
 *
 * A signature is a row of small numbers, each a function of the vector that never falls
 * when an amount rises.  So a vector that holds another has no lower number anywhere, and
 * a crowd of which none may hold it is seen by its highest numbers.  They are logarithms
 * (6 bits of exponent, 10 of mantissa) of each amount, and of the lesser of cpus and
 * memory for several prices of memory.  Without the latter a crowd in which some have
 * cpus left and others memory would look as if one had both.
 *
 * Changes are O(log n).  So are searches, but for crowds that miss by less than a step
 * between two prices, some in one kind and some in another.
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

#define FIT_NUMBERS 16

/* Beside the numbers a signature has bits: of a vector that holds, those of all that it
 * offers besides amounts; of one that is to be held, those of all that it asks for.  What
 * lacks a bit cannot hold what has it (fleet.c). */
struct fit_signature {
    uint16_t number[FIT_NUMBERS];
    uint64_t bits;
};

struct fit_node {
    struct fit_key key;
    struct resources vector;
    struct fit_signature own;
    struct fit_signature all; /* here and below */
    struct fit_node *left;
    struct fit_node *right;
    void *owner;
    uint64_t bits; /* of the vector */
    int height;    /* 0: in no tree */
};

struct fit_tree {
    struct fit_node *root;
    bool of_needs; /* vectors that are to be held; else vectors that hold */
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

/* The caller has set key, vector, bits and owner. */
void fit_tree_insert(struct fit_tree *t, struct fit_node *n);
/* The caller has set key and owner; the node stands for all that is in `inner`, which is not
 * empty.  When that changes, it is to be removed and inserted again. */
void fit_tree_insert_tree(struct fit_tree *t,
                          struct fit_node *n,
                          const struct fit_tree *inner);
/* The caller has set key and owner, and says what the node holds or needs in its own way:
 * one for all nodes of a tree, which is searched by fit_tree_find_signed() alone. */
void fit_tree_insert_signed(struct fit_tree *t,
                            struct fit_node *n,
                            const struct fit_signature *s);
void fit_tree_remove(struct fit_tree *t, struct fit_node *n);
void fit_tree_clear(struct fit_tree *t);

/* The first of all, or NULL. */
struct fit_node *fit_tree_first(const struct fit_tree *t);
/* The first one with a key of at least `from`, or NULL. */
struct fit_node *fit_tree_from(const struct fit_tree *t, struct fit_key from);

/* What is to be held.  `holds` says of an owner whose vector and bits hold it whether it
 * really does; NULL: they tell all. */
struct fit_need {
    const struct resources *vector;
    uint64_t bits;
    bool (*holds)(const void *owner, const void *context);
    const void *context;
};

/* The first one with a key of at least `from` that holds `need`, or NULL.  *asked (NULL: not
 * wanted) grows by the owners that were asked in vain. */
struct fit_node *fit_tree_find(const struct fit_tree *t,
                               struct fit_key from,
                               const struct fit_need *need,
                               unsigned *asked);

/* The first need with a key of at least `from` that something in `room` may hold, or NULL:
 * those before it are held by nothing there; whether this one is has to be asked. */
struct fit_node *fit_tree_find_need(const struct fit_tree *needs,
                                    struct fit_key from,
                                    const struct fit_tree *room);

/* The first one with a key of at least `from` that has no lower number than `wanted`
 * anywhere, or NULL. */
struct fit_node *fit_tree_find_signed(const struct fit_tree *t,
                                      struct fit_key from,
                                      const struct fit_signature *wanted);
/* The less is needed, the higher; 0, which is none of these, stands for more than there
 * can be. */
uint16_t fit_number_of_need(uint64_t amount);

#endif
