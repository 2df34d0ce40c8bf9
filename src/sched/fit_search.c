/* fit_search.c - an ordered set of resource vectors: the first one, or the best, that fits. */
#include "sched/fit_page.h"

#include "base/assert.h"

#include <string.h>

struct search {
    struct fit_key from;
    const struct fit_need *need; /* NULL: the signature is enough */
    uint64_t number;
    struct fit_signature signature;
    unsigned asked;
};

static struct search
search_for(const struct fit_tree *t, struct fit_key from, const struct fit_need *need)
{
    ASSERT(!t->of_needs && !t->in_order);
    return (struct search){.from = from,
                           .need = need,
                           .number = need->number,
                           .signature =
                               fit_sign(t, need->vector, need->bits, fit_set_all())};
}

/* ---- entries ---- */

static unsigned first_of(unsigned bits)
{
    return (unsigned)__builtin_ctz(bits);
}

static unsigned last_of(unsigned bits)
{
    return 31 - (unsigned)__builtin_clz(bits);
}

/* Of entries, a bit each. */
_Static_assert(FIT_PAGE_MOST < 32, "the bits are those of an unsigned");

static const struct fit_set *open_row(const struct search *s, const struct fit_page *p)
{
    return s->number != 0 ? p->open : p->set;
}

static unsigned meeting_one(const struct fit_set row[FIT_PAGE_MOST],
                            const struct fit_set *set)
{
    unsigned met = 0;

    for (unsigned i = 0; i < FIT_PAGE_MOST; i++)
        met |= (unsigned)fit_sets_meet(&row[i], set) << i;
    return met;
}

/* Entries from `first` on in which somebody who is not refused has one of each set that is asked
 * for: a bit for each. */
static unsigned
meeting(const struct search *s, const struct fit_page *p, unsigned first)
{
    const struct fit_set *row = open_row(s, p);
    unsigned met = meeting_one(row, &s->signature.set);

    for (size_t i = 0; s->need != NULL && i < s->need->set_count; i++)
        met &= meeting_one(row, &s->need->sets[i]);
    return met & ((1u << p->count) - (1u << first));
}

/* Nobody is refused yet in a page that a search of this number did not see. */
static void enter(const struct search *s, struct fit_page *p)
{
    if (s->number == 0 || p->search == s->number)
        return;
    p->search = s->number;
    memcpy(p->open, p->set, sizeof(p->open));
}

/* Of one that is meeting. */
static bool may_hold(const struct search *s, const struct fit_page *p, unsigned i)
{
    return fit_reaches(&p->numbers[i], &s->signature.numbers) &&
           (s->signature.bits & ~p->bits[i]) == 0;
}

/* Something in the page below an entry may be refused since. */
static void tell_refused(const struct search *s, struct fit_page *p, unsigned i)
{
    const struct fit_page *below = p->below[i].page;
    struct fit_set set = {{0}};

    if (s->number == 0)
        return;
    for (unsigned b = 0; b < below->count; b++)
        fit_set_join(&set, &below->open[b]);
    p->open[i] = set;
}

static enum fit_answer answer(struct search *s, struct fit_node *n)
{
    if (s->number != 0 && n->refused == s->number)
        return FIT_NEVER;
    if ((s->need->bits & ~n->bits) != 0 ||
        !resources_contain(&n->vector, s->need->vector))
        return FIT_NEVER;
    if (s->need->holds == NULL)
        return FIT_HOLDS;
    s->asked++;
    return s->need->holds(n->owner, s->need->context);
}

/* Whether a node does that may. */
static bool fits(struct search *s, struct fit_page *p, unsigned i)
{
    struct fit_node *n = p->below[i].node;
    enum fit_answer found;

    if (s->need == NULL)
        return true;
    found = answer(s, n);
    if (found == FIT_NEVER && s->number != 0) {
        n->refused = s->number;
        p->open[i] = (struct fit_set){{0}};
    }
    return found == FIT_HOLDS;
}

/* ---- the first ---- */

static struct fit_node *find_below(struct search *s, struct fit_page *p)
{
    struct fit_node *found;
    unsigned left, i;

    enter(s, p);
    left = meeting(s, p, fit_page_begin(p, s->from));
    for (; left != 0; left &= left - 1) {
        i = first_of(left);
        if (!may_hold(s, p, i))
            continue;
        if (p->level == 0) {
            if (fits(s, p, i))
                return p->below[i].node;
            continue;
        }
        found = find_below(s, p->below[i].page);
        tell_refused(s, p, i);
        if (found != NULL)
            return found;
    }
    return NULL;
}

