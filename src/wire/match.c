/* match.c - which agents a job's tasks may run on: values, bytes, and one condition.
 *
 *     [[attribute, op, [value…], most]…, [attribute, op, [value…], weight]…,
 *      [attribute, weight]…, [job, weight]…]                        four arrays
 */
#include "wire/match.h"

#include "base/mem.h"
#include "base/text.h"
#include "wire/match_value.h"

#include <string.h>

static const char *const OP_NAMES[MATCH_OP_END] = {
#define X(number, name, text) [number] = text,
    MATCH_OPS(X)
#undef X
};

const char *match_op_name(enum match_op op)
{
    return op > 0 && op < MATCH_OP_END ? OP_NAMES[op] : "?";
}

enum match_op match_op_of(const char *name)
{
    for (int op = 1; op < MATCH_OP_END; op++)
        if (strcmp(OP_NAMES[op], name) == 0)
            return (enum match_op)op;
    return (enum match_op)0;
}

/* ---- making and freeing ---- */

void condition_finish(struct condition *c)
{
    mem_free(c->attribute);
    for (size_t i = 0; i < c->count; i++)
        mem_free(c->values[i]);
    mem_free(c->values);
    *c = (struct condition){0};
}

/* Room for so many values, of which none is there yet. */
static void reserve_values(struct condition *c, size_t count)
{
    c->values = count > 0 ? mem_alloc(count * sizeof(*c->values)) : NULL;
    c->count = 0;
}

void condition_copy(struct condition *to, const struct condition *from)
{
    *to = *from;
    to->attribute = mem_strdup(from->attribute);
    reserve_values(to, from->count);
    while (to->count < from->count) {
        to->values[to->count] = mem_strdup(from->values[to->count]);
        to->count++;
    }
}

void match_finish(struct match *m)
{
    for (size_t i = 0; i < m->constraint_count; i++)
        condition_finish(&m->constraints[i]);
    for (size_t i = 0; i < m->affinity_count; i++)
        condition_finish(&m->affinities[i]);
    for (size_t i = 0; i < m->spread_count; i++)
        mem_free(m->spreads[i].attribute);
    for (size_t i = 0; i < m->apart_count; i++)
        mem_free(m->aparts[i].job);
    mem_free(m->constraints);
    mem_free(m->affinities);
    mem_free(m->spreads);
    mem_free(m->aparts);
    *m = (struct match){0};
}

#define ADD(list, count)                                            \
    ((list) = mem_realloc((list), ((count) + 1) * sizeof(*(list))), \
     memset(&(list)[(count)], 0, sizeof(*(list))),                  \
     &(list)[(count)++])

struct condition *match_add_constraint(struct match *m)
{
    return ADD(m->constraints, m->constraint_count);
}

struct condition *match_add_affinity(struct match *m)
{
    return ADD(m->affinities, m->affinity_count);
}

struct spread *match_add_spread(struct match *m)
{
    return ADD(m->spreads, m->spread_count);
}

struct apart *match_add_apart(struct match *m)
{
    return ADD(m->aparts, m->apart_count);
}

void condition_add_value(struct condition *c, char *owned)
{
    c->values = mem_realloc(c->values, (c->count + 1) * sizeof(*c->values));
    c->values[c->count++] = owned;
}

/* ---- bytes ---- */

static void pack_numbered(const struct condition *c, int64_t number, struct buffer *out)
{
    pack_array(out, 4);
    pack_text(out, c->attribute);
    pack_uint(out, c->op);
    pack_array(out, (uint32_t)c->count);
    for (size_t i = 0; i < c->count; i++)
        pack_text(out, c->values[i]);
    pack_int(out, number);
}

void condition_pack(const struct condition *c, struct buffer *out)
{
    pack_numbered(c, c->most, out);
}

static void pack_weighted(const char *text, uint32_t weight, struct buffer *out)
{
    pack_array(out, 2);
    pack_text(out, text);
    pack_uint(out, weight);
}

void match_pack(const struct match *m, struct buffer *out)
{
    pack_array(out, 4);
    pack_array(out, (uint32_t)m->constraint_count);
    for (size_t i = 0; i < m->constraint_count; i++)
        condition_pack(&m->constraints[i], out);
    pack_array(out, (uint32_t)m->affinity_count);
    for (size_t i = 0; i < m->affinity_count; i++)
        pack_numbered(&m->affinities[i], m->affinities[i].weight, out);
    pack_array(out, (uint32_t)m->spread_count);
    for (size_t i = 0; i < m->spread_count; i++)
        pack_weighted(m->spreads[i].attribute, m->spreads[i].weight, out);
    pack_array(out, (uint32_t)m->apart_count);
    for (size_t i = 0; i < m->apart_count; i++)
        pack_weighted(m->aparts[i].job, m->aparts[i].weight, out);
}

