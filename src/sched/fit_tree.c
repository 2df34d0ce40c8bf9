/* fit_tree.c - an ordered set of resource vectors: the first one that fits. */
#include "sched/fit_tree.h"

#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"
#include "sched/log2.h"

#include <string.h>

/* ---- signatures ---- */

/* 0 of 0, which is less than any other. */
static int log_of(uint64_t amount)
{
    ASSERT(amount <= LIMIT_RESOURCE);
    return amount == 0 ? 0 : log2_of(amount) + 1;
}

uint16_t fit_number_of_need(uint64_t amount)
{
    return (uint16_t)(UINT16_MAX - log_of(amount));
}

/* What is low becomes high. */
static void turn(struct fit_signature *s)
{
    s->bits = ~s->bits;
    for (int i = 0; i < FIT_NUMBERS; i++)
        s->number[i] = (uint16_t)(UINT16_MAX - s->number[i]);
}

/* For a thousandth of a cpu there are 2^18 (256 MiB for a cpu) to 2^26 bytes (64 GiB). */
#define MEM_PRICE_FIRST 18
#define MEM_PRICES      9
#define DISK_PRICE      25    /* 32 GiB of disk for a cpu */
#define GPU_PRICE       (-64) /* one counts for more than any amount of the others */

/* The lesser of two logarithms, the second one divided by its price. */
static uint16_t lesser(int a, int b, int price)
{
    int priced = b == 0 ? 0 : b - price * LOG2_ONE;
    int low = a < priced ? a : priced;

    return low > 0 ? (uint16_t)low : 0;
}

static void sign(const struct fit_tree *t,
                 struct fit_signature *s,
                 const struct resources *r,
                 uint64_t bits,
                 struct fit_set set)
{
    int cpus = log_of(r->amount[RESOURCE_CPUS]);
    int mem = log_of(r->amount[RESOURCE_MEM]);
    int disk = log_of(r->amount[RESOURCE_DISK]);
    int gpus = log_of(r->amount[RESOURCE_GPUS]);
    int i = 0;

    s->bits = bits;
    s->set = set;
    if (!t->of_needs)
        fit_set_add(&s->set, FIT_SET_BITS);
    else if ((set.word[0] | set.word[1]) == 0)
        s->set = fit_set_all();
    s->number[i++] = (uint16_t)cpus;
    s->number[i++] = (uint16_t)mem;
    s->number[i++] = (uint16_t)disk;
    s->number[i++] = (uint16_t)gpus;
    s->number[i++] = lesser(cpus, gpus, GPU_PRICE);
    s->number[i++] = lesser(mem, gpus, GPU_PRICE);
    s->number[i++] = lesser(cpus, disk, DISK_PRICE);
    for (int price = 0; price < MEM_PRICES; price++)
        s->number[i++] = lesser(cpus, mem, MEM_PRICE_FIRST + price);
    ASSERT(i == FIT_NUMBERS);
    if (t->of_needs)
        turn(s);
}

/* In this form compilers do eight at a time. */
static uint16_t greater(uint16_t a, uint16_t b)
{
    return a > b ? a : b;
}

/* Whether something with this signature may fit. */
static bool may_fit(const struct fit_signature *s, const struct fit_signature *asked)
{
    uint16_t differs = 0;

    for (int i = 0; i < FIT_NUMBERS; i++)
        differs |= s->number[i] ^ greater(s->number[i], asked->number[i]);
    return differs == 0 && (asked->bits & ~s->bits) == 0 &&
           fit_sets_meet(&s->set, &asked->set);
}

/* To at least that; true when it was less of something. */
static bool raise_to(struct fit_signature *s, const struct fit_signature *least)
{
    uint64_t more = (least->bits & ~s->bits) | (least->set.word[0] & ~s->set.word[0]) |
                    (least->set.word[1] & ~s->set.word[1]);
    uint16_t differs = 0;

    s->bits |= least->bits;
    s->set.word[0] |= least->set.word[0];
    s->set.word[1] |= least->set.word[1];
    for (int i = 0; i < FIT_NUMBERS; i++) {
        uint16_t number = greater(s->number[i], least->number[i]);

        differs |= s->number[i] ^ number;
        s->number[i] = number;
    }
    return (more | differs) != 0;
}

/* ---- the tree ---- */

static int height(const struct fit_node *n)
{
    return n == NULL ? 0 : n->height;
}

/* What a node knows of the nodes below it, after those changed. */
static void refresh(const struct fit_tree *t, struct fit_node *n)
{
    int left = height(n->left);
    int right = height(n->right);

    n->height = 1 + (left > right ? left : right);
    if (t->in_order)
        return;
    n->all = n->own;
    n->search = 0;
    if (n->left != NULL)
        raise_to(&n->all, &n->left->all);
    if (n->right != NULL)
        raise_to(&n->all, &n->right->all);
}

