/* custom.c - resources that are not built in. */
#include "wire/custom.h"

#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "wire/resources.h"

#include <string.h>

void custom_resources_finish(struct custom_resources *c)
{
    for (size_t i = 0; i < c->count; i++)
        mem_free(c->items[i].name);
    mem_free(c->items);
    *c = (struct custom_resources){0};
}

void custom_resources_add(struct custom_resources *c, const char *name, uint64_t amount)
{
    size_t i = c->count++;

    c->items = mem_realloc(c->items, c->count * sizeof(*c->items));
    for (; i > 0 && strcmp(c->items[i - 1].name, name) > 0; i--)
        c->items[i] = c->items[i - 1];
    c->items[i] = (struct custom_resource){mem_strdup(name), amount};
}

struct custom_resource *custom_resources_find(const struct custom_resources *c,
                                              const char *name)
{
    for (size_t i = 0; i < c->count; i++)
        if (strcmp(c->items[i].name, name) == 0)
            return &c->items[i];
    return NULL;
}

uint64_t custom_resources_amount(const struct custom_resources *c, const char *name)
{
    const struct custom_resource *r = custom_resources_find(c, name);

    return r == NULL ? 0 : r->amount;
}

void custom_resources_copy(struct custom_resources *to,
                           const struct custom_resources *from)
{
    *to = (struct custom_resources){0};
    for (size_t i = 0; i < from->count; i++)
        custom_resources_add(to, from->items[i].name, from->items[i].amount);
}

int custom_resources_compare(const struct custom_resources *a,
                             const struct custom_resources *b)
{
    for (size_t i = 0; i < a->count && i < b->count; i++) {
        int order = strcmp(a->items[i].name, b->items[i].name);

        if (order != 0)
            return order;
        if (a->items[i].amount != b->items[i].amount)
            return a->items[i].amount < b->items[i].amount ? -1 : 1;
    }
    return (a->count > b->count) - (a->count < b->count);
}

void custom_resources_give(struct custom_resources *c, const struct custom_resource *r)
{
    struct custom_resource *known = custom_resources_find(c, r->name);

    ASSERT(known != NULL && known->amount >= r->amount);
    known->amount -= r->amount;
    if (known->amount > 0)
        return;
    mem_free(known->name);
    c->count--;
    memmove(known, known + 1, (c->count - (size_t)(known - c->items)) * sizeof(*known));
}

void custom_resources_take(struct custom_resources *c, const struct custom_resource *r)
{
    struct custom_resource *known = custom_resources_find(c, r->name);

    if (known == NULL)
        custom_resources_add(c, r->name, r->amount);
    else
        known->amount += r->amount;
}

static bool is_built_in(const char *name)
{
    for (enum resource_kind k = 0; k < RESOURCE_KINDS; k++)
        if (strcmp(resource_name(k), name) == 0)
            return true;
    return strcmp(name, "ports") == 0 || strcmp(name, "custom") == 0;
}

/* None of the built-in kinds may be one. */
static bool is_name(const char *name)
{
    static const char allowed[] =
        "-_.0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    size_t size = strlen(name);

    return size > 0 && size <= LIMIT_CUSTOM_BYTES && strspn(name, allowed) == size &&
           !is_built_in(name);
}

int custom_resources_check(const struct custom_resources *c, struct error *err)
{
    if (c->count > LIMIT_CUSTOM)
        return error_set(err,
                         ERROR_TOO_LARGE,
                         "custom: %zu resources; the most is %d",
                         c->count,
                         LIMIT_CUSTOM);
    for (size_t i = 0; i < c->count; i++) {
        const struct custom_resource *r = &c->items[i];
        int order = i == 0 ? -1 : strcmp(r[-1].name, r->name);

        if (!is_name(r->name))
            return error_set(err,
                             ERROR_INVALID,
                             "custom: '%.40s' is no name of a resource; give 1 to %d "
                             "letters, digits, '-', '_' or '.', and none that is "
                             "built in",
                             r->name,
                             LIMIT_CUSTOM_BYTES);
        if (order >= 0)
            return error_set(err,
                             ERROR_INVALID,
                             "custom: %s is %s",
                             r->name,
                             order == 0 ? "given twice" : "not in order of the names");
        if (r->amount == 0 || r->amount > LIMIT_RESOURCE)
            return error_set(err,
                             ERROR_INVALID,
                             "custom: %s: give an amount above 0, with at most three "
                             "decimals",
                             r->name);
    }
    return 0;
}

void custom_resources_pack(const struct custom_resources *c, struct buffer *out)
{
    pack_array(out, (uint32_t)c->count);
    for (size_t i = 0; i < c->count; i++) {
        pack_array(out, 2);
        pack_text(out, c->items[i].name);
        pack_uint(out, c->items[i].amount);
    }
}

void custom_resources_unpack(struct custom_resources *c, struct unpack *u)
{
    uint32_t n = unpack_enter(u);

    if (n > LIMIT_CUSTOM)
        unpack_fail(u, "more custom resources than the limit");
    else if (n > 0)
        c->items = mem_zalloc(n * sizeof(*c->items));
    for (uint32_t i = 0; i < n && unpack_ok(u); i++) {
        struct custom_resource *r = &c->items[c->count++];

        unpack_enter(u);
        r->name = text_copy(unpack_text(u, LIMIT_CUSTOM_BYTES));
        r->amount = unpack_uint(u);
        unpack_leave(u);
    }
    unpack_leave(u);
}
