/* fit_tree.c - an ordered set of resource vectors: the first one that is large enough. */
#include "sched/fit_tree.h"

#include "base/assert.h"

static int height(const struct fit_node *n)
{
    return n == NULL ? 0 : n->height;
}

static void take_most(struct resources *most, const struct fit_node *below)
{
    if (below == NULL)
        return;
    for (int k = 0; k < RESOURCE_KINDS; k++)
        if (below->most.amount[k] > most->amount[k])
            most->amount[k] = below->most.amount[k];
}

/* What a node knows of the nodes below it, after those changed. */
static void refresh(struct fit_node *n)
{
    int left = height(n->left);
    int right = height(n->right);

    n->height = 1 + (left > right ? left : right);
    n->most = n->has;
    take_most(&n->most, n->left);
    take_most(&n->most, n->right);
}

static struct fit_node *rotate_right(struct fit_node *n)
{
    struct fit_node *top = n->left;

    n->left = top->right;
    top->right = n;
    refresh(n);
    refresh(top);
    return top;
}

static struct fit_node *rotate_left(struct fit_node *n)
{
    struct fit_node *top = n->right;

    n->right = top->left;
    top->left = n;
    refresh(n);
    refresh(top);
    return top;
}

/* The root of this subtree when the heights of its two sides differ by at most 1 again. */
static struct fit_node *balance(struct fit_node *n)
{
    int lean = height(n->left) - height(n->right);

    if (lean > 1) {
        if (height(n->left->left) < height(n->left->right))
            n->left = rotate_left(n->left);
        return rotate_right(n);
    }
    if (lean < -1) {
        if (height(n->right->right) < height(n->right->left))
            n->right = rotate_right(n->right);
        return rotate_left(n);
    }
    refresh(n);
    return n;
}

static struct fit_node *insert_below(struct fit_node *at, struct fit_node *n)
{
    int order;

    if (at == NULL)
        return n;
    order = fit_key_compare(&n->key, &at->key);
    ASSERT(order != 0);
    if (order < 0)
        at->left = insert_below(at->left, n);
    else
        at->right = insert_below(at->right, n);
    return balance(at);
}

static struct fit_node *take_first(struct fit_node *at, struct fit_node **first)
{
    if (at->left == NULL) {
        *first = at;
        return at->right;
    }
    at->left = take_first(at->left, first);
    return balance(at);
}

static struct fit_node *remove_below(struct fit_node *at, struct fit_node *n)
{
    struct fit_node *heir, *right;

    ASSERT(at != NULL);
    if (at != n) {
        if (fit_key_compare(&n->key, &at->key) < 0)
            at->left = remove_below(at->left, n);
        else
            at->right = remove_below(at->right, n);
        return balance(at);
    }
    if (n->right == NULL)
        return n->left;
    right = take_first(n->right, &heir);
    heir->left = n->left;
    heir->right = right;
    return balance(heir);
}

void fit_tree_insert(struct fit_tree *t, struct fit_node *n)
{
    ASSERT(n->height == 0);
    n->left = NULL;
    n->right = NULL;
    refresh(n);
    t->root = insert_below(t->root, n);
}

void fit_tree_remove(struct fit_tree *t, struct fit_node *n)
{
    ASSERT(n->height > 0);
    t->root = remove_below(t->root, n);
    n->height = 0;
}

struct fit_node *fit_tree_first(const struct fit_tree *t)
{
    struct fit_node *n = t->root;

    while (n != NULL && n->left != NULL)
        n = n->left;
    return n;
}

static struct fit_node *find_below(struct fit_node *at,
                                   const struct fit_key *from,
                                   const struct resources *need)
{
    struct fit_node *found;

    while (at != NULL && resources_contain(&at->most, need)) {
        if (fit_key_compare(&at->key, from) >= 0) {
            found = find_below(at->left, from, need);
            if (found != NULL)
                return found;
            if (resources_contain(&at->has, need))
                return at;
        }
        at = at->right;
    }
    return NULL;
}

struct fit_node *fit_tree_find(const struct fit_tree *t,
                               struct fit_key from,
                               const struct resources *need)
{
    return find_below(t->root, &from, need);
}