static struct fit_node *rotate_right(const struct fit_tree *t, struct fit_node *n)
{
    struct fit_node *top = n->left;

    n->left = top->right;
    top->right = n;
    refresh(t, n);
    refresh(t, top);
    return top;
}

static struct fit_node *rotate_left(const struct fit_tree *t, struct fit_node *n)
{
    struct fit_node *top = n->right;

    n->right = top->left;
    top->left = n;
    refresh(t, n);
    refresh(t, top);
    return top;
}

/* The root of this subtree when the heights of its two sides differ by at most 1 again. */
static struct fit_node *balance(const struct fit_tree *t, struct fit_node *n)
{
    int lean = height(n->left) - height(n->right);

    if (lean > 1) {
        if (height(n->left->left) < height(n->left->right))
            n->left = rotate_left(t, n->left);
        return rotate_right(t, n);
    }
    if (lean < -1) {
        if (height(n->right->right) < height(n->right->left))
            n->right = rotate_right(t, n->right);
        return rotate_left(t, n);
    }
    refresh(t, n);
    return n;
}

/* What is read of both nodes below when one of them is left out, or on the way back up: the caches
 * fetch it meanwhile.  Where there is none, what is there already: looking for a page at address 0
 * takes longer than anything that this saves.  A call in which nothing else happens gcc leaves out,
 * hence always_inline. */
__attribute__((always_inline)) static inline void fetch_below(const struct fit_node *n)
{
    const char *left = (const char *)(n->left != NULL ? n->left : n);
    const char *right = (const char *)(n->right != NULL ? n->right : n);

    __builtin_prefetch(left);
    __builtin_prefetch(left + MEM_LINE);
    __builtin_prefetch(right);
    __builtin_prefetch(right + MEM_LINE);
}

/* What is read of a node itself. */
__attribute__((always_inline)) static inline void fetch_own(const struct fit_node *n)
{
    __builtin_prefetch(&n->owner);
    __builtin_prefetch(&n->own);
}

/* The root of a subtree that got smaller or that a rotation changed; settled when who is above it
 * sees no difference. */
static struct fit_node *settle(const struct fit_tree *t,
                               struct fit_node *n,
                               const struct fit_node *was,
                               bool *is_settled)
{
    int height = was->height;
    struct fit_signature all = was->all;
    struct fit_node *top = balance(t, n);

    *is_settled = top->height == height &&
                  (t->in_order || memcmp(&top->all, &all, sizeof(all)) == 0);
    return top;
}

/* With a node more below it: nothing but that is read of the crowd. */
static struct fit_node *grow(const struct fit_tree *t,
                             struct fit_node *at,
                             const struct fit_node *n,
                             bool *is_settled)
{
    int left = height(at->left), right = height(at->right), was = at->height;
    bool is_same = true;

    if (left - right > 1 || right - left > 1)
        return settle(t, at, at, is_settled);
    at->height = 1 + (left > right ? left : right);
    if (!t->in_order)
        is_same = !raise_to(&at->all, &n->all);
    *is_settled = is_same && at->height == was;
    return at;
}

static struct fit_node *insert_below(const struct fit_tree *t,
                                     struct fit_node *at,
                                     struct fit_node *n,
                                     bool *is_settled)
{
    int order;

    if (at == NULL)
        return n;
    fetch_below(at);
    order = fit_key_compare(&n->key, &at->key);
    ASSERT(order != 0);
    if (order < 0)
        at->left = insert_below(t, at->left, n, is_settled);
    else
        at->right = insert_below(t, at->right, n, is_settled);
    at->search = 0;
    return *is_settled ? at : grow(t, at, n, is_settled);
}

static struct fit_node *take_first(const struct fit_tree *t,
                                   struct fit_node *at,
                                   struct fit_node **first,
                                   bool *is_settled)
{
    if (at->left == NULL) {
        *first = at;
        return at->right;
    }
    at->left = take_first(t, at->left, first, is_settled);
    return *is_settled ? at : settle(t, at, at, is_settled);
}

static struct fit_node *remove_below(const struct fit_tree *t,
                                     struct fit_node *at,
                                     struct fit_node *n,
                                     bool *is_settled)
{
    struct fit_node *heir, *right;

    ASSERT(at != NULL);
    fetch_below(at);
    fetch_own(at);
    if (at != n) {
        if (fit_key_compare(&n->key, &at->key) < 0)
            at->left = remove_below(t, at->left, n, is_settled);
        else
            at->right = remove_below(t, at->right, n, is_settled);
        return *is_settled ? at : settle(t, at, at, is_settled);
    }
    if (n->right == NULL)
        return n->left;
    right = take_first(t, n->right, &heir, is_settled);
    heir->left = n->left;
    heir->right = right;
    return settle(t, heir, n, is_settled);
}

