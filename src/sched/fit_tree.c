/* fit_tree.c - an ordered set of resource vectors: what is in it.
 *
 * A page that gets too many entries is parted in two.  Two beside each other below the same page are
 * joined when both together have no more than half of what one may have: so all but the last have a
 * quarter on average, and entries that come and go do not part and join them each time.
 */
#include "sched/fit_page.h"

#include "base/assert.h"
#include "base/mem.h"

#include <string.h>

#define FEW        (FIT_PAGE_MOST / 2)
#define CACHE_LINE 64 /* bytes */

/* ---- entries of a page ---- */

struct entry {
    struct fit_key key;
    union fit_below below;
    struct fit_signature all;
};

static struct fit_page *add_page(const struct fit_tree *t, unsigned level)
{
    struct fit_page *p = mem_zalloc(t->in_order ? FIT_PAGE_IN_ORDER : sizeof(*p));

    p->level = level;
    return p;
}

/* Entries to where there is room for them. */
static void copy(const struct fit_tree *t,
                 struct fit_page *to,
                 unsigned at,
                 const struct fit_page *from,
                 unsigned first,
                 unsigned count)
{
    memmove(&to->key[at], &from->key[first], count * sizeof(*to->key));
    memmove(&to->below[at], &from->below[first], count * sizeof(*to->below));
    if (t->in_order)
        return;
    memmove(&to->set[at], &from->set[first], count * sizeof(*to->set));
    memmove(&to->numbers[at], &from->numbers[first], count * sizeof(*to->numbers));
    memmove(&to->bits[at], &from->bits[first], count * sizeof(*to->bits));
    memmove(&to->open[at], &from->open[first], count * sizeof(*to->open));
}

static struct fit_signature signature(const struct fit_page *p, unsigned i)
{
    return (struct fit_signature){p->numbers[i], p->bits[i], p->set[i]};
}

