/* apply_role.c - roles are set and removed (docs/spec/12-roles.md). */
#include "raft_fsm/apply.h"

#include "base/limits.h"
#include "base/mem.h"

#include <string.h>

#define ROLES_PER_WORK 16 /* whose minimum is read in the time of a small command */

/* The lowest number that no role has; 0 is kept for `default`. */
static uint32_t free_id(const struct state *s)
{
    uint32_t id = 1;

    while (id < LIMIT_ROLES && s->roles_by_id[id] != NULL)
        id++;
    return id;
}

/* ---- what is guaranteed is there ---- */

/* What the minima of all roles but one are together, of a kind. */
static unsigned __int128
promised(const struct state *s, const struct role *but, enum resource_kind k)
{
    unsigned __int128 all = 0;

    for (uint32_t id = 0; id < LIMIT_ROLES; id++)
        if (s->roles_by_id[id] != NULL && s->roles_by_id[id] != but)
            all += s->roles_by_id[id]->spec.min.amount.amount[k];
    return all;
}

static unsigned __int128
promised_custom(const struct state *s, const struct role *but, const char *name)
{
    unsigned __int128 all = 0;

    for (uint32_t id = 0; id < LIMIT_ROLES; id++)
        if (s->roles_by_id[id] != NULL && s->roles_by_id[id] != but)
            all += custom_resources_amount(&s->roles_by_id[id]->spec.min.custom, name);
    return all;
}

/* True if all minima are there at the same time, with `min` instead of that of `role` (NULL:
 * of none).  What does not rise is not looked at: agents that went may have taken some of
 * it. */
static bool
minima_are_there(struct apply *a, const struct role *role, const struct role_bound *min)
{
    static const struct role_bound NONE;
    const struct role_bound *was = role == NULL ? &NONE : &role->spec.min;
    const struct use *capacity = &a->state->capacity;

    for (enum resource_kind k = 0; k < RESOURCE_KINDS; k++) {
        if (min->amount.amount[k] <= was->amount.amount[k])
            continue;
        a->work += a->state->role_count / ROLES_PER_WORK;
        if (promised(a->state, role, k) + min->amount.amount[k] > capacity->amount[k])
            return false;
    }
    for (size_t i = 0; i < min->custom.count; i++) {
        const struct custom_resource *r = &min->custom.items[i];

        if (r->amount <= custom_resources_amount(&was->custom, r->name))
            continue;
        a->work += a->state->role_count / ROLES_PER_WORK;
        if (promised_custom(a->state, role, r->name) + r->amount >
            use_of(capacity, r->name))
            return false;
    }
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
    else if (!minima_are_there(a, r, &spec.min))
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