static uint32_t enter_list(struct unpack *u, uint32_t most)
{
    uint32_t n = unpack_enter(u);

    if (n > most)
        unpack_fail(u, "more constraints, or their like, than the limit");
    return n;
}

static int64_t unpack_condition(struct condition *c, struct unpack *u)
{
    int64_t number;
    uint32_t n;

    unpack_enter(u);
    c->attribute = text_copy(unpack_text(u, LIMIT_ATTRIBUTE_BYTES));
    c->op = (enum match_op)unpack_uint_max(u, MATCH_OP_END);
    n = enter_list(u, LIMIT_CONDITION_VALUES);
    reserve_values(c, unpack_ok(u) ? n : 0);
    while (c->count < n && unpack_ok(u))
        c->values[c->count++] = text_copy(unpack_text(u, LIMIT_ATTRIBUTE_BYTES));
    unpack_leave_known(u);
    number = unpack_int_range(u, INT32_MIN, INT32_MAX);
    unpack_leave_known(u);
    return number;
}

/* Its text. */
static char *unpack_weighted(uint32_t *weight, size_t most, struct unpack *u)
{
    char *text;

    unpack_enter(u);
    text = text_copy(unpack_text(u, most));
    *weight = (uint32_t)unpack_uint_max(u, UINT32_MAX);
    unpack_leave_known(u);
    return text;
}

void match_unpack(struct match *m, struct unpack *u)
{
    uint32_t n;

    unpack_enter(u);
    n = enter_list(u, LIMIT_CONSTRAINTS);
    for (uint32_t i = 0; i < n && unpack_ok(u); i++) {
        struct condition *c = match_add_constraint(m);

        c->most = (uint32_t)unpack_condition(c, u);
    }
    unpack_leave_known(u);
    n = enter_list(u, LIMIT_AFFINITIES);
    for (uint32_t i = 0; i < n && unpack_ok(u); i++) {
        struct condition *c = match_add_affinity(m);

        c->weight = (int32_t)unpack_condition(c, u);
    }
    unpack_leave_known(u);
    n = enter_list(u, LIMIT_SPREADS);
    for (uint32_t i = 0; i < n && unpack_ok(u); i++) {
        struct spread *s = match_add_spread(m);

        s->attribute = unpack_weighted(&s->weight, LIMIT_ATTRIBUTE_BYTES, u);
    }
    unpack_leave_known(u);
    n = enter_list(u, LIMIT_APARTS);
    for (uint32_t i = 0; i < n && unpack_ok(u); i++) {
        struct apart *a = match_add_apart(m);

        a->job = unpack_weighted(&a->weight, LIMIT_NAME_BYTES, u);
    }
    unpack_leave_known(u);
    unpack_leave_known(u);
}

bool match_bytes_distinct(struct bytes packed)
{
    bool found = false;
    struct unpack u;
    uint32_t n;

    if (packed.size == 0)
        return false;
    unpack_init(&u, packed);
    unpack_enter(&u);
    n = unpack_enter(&u);
    for (uint32_t i = 0; i < n && !found; i++) {
        unpack_enter(&u);
        unpack_skip(&u);
        found = unpack_uint(&u) == MATCH_DISTINCT;
        unpack_leave(&u);
    }
    return found;
}

/* ---- one condition ---- */

static bool is_listed(const struct condition *c, const char *value)
{
    for (size_t i = 0; i < c->count; i++)
        if (strcmp(c->values[i], value) == 0)
            return true;
    return false;
}

bool condition_holds(const struct condition *c,
                     const char *value,
                     const struct regexp *re,
                     unsigned *steps)
{
    bool is_number;

    if (value == NULL)
        return c->op == MATCH_NOT_EQUAL || c->op == MATCH_NOT_IN ||
               c->op == MATCH_IS_NOT_SET;
    is_number =
        c->op >= MATCH_LESS && c->op <= MATCH_AT_LEAST && number_is_valid(value);
    switch (c->op) {
    case MATCH_EQUAL:
    case MATCH_IN:
        return is_listed(c, value);
    case MATCH_NOT_EQUAL:
    case MATCH_NOT_IN:
        return !is_listed(c, value);
    case MATCH_LESS:
        return is_number && number_compare(value, c->values[0]) < 0;
    case MATCH_AT_MOST:
        return is_number && number_compare(value, c->values[0]) <= 0;
    case MATCH_MORE:
        return is_number && number_compare(value, c->values[0]) > 0;
    case MATCH_AT_LEAST:
        return is_number && number_compare(value, c->values[0]) >= 0;
    case MATCH_REGEXP:
        return re != NULL && regexp_finds(re, value, steps);
    case MATCH_VERSION:
        return version_is_in(value, c->values[0]);
    case MATCH_IS_SET:
        return true;
    case MATCH_IS_NOT_SET:
    case MATCH_DISTINCT:
    case MATCH_OP_END:
        break;
    }
    return false;
}