static void insert(struct fit_tree *t, struct fit_node *n)
{
    bool is_settled = false;

    ASSERT(n->height == 0);
    n->left = NULL;
    n->right = NULL;
    n->refused = 0;
    refresh(t, n);
    t->root = insert_below(t, t->root, n, &is_settled);
}

void fit_tree_insert_signed(struct fit_tree *t,
                            struct fit_node *n,
                            const struct fit_signature *s)
{
    n->own = *s;
    insert(t, n);
}

void fit_tree_insert(struct fit_tree *t, struct fit_node *n)
{
    if (!t->in_order)
        sign(t, &n->own, &n->vector, n->bits, n->set);
    insert(t, n);
}

void fit_tree_remove(struct fit_tree *t, struct fit_node *n)
{
    bool is_settled = false;

    ASSERT(n->height > 0);
    t->root = remove_below(t, t->root, n, &is_settled);
    n->height = 0;
}

static void clear_below(struct fit_node *n)
{
    for (; n != NULL; n = n->right) {
        clear_below(n->left);
        n->height = 0;
    }
}

void fit_tree_clear(struct fit_tree *t)
{
    clear_below(t->root);
    t->root = NULL;
}

struct fit_node *fit_tree_first(const struct fit_tree *t)
{
    struct fit_node *n = t->root;

    while (n != NULL && n->left != NULL)
        n = n->left;
    return n;
}

/* What may be held of all that is in another tree of needs. */
void fit_tree_insert_tree(struct fit_tree *t,
                          struct fit_node *n,
                          const struct fit_tree *inner)
{
    ASSERT(t->of_needs && inner->of_needs && inner->root != NULL);
    fit_tree_insert_signed(t, n, &inner->root->all);
}

struct fit_node *fit_tree_from(const struct fit_tree *t, struct fit_key from)
{
    struct fit_node *n = t->root, *found = NULL;

    while (n != NULL) {
        if (fit_key_compare(&from, &n->key) <= 0) {
            found = n;
            n = n->left;
        } else {
            n = n->right;
        }
    }
    return found;
}

/* ---- searches ---- */

struct search {
    struct fit_key from;
    const struct fit_need *need; /* NULL: the signature is enough */
    struct fit_signature signature;
    unsigned asked;
};

static uint64_t number_of(const struct search *s)
{
    return s->need == NULL ? 0 : s->need->number;
}

/* Sets of all here and below that are not refused. */
static const struct fit_set *open_set(const struct search *s, const struct fit_node *n)
{
    uint64_t number = number_of(s);

    return number != 0 && n->search == number ? &n->open : &n->all.set;
}

static bool is_refused(const struct search *s, const struct fit_node *n)
{
    uint64_t number = number_of(s);

    return number != 0 && n->refused == number;
}

static void open_to(struct search *s, struct fit_set *set, const struct fit_node *below)
{
    const struct fit_set *open;

    if (below == NULL)
        return;
    open = open_set(s, below);
    set->word[0] |= open->word[0];
    set->word[1] |= open->word[1];
}

/* Something here or below may be refused since. */
static void tell_refused(struct search *s, struct fit_node *n)
{
    struct fit_set set = {{0}};

    if (number_of(s) == 0)
        return;
    if (!is_refused(s, n))
        set = n->own.set;
    open_to(s, &set, n->left);
    open_to(s, &set, n->right);
    n->open = set;
    n->search = number_of(s);
}

static bool meets_all(const struct search *s, const struct fit_set *set)
{
    for (size_t i = 0; s->need != NULL && i < s->need->set_count; i++)
        if (!fit_sets_meet(set, &s->need->sets[i]))
            return false;
    return true;
}

static bool may_hold(const struct search *s, const struct fit_node *crowd)
{
    const struct fit_set *open = open_set(s, crowd);

    return (open->word[0] | open->word[1]) != 0 && meets_all(s, open) &&
           may_fit(&crowd->all, &s->signature);
}

static enum fit_answer answer(struct search *s, struct fit_node *n)
{
    if ((s->need->bits & ~n->bits) != 0 || !meets_all(s, &n->own.set) ||
        !resources_contain(&n->vector, s->need->vector))
        return FIT_NEVER;
    if (s->need->holds == NULL)
        return FIT_HOLDS;
    s->asked++;
    return s->need->holds(n->owner, s->need->context);
}

static bool fits(struct search *s, struct fit_node *n)
{
    enum fit_answer found;

    if (s->need == NULL)
        return may_fit(&n->own, &s->signature);
    if (is_refused(s, n))
        return false;
    found = answer(s, n);
    if (found == FIT_NEVER && number_of(s) != 0)
        n->refused = s->need->number;
    return found == FIT_HOLDS;
}