static bool is_same(const struct fit_signature *a, const struct fit_signature *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

static void set_all(struct fit_page *p, unsigned i, const struct fit_signature *all)
{
    p->set[i] = all->set;
    p->numbers[i] = all->numbers;
    p->bits[i] = all->bits;
    p->open[i] = all->set;
}

static void
put(const struct fit_tree *t, struct fit_page *p, unsigned i, struct entry e)
{
    copy(t, p, i + 1, p, i, p->count - i);
    p->count++;
    p->key[i] = e.key;
    p->below[i] = e.below;
    if (!t->in_order)
        set_all(p, i, &e.all);
}

static void take(const struct fit_tree *t, struct fit_page *p, unsigned i)
{
    p->count--;
    copy(t, p, i, p, i + 1, p->count - i);
}

static void
raise_entry(struct fit_page *p, unsigned i, const struct fit_signature *least)
{
    fit_set_join(&p->set[i], &least->set);
    fit_raise(&p->numbers[i], &least->numbers);
    p->bits[i] |= least->bits;
#ifndef MUTANT_CROWD_STAYS_REFUSED
    p->open[i] = p->set[i];
#endif
}

/* What an entry says of the page below it, after that changed; false: it is what it was. */
static bool refresh(struct fit_page *p, unsigned i)
{
    struct fit_signature all = fit_page_all(p->below[i].page);
    struct fit_signature was = signature(p, i);

    set_all(p, i, &all);
    return !is_same(&was, &all);
}

static struct entry entry_of_page(const struct fit_tree *t, struct fit_page *p)
{
    struct entry e = {.key = p->key[0], .below.page = p};

    if (!t->in_order)
        e.all = fit_page_all(p);
    return e;
}

/* The caches fetch what is read of a page to find a key there.  A call in which nothing else happens
 * gcc leaves out, hence always_inline. */
__attribute__((always_inline)) static inline void fetch_keys(const struct fit_page *p)
{
    for (size_t at = 0; at < FIT_PAGE_IN_ORDER; at += CACHE_LINE)
        __builtin_prefetch((const char *)p + at);
}

/* ---- more ---- */

/* The page behind this one that there is now, or NULL.  What comes in order, each as the last of
 * the tree, leaves full pages behind. */
static struct fit_page *add(const struct fit_tree *t,
                            struct fit_page *p,
                            unsigned i,
                            struct entry e,
                            bool is_end)
{
    struct fit_page *more = NULL;

    if (p->count == FIT_PAGE_MOST) {
        unsigned keep =
            is_end && i == FIT_PAGE_MOST ? FIT_PAGE_MOST : FIT_PAGE_MOST / 2;

        more = add_page(t, p->level);
        more->search = p->search;
        more->count = p->count - keep;
        copy(t, more, 0, p, keep, more->count);
        p->count = keep;
        if (i >= keep) {
            put(t, more, i - keep, e);
            return more;
        }
    }
    put(t, p, i, e);
    return more;
}

static struct fit_page *
insert_below(const struct fit_tree *t, struct fit_page *p, struct entry e, bool is_end)
{
    struct fit_page *below, *more;
    unsigned i;

    if (p->level == 0) {
        i = fit_page_from(p, e.key);
        ASSERT(i == p->count || fit_key_compare(&p->key[i], &e.key) != 0);
        return add(t, p, i, e, is_end);
    }
    i = fit_page_with(p, e.key);
    below = p->below[i].page;
    fetch_keys(below);
    if (fit_key_compare(&e.key, &p->key[i]) < 0)
        p->key[i] = e.key;
    more = insert_below(t, below, e, is_end && i + 1 == p->count);
    if (more != NULL && !t->in_order)
        refresh(p, i);
    else if (!t->in_order)
        raise_entry(p, i, &e.all);
    return more == NULL ? NULL : add(t, p, i + 1, entry_of_page(t, more), is_end);
}

static void insert(struct fit_tree *t, struct fit_node *n, struct entry e)
{
    struct fit_page *more, *first;

    ASSERT(!n->is_in);
    n->is_in = true;
    n->refused = 0;
    e.key = n->key;
    e.below.node = n;
    if (t->root == NULL)
        t->root = add_page(t, 0);
    more = insert_below(t, t->root, e, true);
    if (more == NULL)
        return;
    first = t->root;
    t->root = add_page(t, first->level + 1);
    put(t, t->root, 0, entry_of_page(t, first));
    put(t, t->root, 1, entry_of_page(t, more));
}

void fit_tree_insert_signed(struct fit_tree *t,
                            struct fit_node *n,
                            const struct fit_signature *s)
{
    insert(t, n, (struct entry){.all = *s});
}

void fit_tree_insert(struct fit_tree *t, struct fit_node *n)
{
    struct entry e = {.all.bits = 0};

    if (!t->in_order)
        e.all = fit_sign(t, &n->vector, n->bits, n->set);
    insert(t, n, e);
}

/* ---- less ---- */

/* The pages below this entry and the next are one, if they are so small; then those that get
 * beside each other in it may be, too. */
static bool join(const struct fit_tree *t, struct fit_page *p, unsigned i)
{
    struct fit_page *a, *b;
    unsigned seam;

    if (i + 1 >= p->count)
        return false;
    a = p->below[i].page;
    b = p->below[i + 1].page;
    seam = a->count;
    if (seam + b->count > FEW)
        return false;
    copy(t, a, seam, b, 0, b->count);
    a->count += b->count;
    a->search = 0;
    mem_free(b);
    take(t, p, i + 1);
    if (a->level > 0)
        join(t, a, seam - 1);
    if (!t->in_order)
        refresh(p, i);
    return true;
}

/* True when the page above sees a difference. */
static bool
remove_below(const struct fit_tree *t, struct fit_page *p, const struct fit_node *n)
{
    struct fit_page *below;
    bool differs;
    unsigned i;

    if (p->level == 0) {
        i = fit_page_from(p, n->key);
        ASSERT(i < p->count && p->below[i].node == n);
        take(t, p, i);
        return true;
    }
    i = fit_page_with(p, n->key);
    below = p->below[i].page;
    fetch_keys(below);
    differs = remove_below(t, below, n);
    if (below->count == 0) {
        mem_free(below);
        take(t, p, i);
        return true;
    }
#ifndef MUTANT_CROWD_KEEPS_WHO_LEFT
    if (!t->in_order)
        differs = differs && refresh(p, i);
#endif
    if (below->count < FEW)
        while (join(t, p, i) || (i > 0 && join(t, p, --i)))
            continue;
    return differs;
}

void fit_tree_remove(struct fit_tree *t, struct fit_node *n)
{
    struct fit_page *root = t->root;

    ASSERT(n->is_in && root != NULL);
    n->is_in = false;
    remove_below(t, root, n);
    while (root != NULL && root->count < 2 && (root->level > 0 || root->count == 0)) {
        t->root = root->count == 0 ? NULL : root->below[0].page;
        mem_free(root);
        root = t->root;
    }
}

static void clear_below(struct fit_page *p)
{
    for (unsigned i = 0; i < p->count; i++)
        if (p->level == 0)
            p->below[i].node->is_in = false;
        else
            clear_below(p->below[i].page);
    mem_free(p);
}

void fit_tree_clear(struct fit_tree *t)
{
    if (t->root != NULL)
        clear_below(t->root);
    t->root = NULL;
}

/* ---- changes ---- */

static struct fit_signature signature_of(const struct fit_tree *t,
                                         const struct fit_node *n)
{
    const struct fit_page *p = t->root;

    while (p->level > 0)
        p = p->below[fit_page_with(p, n->key)].page;
    return signature(p, fit_page_from(p, n->key));
}

/* Of one that is alone the page stays. */
static void change(struct fit_tree *t,
                   struct fit_node *n,
                   struct fit_key key,
                   const struct fit_signature *all)
{
    if (fit_tree_has_one(t)) {
        n->key = key;
        t->root->key[0] = key;
        if (!t->in_order)
            set_all(t->root, 0, all);
        return;
    }
    fit_tree_remove(t, n);
    n->key = key;
    fit_tree_insert_signed(t, n, all);
}

void fit_tree_move(struct fit_tree *t, struct fit_node *n, struct fit_key key)
{
    struct fit_signature all = {.bits = 0};

    ASSERT(n->is_in);
    if (fit_key_compare(&n->key, &key) == 0)
        return;
    if (!t->in_order)
        all = signature_of(t, n);
    change(t, n, key, &all);
}

void fit_tree_put_tree(struct fit_tree *t,
                       struct fit_node *n,
                       struct fit_key key,
                       const struct fit_tree *inner)
{
    struct fit_signature all, was;

    ASSERT(t->of_needs && inner->of_needs && inner->root != NULL);
    all = fit_page_all(inner->root);
    if (!n->is_in) {
        n->key = key;
        fit_tree_insert_signed(t, n, &all);
        return;
    }
    was = signature_of(t, n);
    if (fit_key_compare(&n->key, &key) != 0 || !is_same(&was, &all))
        change(t, n, key, &all);
}

/* ---- in order ---- */

bool fit_tree_has_one(const struct fit_tree *t)
{
    return t->root != NULL && t->root->level == 0 && t->root->count == 1;
}

static struct fit_node *first_below(const struct fit_page *p)
{
    while (p->level > 0)
        p = p->below[0].page;
    return p->below[0].node;
}

struct fit_node *fit_tree_first(const struct fit_tree *t)
{
    return t->root == NULL ? NULL : first_below(t->root);
}

struct fit_node *fit_tree_from(const struct fit_tree *t, struct fit_key from)
{
    const struct fit_page *p = t->root, *behind = NULL;
    unsigned i;

    if (p == NULL)
        return NULL;
    for (; p->level > 0; p = p->below[i].page) {
        i = fit_page_with(p, from);
        if (i + 1 < p->count)
            behind = p->below[i + 1].page;
    }
    i = fit_page_from(p, from);
    if (i < p->count)
        return p->below[i].node;
    return behind == NULL ? NULL : first_below(behind);
}