static struct fit_node *find(const struct fit_tree *t, struct search *s)
{
    return t->root == NULL ? NULL : find_below(s, t->root);
}

struct fit_node *fit_tree_find(const struct fit_tree *t,
                               struct fit_key from,
                               const struct fit_need *need,
                               unsigned *asked)
{
    struct search s = search_for(t, from, need);
    struct fit_node *found = find(t, &s);

    if (asked != NULL)
        *asked += s.asked;
    return found;
}

struct fit_node *fit_tree_find_signed(const struct fit_tree *t,
                                      struct fit_key from,
                                      const struct fit_signature *wanted)
{
    struct search s = {.from = from, .signature = *wanted};

    ASSERT(!t->in_order);
    return find(t, &s);
}

struct fit_node *fit_tree_find_need(const struct fit_tree *needs,
                                    struct fit_key from,
                                    const struct fit_tree *room)
{
    struct search s = {.from = from};

    ASSERT(needs->of_needs && !room->of_needs);
    if (room->root == NULL)
        return NULL;
    s.signature = fit_page_all(room->root);
    fit_turn(&s.signature);
    return find(needs, &s);
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

static void compete(struct contest *c, struct fit_page *p, unsigned i)
{
    struct fit_node *n = p->below[i].node;
    uint64_t score;

    if (!fits(&c->s, p, i))
        return;
    score = c->wish->score(n->owner, n->key.first, c->wish->context);
    if (score <= c->score)
        return;
    c->score = score;
    c->best = n;
}

/* The best key.first that anything in an entry may have, `last` being that of its page. */
static uint64_t
best_first(const struct contest *c, const struct fit_page *p, unsigned i, uint64_t last)
{
    if (!c->wish->from_end || p->level == 0)
        return p->key[i].first;
    return i + 1 < p->count ? p->key[i + 1].first : last;
}

/* From the better end on, so that of equal scores the first is found. */
static void contest_below(struct contest *c, struct fit_page *p, uint64_t last)
{
    const struct fit_wish *w = c->wish;
    unsigned left, i;

    enter(&c->s, p);
    left = meeting(&c->s, p, fit_page_begin(p, c->s.from));
    for (; left != 0; left &= ~(1u << i)) {
        uint64_t first;

        i = w->from_end ? last_of(left) : first_of(left);
        first = best_first(c, p, i, last);
        if (!may_hold(&c->s, p, i) ||
            w->bound(&open_row(&c->s, p)[i], first, w->context) <= c->score)
            continue;
        c->visits++;
        if (p->level == 0) {
            compete(c, p, i);
            continue;
        }
        contest_below(c, p->below[i].page, first);
        tell_refused(&c->s, p, i);
    }
}

/* From the end on the highest key.second comes first: of those that are equal else, the lowest
 * is wanted. */
static struct fit_node *lowest_equal(struct contest *c, struct fit_page *p)
{
    struct fit_node *n;
    unsigned left, i;

    enter(&c->s, p);
    left = meeting(&c->s, p, fit_page_begin(p, c->s.from));
    for (; left != 0; left &= left - 1) {
        i = first_of(left);
        if (p->key[i].first > c->s.from.first)
            break;
        if (!may_hold(&c->s, p, i))
            continue;
        c->visits++;
        if (p->level > 0) {
            n = lowest_equal(c, p->below[i].page);
            if (n != NULL)
                return n;
            continue;
        }
        n = p->below[i].node;
        if (fits(&c->s, p, i) &&
            c->wish->score(n->owner, n->key.first, c->wish->context) == c->score)
            return n;
    }
    return NULL;
}

struct fit_node *fit_tree_best(const struct fit_tree *t,
                               struct fit_key from,
                               const struct fit_need *need,
                               const struct fit_wish *wish,
                               unsigned *asked)
{
    struct contest c = {.s = search_for(t, from, need), .wish = wish};

    if (t->root != NULL)
        contest_below(&c, t->root, UINT64_MAX);
    if (c.best != NULL && wish->from_end) {
        if (c.best->key.first > from.first)
            c.s.from = (struct fit_key){c.best->key.first, 0};
        c.best = lowest_equal(&c, t->root); /* NULL: nobody holds it now any more */
    }
    *asked += c.s.asked + c.visits / VISITS_PER_ASKED;
    return c.best;
}
