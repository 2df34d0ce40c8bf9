/* fit_tree.h - an ordered set of resource vectors: the first one that fits.
 *
 * A B+ tree (Comer, The Ubiquitous B-Tree, 1979): what a search reads of vectors lies side by side,
 * for one that the caches do not have costs as much as many comparisons.  Of each page the one
 * above holds the *signature* of all vectors in it, with which a search leaves out pages.
 *
 * A signature is a row of small numbers, each a function of the vector that never falls
 * when an amount rises.  So a vector that holds another has no lower number anywhere, and
 * a crowd of which none may hold it is seen by its highest numbers.  They are logarithms
 * (6 bits of exponent, 10 of mantissa) of each amount, and of the lesser of cpus and
 * memory for several prices of memory.  Without the latter a crowd in which some have
 * cpus left and others memory would look as if one had both.
 *
 * Besides amounts there are bits of which all that are asked for must be there, and *sets*
 * of bits of which one must: of what holds, its own; of what is to be held, those that do.  A
 * crowd has the bits of all in it, so one in which nobody has a wanted bit is left out.
 *
 * Changes are O(log n).  So are searches, but for crowds that miss by less than a step
 * between two prices, some in one kind and some in another.
 *
 * Nodes lie in the objects that own them, pages belong to the tree: one in which nothing is has
 * none.  Keys are unique in a tree.
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

#define FIT_SET_BITS 127 /* the last bit of the words is in every set of what holds */

struct fit_set {
    uint64_t word[2];
};

static inline void fit_set_add(struct fit_set *s, unsigned bit)
{
    s->word[bit / 64] |= 1ull << bit % 64;
}

static inline bool fit_sets_meet(const struct fit_set *a, const struct fit_set *b)
{
    return ((a->word[0] & b->word[0]) | (a->word[1] & b->word[1])) != 0;
}

static inline struct fit_set fit_set_all(void)
{
    return (struct fit_set){{UINT64_MAX, UINT64_MAX}};
}

struct fit_numbers {
    uint16_t of[FIT_NUMBERS];
};

/* Beside the numbers a signature has bits: of a vector that holds, those of all that it
 * offers besides amounts; of one that is to be held, those of all that it asks for.  What
 * lacks a bit cannot hold what has it (fleet.c). */
struct fit_signature {
    struct fit_numbers numbers;
    uint64_t bits;
    struct fit_set set;
};

struct fit_node {
    struct fit_key key;
    void *owner;
    uint64_t refused; /* the last search that refused it */
    bool is_in;       /* in a tree */
    uint64_t bits;    /* of the vector */
    struct resources vector;
    struct fit_set set; /* as bits; of what is to be held none is any */
};

struct fit_tree {
    struct fit_page *root; /* fit_page.h; NULL: nothing is in it */
    bool of_needs;         /* vectors that are to be held; else vectors that hold */
    bool in_order; /* that is all: there are no signatures, and it is not searched */
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

/* The caller has set key and owner, and but for a tree in order alone vector, bits and set. */
void fit_tree_insert(struct fit_tree *t, struct fit_node *n);
/* The caller has set the owner; the node stands for all that is in `inner`, which is not empty,
 * from now on and with this key.  When that changes, it is to be told again. */
void fit_tree_put_tree(struct fit_tree *t,
                       struct fit_node *n,
                       struct fit_key key,
                       const struct fit_tree *inner);
/* The caller has set key and owner, and says what the node holds or needs in its own way:
 * one for all nodes of a tree, which is searched by fit_tree_find_signed() alone. */
void fit_tree_insert_signed(struct fit_tree *t,
                            struct fit_node *n,
                            const struct fit_signature *s);
void fit_tree_remove(struct fit_tree *t, struct fit_node *n);
/* It is in the tree, and what it holds or needs is the same: with this key from now on.  No
 * search with a number goes on. */
void fit_tree_move(struct fit_tree *t, struct fit_node *n, struct fit_key key);
void fit_tree_clear(struct fit_tree *t);
bool fit_tree_has_one(const struct fit_tree *t);

/* The first of all, or NULL. */
struct fit_node *fit_tree_first(const struct fit_tree *t);
/* The first one with a key of at least `from`, or NULL. */
struct fit_node *fit_tree_from(const struct fit_tree *t, struct fit_key from);

enum fit_answer {
    FIT_NEVER, /* not in this search, as long as it goes on */
    FIT_NOT_NOW,
    FIT_HOLDS
};

/* What is to be held.  `holds` says of an owner whose vector and bits hold it whether it
 * really does; NULL: they tell all.
 *
 * A search may be one of several for the same thing, between which what is in the tree comes to
 * hold less, never more: then they have the same number, of their own and above 0.  What one refused for good
 * the others do not ask again, and a crowd has the sets of those alone that are not refused:
 * all searches of a number together ask each owner in vain once. */
struct fit_need {
    const struct resources *vector;
    uint64_t bits;
    const struct fit_set *sets; /* each is met by what holds it */
    size_t set_count;
    enum fit_answer (*holds)(void *owner, void *context);
    void *context;
    uint64_t number; /* of the search; 0: it is for itself */
};

/* The first one with a key of at least `from` that holds `need`, or NULL.  *asked (NULL: not
 * wanted) grows by the owners that were asked in vain. */
struct fit_node *fit_tree_find(const struct fit_tree *t,
                               struct fit_key from,
                               const struct fit_need *need,
                               unsigned *asked);

/* Of what holds a need, one is best: with the highest score; of equal ones that with the lower
 * key.first, or with the higher one, as in `from_end`; of those that with the lower
 * key.second.  `score` is that of an owner with this key.first, above 0; `bound` at least that
 * of any which is in such a crowd and has this key.first or one that is less good. */
struct fit_wish {
    bool from_end;
    uint64_t (*score)(void *owner, uint64_t first, void *context);
    uint64_t (*bound)(const struct fit_set *crowd, uint64_t first, void *context);
    void *context;
};

/* The best one with a key of at least `from`, or NULL.  Likewise; of what was looked at without
 * being asked a part counts as well. */
struct fit_node *fit_tree_best(const struct fit_tree *t,
                               struct fit_key from,
                               const struct fit_need *need,
                               const struct fit_wish *wish,
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
