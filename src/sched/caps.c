/* caps.c - which part of the maximum of its role holds a shape back. */
#include "sched/caps.h"

#include "base/hash.h"
#include "base/text.h"

#include <string.h>

/* Kinds have their own numbers, names share the rest. */
static unsigned number_of(const char *name)
{
    return RESOURCE_KINDS +
           (unsigned)(hash128_of(text_view(name)).low % (FIT_NUMBERS - RESOURCE_KINDS));
}

static struct fit_signature sign(unsigned number, uint64_t amount)
{
    struct fit_signature s = {.set = fit_set_all()};

    s.numbers.of[number] = fit_number_of_need(amount);
    return s;
}

bool cap_of(const struct bound_room *room,
            const struct role_bound *max,
            const struct demand *d,
            struct fit_signature *cap)
{
    for (unsigned k = 0; k < RESOURCE_KINDS; k++) {
        uint64_t need = d->need.amount[k] * d->at_once; /* up to 2^63 */

        if (need <= room->kind[k])
            continue;
        *cap = sign(k, need);
        return true;
    }
    for (size_t i = 0; d->extras != NULL && i < max->custom.count; i++) {
        const char *name = max->custom.items[i].name;
        uint64_t need = custom_resources_amount(&d->extras->custom, name) * d->at_once;

        if (need <= room->custom[i])
            continue;
        *cap = sign(number_of(name), need);
        return true;
    }
    return false;
}

struct caps_wanted caps_wanted(const struct bound_room *room,
                               const struct role_bound *max)
{
    struct caps_wanted w = {.count = 0};

    for (unsigned k = 0; k < RESOURCE_KINDS; k++)
        if ((max->kinds & 1u << k) != 0)
            w.of[w.count++] = sign(k, room->kind[k]);
    for (size_t i = 0; i < max->custom.count; i++)
        w.of[w.count++] = sign(number_of(max->custom.items[i].name), room->custom[i]);
    return w;
}

struct caps_wanted caps_all(void)
{
    return (struct caps_wanted){.of = {{.set = fit_set_all()}}, .count = 1};
}

struct fit_node *caps_find(const struct fit_tree *capped,
                           struct fit_key from,
                           const struct caps_wanted *wanted)
{
    struct fit_node *first = NULL;

    for (unsigned i = 0; i < wanted->count; i++) {
        struct fit_node *n = fit_tree_find_signed(capped, from, &wanted->of[i]);

        if (n != NULL && (first == NULL || fit_key_compare(&n->key, &first->key) < 0))
            first = n;
    }
    return first;
}