static struct fit_node *find_below(struct search *s, struct fit_node *at)
{
    struct fit_node *found = NULL;

    if (at == NULL)
        return NULL;
    fetch_below(at);
    if (!may_hold(s, at))
        return NULL;
    fetch_own(at);
    if (fit_key_compare(&at->key, &s->from) >= 0) {
        found = find_below(s, at->left);
        if (found == NULL && fits(s, at))
            found = at;
    }
    if (found == NULL)
        found = find_below(s, at->right);
    tell_refused(s, at);
    return found;
}

struct fit_node *fit_tree_find(const struct fit_tree *t,
                               struct fit_key from,
                               const struct fit_need *need,
                               unsigned *asked)
{
    struct search s = {.from = from, .need = need};
    struct fit_node *found;

    ASSERT(!t->of_needs && !t->in_order);
    sign(t, &s.signature, need->vector, need->bits, fit_set_all());
    found = find_below(&s, t->root);
    if (asked != NULL)
        *asked += s.asked;
    return found;
}

/* ---- the best ---- */

#define VISITS_PER_ASKED 2

struct contest {
    struct search s;
    const struct fit_wish *wish;
    struct fit_node *best;
    uint64_t score; /* of the best; 0 before there is one */
    unsigned visits;
};

static void compete(struct contest *c, struct fit_node *n)
{
    uint64_t score;

    if (fit_key_compare(&n->key, &c->s.from) < 0 || !fits(&c->s, n))
        return;
    score = c->wish->score(n->owner, n->key.first, c->wish->context);
    if (score <= c->score)
        return;
    c->score = score;
    c->best = n;
}

/* From the better end on, so that of equal scores the first is found.  `first` is the best
 * key.first that anything here or below may have. */
static void contest_below(struct contest *c, struct fit_node *at, uint64_t first)
{
    const struct fit_wish *w = c->wish;
    bool is_in;

    if (at == NULL || !may_hold(&c->s, at) ||
        w->bound(open_set(&c->s, at), first, w->context) <= c->score)
        return;
    c->visits++;
    fetch_below(at);
    fetch_own(at);
    is_in = fit_key_compare(&at->key, &c->s.from) >= 0;
    if (w->from_end || is_in)
        contest_below(c, w->from_end ? at->right : at->left, first);
    compete(c, at);
    if (!w->from_end || is_in)
        contest_below(c, w->from_end ? at->left : at->right, at->key.first);
    tell_refused(&c->s, at);
}

/* From the end on the highest key.second comes first: of those that are equal else, the lowest
 * is wanted. */
static struct fit_node *lowest_equal(struct contest *c, struct fit_node *at)
{
    struct fit_node *found;

    for (; at != NULL && may_hold(&c->s, at); at = at->right) {
        if (fit_key_compare(&at->key, &c->s.from) < 0)
            continue;
        c->visits++;
        found = lowest_equal(c, at->left);
        if (found != NULL)
            return found;
        if (at->key.first > c->s.from.first)
            return NULL;
        if (fits(&c->s, at) &&
            c->wish->score(at->owner, at->key.first, c->wish->context) == c->score)
            return at;
    }
    return NULL;
}

struct fit_node *fit_tree_best(const struct fit_tree *t,
                               struct fit_key from,
                               const struct fit_need *need,
                               const struct fit_wish *wish,
                               unsigned *asked)
{
    struct contest c = {.s = {.from = from, .need = need}, .wish = wish};

    ASSERT(!t->of_needs && !t->in_order);
    sign(t, &c.s.signature, need->vector, need->bits, fit_set_all());
    contest_below(&c, t->root, wish->from_end ? UINT64_MAX : from.first);
    if (c.best != NULL && wish->from_end) {
        c.s.from = (struct fit_key){c.best->key.first, 0};
        c.best = lowest_equal(&c, t->root); /* NULL: nobody holds it now any more */
    }
    *asked += c.s.asked + c.visits / VISITS_PER_ASKED;
    return c.best;
}

struct fit_node *fit_tree_find_signed(const struct fit_tree *t,
                                      struct fit_key from,
                                      const struct fit_signature *wanted)
{
    struct search s = {.from = from, .signature = *wanted};

    ASSERT(!t->in_order);
    return find_below(&s, t->root);
}

struct fit_node *fit_tree_find_need(const struct fit_tree *needs,
                                    struct fit_key from,
                                    const struct fit_tree *room)
{
    struct search s = {.from = from};

    ASSERT(needs->of_needs && !room->of_needs);
    if (room->root == NULL)
        return NULL;
    s.signature = room->root->all;
    turn(&s.signature);
    return find_below(&s, needs->root);
}
