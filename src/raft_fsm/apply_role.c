/* apply_role.c - roles are set and removed (docs/spec/12-roles.md). */
#include "raft_fsm/apply.h"

#include "base/limits.h"
#include "base/mem.h"

#include <string.h>

/* The lowest number that no role has; 0 is kept for `default`. */
static uint32_t free_id(const struct state *s)
{
    uint32_t id = 1;

    while (id < LIMIT_ROLES && s->roles_by_id[id] != NULL)
        id++;
    return id;
}

/* ---- what is guaranteed is there ---- */

/* All that agents have which may come back. */
static void sum_capacity(const struct state *s, struct use *all)
{
    struct agent *a;

    RB_FOREACH (a, agent_tree, (struct agent_tree *)&s->agents) {
        if (a->state == AGENT_GONE)
            continue;
        for (int k = 0; k < RESOURCE_KINDS; k++)
            all->amount[k] += a->capacity.amount[k];
        for (size_t i = 0; i < a->extras.custom.count; i++)
            custom_resources_take(&all->custom, &a->extras.custom.items[i]);
    }
}

static void sum_bound(struct use *all, const struct role_bound *b)
{
    for (int k = 0; k < RESOURCE_KINDS; k++)
        all->amount[k] += b->amount.amount[k];
    for (size_t i = 0; i < b->custom.count; i++)
        custom_resources_take(&all->custom, &b->custom.items[i]);
}

/* True if all minima are there at the same time, with those of `spec` instead of those of
 * `role`. */
static bool minima_are_there(const struct state *s,
                             const struct role *role,
                             const struct role_spec *spec)
{
    struct use capacity = {0}, minima = {0};
    bool there = true;
    struct role *r;

    sum_capacity(s, &capacity);
    sum_bound(&minima, &spec->min);
    RB_FOREACH (r, role_tree, (struct role_tree *)&s->roles)
        if (r != role && r->is_set)
            sum_bound(&minima, &r->spec.min);
    for (int k = 0; k < RESOURCE_KINDS; k++)
        there = there && minima.amount[k] <= capacity.amount[k];
    for (size_t i = 0; i < minima.custom.count; i++)
        there = there && minima.custom.items[i].amount <=
                             custom_resources_amount(&capacity.custom,
                                                     minima.custom.items[i].name);
    use_finish(&capacity);
    use_finish(&minima);
    return there;
}

static bool bounds_are_less(const struct role_bound *a, const struct role_bound *b)
{
    if (!resources_contain(&b->amount, &a->amount))
        return false;
    for (size_t i = 0; i < a->custom.count; i++)
        if (a->custom.items[i].amount >
            custom_resources_amount(&b->custom, a->custom.items[i].name))
            return false;
    return true;
}

/* ---- commands ---- */

static void take_spec(struct role *r, struct role_spec *spec)
{
    role_spec_finish(&r->spec);
    r->spec = *spec;
    *spec = (struct role_spec){0};
}

static void role_add(struct apply *a, const char *name, struct role_spec *spec)
{
    struct role *r = role_get(&a->state->roles, name);

    r->id = strcmp(name, ROLE_DEFAULT) == 0 ? 0 : free_id(a->state);
    take_spec(r, spec);
    state_add(a->state, object_role(r));
    apply_effect(a, EFFECT_ROLE, r->id, 0);
}

static struct result set(struct apply *a, const struct role_change *c)
{
    struct role *r = state_role(a->state, c->name);
    struct role_spec spec;
    struct result result = result_done(a, 0);

    if (r == NULL && free_id(a->state) == LIMIT_ROLES)
        return result_rejected(ERROR_BUSY);
    if (r == NULL)
        role_spec_init(&spec);
    else
        role_spec_copy(&spec, &r->spec);
    role_change_apply(c, &spec);
    if (role_spec_check(&spec, NULL) != 0)
        result = result_rejected(ERROR_INVALID);
    else if ((r == NULL || !bounds_are_less(&spec.min, &r->spec.min)) &&
             !minima_are_there(a->state, r, &spec))
        result = result_rejected(ERROR_CONFLICT);
    else if (r == NULL || !r->is_set)
        role_add(a, c->name, &spec);
    else if (!role_spec_equal(&spec, &r->spec)) {
        state_edit(a->state, object_role(r));
        take_spec(r, &spec);
        state_edited(a->state, object_role(r));
        apply_effect(a, EFFECT_ROLE, r->id, 0);
    }
    role_spec_finish(&spec);
    return result;
}

struct result apply_role_set(struct apply *a, const struct command *c)
{
    struct role_change change;
    struct result result;
    int rc = role_change_unpack(&change, c->role_set.change, NULL);

    if (rc != 0)
        return result_rejected(-rc);
    a->work += a->state->agent_count / 16;
    result = set(a, &change);
    role_change_finish(&change);
    return result;
}

struct result apply_role_remove(struct apply *a, const struct command *c)
{
    char name[LIMIT_ROLE_BYTES + 1] = {0};
    struct role *r;
    uint32_t id;

    memcpy(name, c->role_remove.name.data, c->role_remove.name.size);
    r = state_role(a->state, name);
    if (r == NULL)
        return result_rejected(ERROR_NOT_FOUND);
    if (r->id == 0 || r->open > 0)
        return result_rejected(ERROR_CONFLICT);
    id = r->id;
    state_remove(a->state, object_role(r));
    apply_effect(a, EFFECT_ROLE, id, 0);
    return result_done(a, 0);
}
