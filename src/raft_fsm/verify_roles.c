/* verify_roles.c - what must hold of roles and owners, from scratch.
 *
 * All attempts of a job hold the same, so use is a sum over jobs.  It is computed again in a
 * list of the owners beside the state, which is only read.
 */
#include "raft_fsm/verify.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"

#include <inttypes.h>
#include <stdlib.h>

struct found {
    const struct owner *owner;
    struct use use, ending;
    uint64_t jobs, open;
};

struct list {
    struct found *items; /* in order of the addresses of their owners */
    size_t count, room;
};

static int by_address(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)((const struct found *)a)->owner;
    uintptr_t y = (uintptr_t)((const struct found *)b)->owner;

    return (x > y) - (x < y);
}

static void list_owners(const struct state *s, struct list *l)
{
    struct role *r;
    struct owner *o;

    RB_FOREACH (r, role_tree, (struct role_tree *)&s->roles) {
        RB_FOREACH (o, owner_tree, &r->owners) {
            MEM_GROW(l->items, l->room, l->count + 1);
            l->items[l->count++] = (struct found){.owner = o};
        }
    }
    if (l->count > 0)
        qsort(l->items, l->count, sizeof(*l->items), by_address);
}

static struct found *found(const struct list *l, const struct owner *o)
{
    struct found wanted = {.owner = o};

    if (l->count == 0)
        return NULL;
    return bsearch(&wanted, l->items, l->count, sizeof(wanted), by_address);
}

static int sum_jobs(const struct state *s, struct list *l, struct error *err)
{
    struct job *j;

    STATE_FOREACH_JOB (j, s) {
        struct found *f = found(l, j->owner);

        RULE(f != NULL, "job %" PRIu64 " has an owner that is not there", j->id);
        RULE(!job_has_role(j) || role_exists(j->owner->role),
             "job %" PRIu64 " has a role that is not there",
             j->id);
        f->jobs++;
        f->open += job_has_role(j);
        for (uint32_t i = 0; i < j->attempts; i++)
            use_take(&f->use, j);
        use_take_many(&f->ending, j, job_ending(j));
    }
    return 0;
}

static int check_owners(const struct role *r, const struct list *l, struct error *err)
{
    struct use use = {0}, ending = {0};
    uint64_t open = 0;
    struct owner *o;
    int rc = 0;

    RB_FOREACH (o, owner_tree, (struct owner_tree *)&r->owners) {
        const struct found *f = found(l, o);

        if (f->jobs == 0 || f->jobs != o->jobs || o->role != r ||
            !use_equal(&f->use, &o->use))
            rc = error_set(err,
                           ERROR_CORRUPT,
                           "owner '%s' of role %s: jobs or use are not as counted",
                           o->name,
                           r->name);
        use_add_all(&use, &o->use);
        use_add_all(&ending, &f->ending);
        open += f->open;
    }
    if (rc == 0 && (open != r->open || !use_equal(&use, &r->use) ||
                    !use_equal(&ending, &r->ending)))
        rc = error_set(err,
                       ERROR_CORRUPT,
                       "role %s: jobs or use are not those of its owners",
                       r->name);
    use_finish(&use);
    use_finish(&ending);
    return rc;
}

static int check_role(const struct state *s, const struct role *r, struct error *err)
{
    bool is_default = state_role(s, ROLE_DEFAULT) == r;
    struct error why;

    RULE(role_name_valid(text_view(r->name)), "a role has a name that it cannot have");
    RULE(r->is_set || is_default || !RB_EMPTY(&r->owners),
         "role %s is remembered by nobody",
         r->name);
    if (!r->is_set)
        return 0;
    RULE((r->id == 0) == is_default && s->roles_by_id[r->id] == r,
         "role %s: its number is wrong",
         r->name);
    RULE(r->changed > 0 && r->changed <= s->globals.changed,
         "role %s: changed in the future",
         r->name);
    RULE(role_spec_check(&r->spec, &why) == 0, "role %s: %s", r->name, why.text);
    return 0;
}

int verify_roles(const struct state *s, struct sums *sums, struct error *err)
{
    struct role *r;

    RB_FOREACH (r, role_tree, (struct role_tree *)&s->roles) {
        int rc = check_role(s, r, err);

        if (rc != 0)
            return rc;
        sums->roles += r->is_set;
        if (r->is_set)
            sums->digest = hash128_add(sums->digest, hash_of(object_role(r)));
    }
    return 0;
}

static int check_capacity(const struct state *s, struct error *err)
{
    struct use all = {0};
    struct agent *a;
    bool right;

    RB_FOREACH (a, agent_tree, (struct agent_tree *)&s->agents)
        if (a->state != AGENT_GONE)
            use_add(&all, &a->capacity, &a->extras.custom);
    right = use_equal(&all, &s->capacity);
    use_finish(&all);
    RULE(right, "capacity: not as much as the agents have");
    return 0;
}

int verify_use(const struct state *s, struct error *err)
{
    struct list l = {0};
    struct role *r;
    int rc;

    list_owners(s, &l);
    rc = check_capacity(s, err);
    if (rc == 0)
        rc = sum_jobs(s, &l, err);
    RB_FOREACH (r, role_tree, (struct role_tree *)&s->roles)
        if (rc == 0)
            rc = check_owners(r, &l, err);
    for (size_t i = 0; i < l.count; i++) {
        use_finish(&l.items[i].use);
        use_finish(&l.items[i].ending);
    }
    mem_free(l.items);
    return rc;
}
