/* fit_page.h - the pages of a fit tree: for its own files and its tests. */
#ifndef SCHED_FIT_PAGE_H
#define SCHED_FIT_PAGE_H

#include "sched/fit_tree.h"

#include <stddef.h>

#define FIT_PAGE_MOST 16

union fit_below {
    struct fit_node *node;
    struct fit_page *page;
};

/* Entries in order of their keys, never none, in rows, for a search reads one row of all of them
 * and then the others of few.  A tree that is in order alone has no rows behind the first two. */
struct fit_page {
    unsigned count;
    unsigned level;  /* 0: of nodes; else of pages of the level below */
    uint64_t search; /* that `open` is of */
    struct fit_key key[FIT_PAGE_MOST]; /* of a page: at most its first */
    union fit_below below[FIT_PAGE_MOST];
    /* The signature of the node, or of all in the page. */
    struct fit_set set[FIT_PAGE_MOST];
    struct fit_numbers numbers[FIT_PAGE_MOST];
    uint64_t bits[FIT_PAGE_MOST];
    struct fit_set open[FIT_PAGE_MOST]; /* sets of those that are not refused */
};

#define FIT_PAGE_IN_ORDER \
    offsetof(struct fit_page, set) /* bytes of a page of such a tree */

/* The first entry with a key of at least this one; count: none has. */
static inline unsigned fit_page_from(const struct fit_page *p, struct fit_key key)
{
    unsigned lower = 0;

    for (unsigned i = 0; i < p->count; i++)
        lower += fit_key_compare(&p->key[i], &key) < 0;
    return lower;
}

/* The page below in which this key is, if it is in any. */
static inline unsigned fit_page_with(const struct fit_page *p, struct fit_key key)
{
    unsigned i = fit_page_from(p, key);

    if (i < p->count && fit_key_compare(&p->key[i], &key) == 0)
        return i;
    return i > 0 ? i - 1 : 0;
}

/* Where a search that begins at this key begins here. */
static inline unsigned fit_page_begin(const struct fit_page *p, struct fit_key from)
{
    return p->level == 0 ? fit_page_from(p, from) : fit_page_with(p, from);
}

/* ---- signatures ---- */

struct fit_signature fit_sign(const struct fit_tree *t,
                              const struct resources *r,
                              uint64_t bits,
                              struct fit_set set);
/* What is low becomes high. */
void fit_turn(struct fit_signature *s);
/* Of all in a page. */
struct fit_signature fit_page_all(const struct fit_page *p);

/* In this form compilers do eight at a time. */
static inline uint16_t fit_greater(uint16_t a, uint16_t b)
{
    return a > b ? a : b;
}

/* Whether none is lower than what is asked for. */
static inline bool fit_reaches(const struct fit_numbers *n,
                               const struct fit_numbers *asked)
{
    uint16_t differs = 0;

    for (int i = 0; i < FIT_NUMBERS; i++)
        differs |= n->of[i] ^ fit_greater(n->of[i], asked->of[i]);
    return differs == 0;
}

/* To at least that. */
static inline void fit_raise(struct fit_numbers *n, const struct fit_numbers *least)
{
    for (int i = 0; i < FIT_NUMBERS; i++)
        n->of[i] = fit_greater(n->of[i], least->of[i]);
}

static inline void fit_set_join(struct fit_set *s, const struct fit_set *with)
{
    s->word[0] |= with->word[0];
    s->word[1] |= with->word[1];
}

#endif
