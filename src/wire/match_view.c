/* match_view.c - a packed struct match, read in place. */
#include "wire/match_view.h"

#include "base/assert.h"

#include <string.h>

static void view_condition(struct condition_view *v, struct unpack *u)
{
    const uint8_t *begin;

    unpack_enter(u);
    begin = u->at;
    v->attribute = unpack_bytes(u, LIMIT_ATTRIBUTE_BYTES);
    v->op = (enum match_op)unpack_uint(u);
    v->count = unpack_enter(u);
    unpack_leave(u);
    v->of = (struct bytes){begin, (size_t)(u->at - begin)};
    v->number = unpack_int(u);
    unpack_leave(u);
}

static size_t
view_conditions(struct condition_view *list, size_t most, struct unpack *u)
{
    size_t n = unpack_enter(u);

    ASSERT(n <= most);
    for (size_t i = 0; i < n; i++)
        view_condition(&list[i], u);
    unpack_leave(u);
    return n;
}

static size_t view_weighted(struct weighted_view *list, size_t most, struct unpack *u)
{
    size_t n = unpack_enter(u);

    ASSERT(n <= most);
    for (size_t i = 0; i < n; i++) {
        unpack_enter(u);
        list[i].name = unpack_bytes(u, LIMIT_ATTRIBUTE_BYTES + LIMIT_NAME_BYTES);
        list[i].weight = (uint32_t)unpack_uint(u);
        unpack_leave(u);
    }
    unpack_leave(u);
    return n;
}

void match_view(struct match_view *v, struct bytes packed)
{
    struct unpack u;

    unpack_init(&u, packed);
    unpack_enter(&u);
    v->constraint_count = view_conditions(v->constraints, LIMIT_CONSTRAINTS, &u);
    v->affinity_count = view_conditions(v->affinities, LIMIT_AFFINITIES, &u);
    v->spread_count = view_weighted(v->spreads, LIMIT_SPREADS, &u);
    v->apart_count = view_weighted(v->aparts, LIMIT_APARTS, &u);
    unpack_leave(&u);
    ASSERT(unpack_ok(&u));
}

/* Each text has a byte before it at least, which its end takes. */
size_t condition_room(const struct condition_view *v)
{
    return v->count * sizeof(char *) + v->of.size;
}

static char *lay_text(struct bytes text, char **room)
{
    char *at = *room;

    memcpy(at, text.data, text.size);
    at[text.size] = '\0';
    *room = at + text.size + 1;
    return at;
}

void condition_lay(struct condition *c, const struct condition_view *v, void *room)
{
    char *texts;
    struct unpack u;

    *c = (struct condition){.op = v->op, .values = room, .count = v->count};
    texts = (char *)(c->values + c->count);
    unpack_init(&u, v->of);
    c->attribute = lay_text(unpack_bytes(&u, LIMIT_ATTRIBUTE_BYTES), &texts);
    unpack_skip(&u);
    unpack_enter(&u);
    for (size_t i = 0; i < c->count; i++)
        c->values[i] = lay_text(unpack_bytes(&u, LIMIT_ATTRIBUTE_BYTES), &texts);
    unpack_leave(&u);
    ASSERT(unpack_ok(&u) && texts <= (char *)room + condition_room(v));
}
