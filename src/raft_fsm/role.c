/* role.c - roles, the owners of jobs in them, and what each of them uses. */
#include "raft_fsm/role.h"

#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"
#include "raft_fsm/state.h"

#include <string.h>

static int owner_by_name(const struct owner *a, const struct owner *b)
{
    return strcmp(a->name, b->name);
}

static int role_by_name(const struct role *a, const struct role *b)
{
    return strcmp(a->name, b->name);
}

RB_GENERATE(owner_tree, owner, by_name, owner_by_name)
RB_GENERATE(role_tree, role, by_name, role_by_name)

/* ---- roles and owners ---- */

static bool is_default(const struct role *r)
{
    return strcmp(r->name, ROLE_DEFAULT) == 0;
}

bool role_exists(const struct role *r)
{
    return r->is_set || is_default(r);
}

static struct role *find(const struct role_tree *roles, const char *name)
{
    struct role wanted = {.name = (char *)name};

    return RB_FIND(role_tree, (struct role_tree *)roles, &wanted);
}

struct role *role_find(const struct role_tree *roles, const char *name)
{
    struct role *r = find(roles, name);

    return r != NULL && role_exists(r) ? r : NULL;
}

struct role *role_get(struct role_tree *roles, const char *name)
{
    struct role *r = find(roles, name);

    if (r != NULL)
        return r;
    r = mem_zalloc(sizeof(*r));
    r->name = mem_strdup(name);
    role_spec_init(&r->spec);
    RB_INIT(&r->owners);
    RB_INSERT(role_tree, roles, r);
    return r;
}

void role_destroy(struct role *r)
{
    ASSERT(RB_EMPTY(&r->owners));
    role_spec_finish(&r->spec);
    use_finish(&r->use);
    use_finish(&r->ending);
    mem_free(r->name);
    mem_free(r);
}

void role_release(struct role_tree *roles, struct role *r)
{
    if (role_exists(r) || !RB_EMPTY(&r->owners))
        return;
    RB_REMOVE(role_tree, roles, r);
    role_destroy(r);
}

struct owner *role_owner(const struct role *r, const char *name)
{
    struct owner wanted = {.name = (char *)name};

    return RB_FIND(owner_tree, (struct owner_tree *)&r->owners, &wanted);
}

struct owner *owner_join(struct role *r, const char *name)
{
    struct owner *o = role_owner(r, name);

    if (o == NULL) {
        o = mem_zalloc(sizeof(*o));
        o->role = r;
        o->name = mem_strdup(name);
        RB_INSERT(owner_tree, &r->owners, o);
    }
    o->jobs++;
    return o;
}

void owner_leave(struct role_tree *roles, struct owner *o)
{
    struct role *r = o->role;

    ASSERT(o->jobs > 0);
    if (--o->jobs > 0)
        return;
    RB_REMOVE(owner_tree, &r->owners, o);
    use_finish(&o->use);
    mem_free(o->name);
    mem_free(o);
    role_release(roles, r);
}

void owner_take(struct owner *o, const struct job *j)
{
    use_take(&o->use, j);
    use_take(&o->role->use, j);
}

void owner_give(struct owner *o, const struct job *j)
{
    use_give(&o->use, j);
    use_give(&o->role->use, j);
}

void role_ending_add(struct role *r, const struct job *j, uint32_t attempts)
{
    use_take_many(&r->ending, j, attempts);
}

void role_ending_subtract(struct role *r, const struct job *j, uint32_t attempts)
{
    use_give_many(&r->ending, j, attempts);
}

/* ---- the minimum ---- */

bool role_is_owed(const struct role_spec *spec,
                  const struct use *used,
                  const struct use *planned)
{
    const struct role_bound *min = &spec->min;

    for (int k = 0; k < RESOURCE_KINDS; k++)
        if ((min->kinds & 1u << k) != 0 &&
            used->amount[k] + planned->amount[k] >= min->amount.amount[k])
            return false;
    for (size_t i = 0; i < min->custom.count; i++) {
        const struct custom_resource *r = &min->custom.items[i];

        if (use_of(used, r->name) + use_of(planned, r->name) >= r->amount)
            return false;
    }
    return min->kinds != 0;
}

/* ---- the maximum ---- */

static uint64_t left(uint64_t most, unsigned __int128 used)
{
    return used < most ? most - (uint64_t)used : 0;
}

struct bound_room bound_room(const struct role_bound *max, const struct use *used)
{
    struct bound_room room = {{0}, {0}};

    for (int k = 0; k < RESOURCE_KINDS; k++)
        room.kind[k] = (max->kinds & 1u << k) == 0
                           ? LIMIT_RESOURCE
                           : left(max->amount.amount[k], used->amount[k]);
    for (size_t i = 0; i < max->custom.count; i++)
        room.custom[i] =
            left(max->custom.items[i].amount, use_of(used, max->custom.items[i].name));
    return room;
}

void bound_room_take(struct bound_room *room,
                     const struct role_bound *max,
                     const struct job *j)
{
    for (int k = 0; k < RESOURCE_KINDS; k++)
        if ((max->kinds & 1u << k) != 0)
            room->kind[k] -= j->resources.amount[k];
    for (size_t i = 0; i < max->custom.count; i++)
        room->custom[i] -=
            custom_resources_amount(job_custom(j), max->custom.items[i].name);
}

static bool custom_has_room(const struct role_bound *max,
                            const struct use *used,
                            const struct custom_resource *need,
                            uint32_t tasks)
{
    uint64_t most = custom_resources_amount(&max->custom, need->name);

    return most == 0 || need->amount <= left(most, use_of(used, need->name)) / tasks;
}

bool bound_has_room(const struct role_bound *max,
                    const struct use *used,
                    const struct job *j,
                    uint32_t tasks)
{
    const struct custom_resources *custom = job_custom(j);

    for (int k = 0; k < RESOURCE_KINDS; k++)
        if ((max->kinds & 1u << k) != 0 &&
            j->resources.amount[k] >
                left(max->amount.amount[k], used->amount[k]) / tasks)
            return false;
    for (size_t i = 0; i < custom->count && max->custom.count > 0; i++)
        if (!custom_has_room(max, used, &custom->items[i], tasks))
            return false;
    return true;
}
