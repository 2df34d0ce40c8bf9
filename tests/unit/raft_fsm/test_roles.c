/* test_roles.c - docs/spec/12-roles.md: roles are set and removed, and bound what is
 * placed. */
#include "base/mem.h"
#include "base/text.h"
#include "tests/lib/unit.h"
#include "tests/unit/raft_fsm/fsm_test.h"

#include <stdio.h>
#include <string.h>

static struct fsm f;

/* Two agents with 4 cpus. */
static void setup(void)
{
    fsm_setup(&f);
    ck_done(fsm_register_able(&f, 'a', 4, AGENT_FEATURE_JOBS_2), 1);
    ck_done(fsm_register_able(&f, 'b', 4, AGENT_FEATURE_JOBS_2), 2);
}

static void teardown(void)
{
    fsm_teardown(&f);
}

/* ---- commands ---- */

static struct result set(struct role_change *c)
{
    struct buffer packed = {0};
    struct result r;

    role_change_pack(c, &packed);
    r = fsm_run(&f,
                &(struct command){.kind = COMMAND_ROLE_SET,
                                  .role_set = {buffer_view(&packed)}});
    buffer_finish(&packed);
    return r;
}

static struct result set_weight(const char *name, uint32_t weight)
{
    return set(&(struct role_change){
        .name = (char *)name, .given = ROLE_HAS_WEIGHT, .spec = {.weight = weight}});
}

static struct role_bound cpus(uint64_t whole)
{
    return (struct role_bound){{{whole * 1000}}, 1u << RESOURCE_CPUS, {0}};
}

static struct result set_max(const char *name, uint64_t whole)
{
    return set(&(struct role_change){
        .name = (char *)name, .given = ROLE_HAS_MAX, .spec = {.max = cpus(whole)}});
}

static struct result set_min(const char *name, uint64_t whole)
{
    return set(&(struct role_change){
        .name = (char *)name, .given = ROLE_HAS_MIN, .spec = {.min = cpus(whole)}});
}

static struct result remove_role(const char *name)
{
    return fsm_run(&f,
                   &(struct command){.kind = COMMAND_ROLE_REMOVE,
                                     .role_remove = {text_view(name)}});
}

/* Tasks of one cpu each, if a plan of index `check` holds still. */
static struct result submit_checked(const char *key,
                                    const char *role,
                                    const char *owner,
                                    uint32_t instances,
                                    uint64_t check)
{
    struct job_spec spec;
    struct buffer packed = {0};
    struct result r;

    job_spec_init(&spec);
    spec.name = mem_strdup("a job");
    spec.instances = instances;
    spec.role = mem_strdup(role);
    job_spec_add_arg(&spec, "true");
    job_spec_pack(&spec, &packed);
    job_spec_finish(&spec);
    r = fsm_run(
        &f,
        &(struct command){
            .kind = COMMAND_SUBMIT,
            .submit = {text_view(key), buffer_view(&packed), text_view(owner), check}});
    buffer_finish(&packed);
    return r;
}

static struct result
submit(const char *key, const char *role, const char *owner, uint32_t instances)
{
    return submit_checked(key, role, owner, instances, 0);
}

static const struct role *role(const char *name)
{
    return state_role(f.state, name);
}

static uint64_t used(const char *name)
{
    return (uint64_t)role(name)->use.amount[RESOURCE_CPUS];
}

/* ---- setting ---- */

START_TEST(test_default_is_there_and_becomes_an_object_when_it_is_set)
{
    struct hash128 before = f.state->digest;

    ck_assert_ptr_nonnull(role("default"));
    ck_assert_uint_eq(f.state->role_count, 0);
    ck_done(set_weight("default", 500), 0);
    ck_assert_uint_eq(f.state->role_count, 1);
    ck_assert_uint_eq(role("default")->spec.weight, 500);
    ck_assert_uint_eq(fsm_effects(&f, EFFECT_ROLE, 0), 1);
    ck_assert(!hash128_equal(before, f.state->digest));
}
END_TEST

START_TEST(test_only_what_is_given_changes)
{
    ck_assert_ptr_null(role("batch"));
    ck_done(set_max("batch", 3), 0);
    ck_done(set_weight("batch", 2000), 0);
    ck_assert_uint_eq(role("batch")->spec.max.amount.amount[RESOURCE_CPUS], 3000);
    ck_assert_uint_eq(role("batch")->spec.weight, 2000);
    ck_changes_nothing(&f, ck_done(set_weight("batch", 2000), 0));
    ck_assert_uint_eq(fsm_effects(&f, EFFECT_ROLE, role("batch")->id), 0);
    ck_changes_nothing(&f, ck_rejected(set_min("batch", 4), ERROR_INVALID));
    ck_changes_nothing(&f, ck_rejected(set_weight("batch", 0), ERROR_INVALID));
}
END_TEST

START_TEST(test_what_is_guaranteed_must_be_there)
{
    ck_done(set_min("a", 5), 0);
    ck_changes_nothing(&f, ck_rejected(set_min("b", 4), ERROR_CONFLICT));
    ck_done(set_min("b", 3), 0);
    ck_rejected(set_min("a", 6), ERROR_CONFLICT);
    ck_done(fsm_gone(&f, 2), 2);
    ck_rejected(set_min("c", 1), ERROR_CONFLICT);
    ck_done(set_min("a", 4), 0); /* less than it was */
    ck_done(set_weight("b", 7), 0);
}
END_TEST

START_TEST(test_as_many_roles_as_the_limit)
{
    char name[16];

    for (int i = 1; i < LIMIT_ROLES; i++) {
        snprintf(name, sizeof(name), "r%d", i);
        ck_done(set_weight(name, 1), 0);
    }
    ck_changes_nothing(&f, ck_rejected(set_weight("more", 1), ERROR_BUSY));
    ck_done(set_weight("default", 2), 0);
    ck_done(remove_role("r7"), 0);
    ck_done(set_weight("more", 1), 0);
    ck_assert_uint_eq(role("more")->id, 7);
}
END_TEST

/* ---- jobs in roles ---- */

START_TEST(test_a_job_needs_its_role)
{
    ck_changes_nothing(&f,
                       ck_rejected(submit("k", "batch", "eve", 1), ERROR_NOT_FOUND));
    ck_done(set_weight("batch", 1), 0);
    ck_done(submit("k", "batch", "eve", 1), 1);
    ck_assert_str_eq(state_job(f.state, 1)->owner->name, "eve");
    ck_assert_ptr_eq(state_job(f.state, 1)->owner->role, role("batch"));
    ck_assert_uint_eq(role("batch")->open, 1);
}
END_TEST

START_TEST(test_a_maximum_is_never_passed)
{
    ck_done(set_max("batch", 2), 0);
    ck_done(submit("k", "batch", "eve", 3), 1);
    ck_done(submit("l", "default", "eve", 3), 2);
    ck_done(fsm_place(&f, 1, 0, 1), 1);
    ck_done(fsm_place(&f, 1, 1, 2), 1);
    ck_assert_uint_eq(used("batch"), 2000);
    ck_done(fsm_place(&f, 1, 2, 1), 0);
    ck_done(fsm_place(&f, 2, 0, 1), 1);
    ck_done(fsm_update(&f, 1, 1, TASK_FINISHED), 1);
    ck_done(fsm_place(&f, 1, 2, 1), 1);
    ck_assert_uint_eq(used("batch"), 2000);
}
END_TEST

START_TEST(test_a_maximum_below_the_use_takes_nothing_away)
{
    ck_done(set_max("batch", 3), 0);
    ck_done(submit("k", "batch", NULL, 4), 1);
    for (uint32_t i = 0; i < 3; i++)
        ck_done(fsm_place(&f, 1, i, 1), 1);
    ck_done(set_max("batch", 1), 0);
    ck_assert_uint_eq(used("batch"), 3000);
    ck_done(fsm_update(&f, 1, 1, TASK_FINISHED), 1);
    ck_done(fsm_update(&f, 1, 2, TASK_FINISHED), 1);
    ck_done(fsm_place(&f, 1, 3, 1), 0);
    ck_done(fsm_update(&f, 1, 3, TASK_FINISHED), 1);
    ck_done(fsm_place(&f, 1, 3, 1), 1);
}
END_TEST

START_TEST(test_what_is_superseded_is_still_used)
{
    ck_done(set_max("batch", 1), 0);
    ck_done(submit("k", "batch", "eve", 1), 1);
    ck_done(fsm_place(&f, 1, 0, 1), 1);
    ck_done(fsm_unreachable(&f, 1), 1);
    ck_assert_uint_eq(used("batch"), 1000);
    ck_done(fsm_place(&f, 1, 0, 2), 0);
    ck_done(fsm_gone(&f, 1), 1);
    ck_assert_uint_eq(used("batch"), 0);
    ck_done(fsm_place(&f, 1, 0, 2), 1);
}
END_TEST

START_TEST(test_owners_are_counted_apart)
{
    ck_done(set_weight("batch", 1), 0);
    ck_done(submit("k", "batch", "ann", 2), 1);
    ck_done(submit("l", "batch", "bob", 2), 2);
    ck_done(submit("m", "batch", "ann", 2), 3);
    ck_done(fsm_place(&f, 1, 0, 1), 1);
    ck_done(fsm_place(&f, 3, 0, 1), 1);
    ck_done(fsm_place(&f, 2, 0, 1), 1);
    ck_assert_ptr_eq(state_job(f.state, 1)->owner, state_job(f.state, 3)->owner);
    ck_assert(state_job(f.state, 1)->owner->use.amount[RESOURCE_CPUS] == 2000);
    ck_assert(state_job(f.state, 2)->owner->use.amount[RESOURCE_CPUS] == 1000);
    ck_assert_uint_eq(used("batch"), 3000);
}
END_TEST

/* ---- removing ---- */

START_TEST(test_a_role_with_jobs_stays)
{
    ck_rejected(remove_role("batch"), ERROR_NOT_FOUND);
    ck_changes_nothing(&f, ck_rejected(remove_role("default"), ERROR_CONFLICT));
    ck_done(set_max("batch", 2), 0);
    ck_done(submit("k", "batch", "eve", 1), 1);
    ck_changes_nothing(&f, ck_rejected(remove_role("batch"), ERROR_CONFLICT));
    ck_done(fsm_kill(&f, 1), 1);
    ck_done(remove_role("batch"), 0);
    ck_assert_ptr_null(role("batch"));
    ck_assert_uint_eq(f.state->role_count, 0);
    ck_assert_uint_eq(state_job(f.state, 1)->owner->role->spec.max.kinds, 0);
    ck_rejected(submit("l", "batch", "eve", 1), ERROR_NOT_FOUND);
}
END_TEST

START_TEST(test_a_role_stays_while_something_of_an_ended_job_is_left)
{
    ck_done(set_weight("batch", 1), 0);
    ck_done(submit("k", "batch", "eve", 1), 1);
    ck_done(fsm_place(&f, 1, 0, 1), 1);
    ck_done(fsm_unreachable(&f, 1), 1);
    ck_done(fsm_kill(&f, 1), 1);
    ck_assert(job_state_is_final(job_state(state_job(f.state, 1))));
    ck_rejected(remove_role("batch"), ERROR_CONFLICT);
    ck_done(fsm_gone(&f, 1), 1);
    ck_assert_uint_eq(role("batch")->open, 0);
    ck_done(remove_role("batch"), 0);
}
END_TEST

START_TEST(test_a_removed_role_is_remembered_and_may_come_back)
{
    ck_done(set_weight("batch", 9), 0);
    ck_done(submit("k", "batch", "eve", 1), 1);
    ck_done(fsm_kill(&f, 1), 1);
    ck_done(remove_role("batch"), 0);
    ck_assert_str_eq(state_job(f.state, 1)->owner->role->name, "batch");
    ck_done(set_max("batch", 1), 0);
    ck_assert_uint_eq(role("batch")->spec.weight, ROLE_WEIGHT_DEFAULT);
    ck_done(remove_role("batch"), 0);
    ck_done(fsm_purge(&f, 1), 1);
    ck_done(set_max("batch", 1), 0);
}
END_TEST

/* ---- snapshots ---- */

static void check_restored(void)
{
    struct buffer before = {0}, after = {0};
    struct state *s;

    fsm_snapshot(f.state, &before);
    s = fsm_restored(buffer_view(&before));
    fsm_snapshot(s, &after);
    ck_same_bytes(&before, &after);
    buffer_finish(&before);
    buffer_finish(&after);
    state_destroy(s);
}

START_TEST(test_roles_are_in_snapshots)
{
    ck_done(set_weight("default", 5), 0);
    ck_done(set_max("batch", 2), 0);
    ck_done(set_weight("night", 2), 0);
    ck_done(submit("k", "batch", "eve", 2), 1);
    ck_done(submit("l", "night", NULL, 2), 2);
    ck_done(submit("m", "default", "eve", 2), 3);
    ck_done(fsm_place(&f, 1, 0, 1), 1);
    check_restored();
    ck_done(fsm_kill(&f, 2), 2);
    ck_done(remove_role("night"), 0);
    check_restored();
}
END_TEST

START_TEST(test_a_walk_sees_roles_as_they_were)
{
    struct buffer whole = {0}, walked = {0};
    bool more = true;

    ck_done(set_weight("a", 5), 0);
    ck_done(set_weight("b", 6), 0);
    ck_done(set_weight("c", 7), 0);
    fsm_snapshot(f.state, &whole);
    snapshot_begin(f.state);
    ck_done(set_weight("a", 8), 0);
    ck_done(remove_role("b"), 0);
    ck_done(set_weight("d", 9), 0); /* under the number of b */
    ck_done(set_weight("default", 9), 0);
    while (more)
        more = snapshot_next(f.state, &walked, 1);
    snapshot_end(f.state);
    ck_same_bytes(&whole, &walked);
    buffer_finish(&whole);
    buffer_finish(&walked);
}
END_TEST

/* ---- what was planned still holds ---- */

/* A plan of now, for a job of `night`. */
static void ck_holds(uint64_t plan)
{
    static unsigned count;
    char key[24];

    snprintf(key, sizeof(key), "holds %u", count++);
    ck_assert_int_eq(submit_checked(key, "night", "", 1, plan).code, ERROR_NONE);
}

static void ck_changed(uint64_t plan)
{
    ck_changes_nothing(
        &f, ck_rejected(submit_checked("no", "night", "", 1, plan), ERROR_CHANGED));
}

START_TEST(test_a_plan_holds_while_other_things_change)
{
    uint64_t plan;

    ck_done(set_weight("night", 7), 0);
    ck_done(submit("a", "night", "", 2), 1);
    plan = f.state->index;
    ck_done(submit("other", "default", "", 1), 2);
    ck_done(fsm_kill(&f, 2), 2);
    ck_done(set_weight("day", 7), 0);
    ck_done(fsm_place(&f, 1, 0, 1), 1);
    ck_done(fsm_update(&f, 1, 1, TASK_FINISHED), 1);
    ck_holds(plan);
    ck_changed(plan); /* by that one */
    ck_holds(f.state->index);
}
END_TEST

START_TEST(test_a_plan_ends_with_what_it_rests_on)
{
    uint64_t plan;

    ck_done(set_weight("night", 7), 0);
    ck_done(submit("a", "night", "", 2), 1);
    plan = f.state->index;
    ck_done(fsm_kill(&f, 1), 1);
    ck_changed(plan);
    plan = f.state->index;
    ck_done(set_weight("night", 8), 0);
    ck_changed(plan);
    plan = f.state->index;
    ck_done(fsm_mode(&f, 1, AGENT_CORDONED, 0), 1);
    ck_changed(plan);
    plan = f.state->index;
    ck_done(fsm_register_able(&f, 'c', 4, AGENT_FEATURE_JOBS_2), 3);
    ck_changed(plan);
    plan = f.state->index;
    ck_done(fsm_unreachable(&f, 3), 3);
    ck_changed(plan);
    plan = f.state->index;
    ck_done(fsm_gone(&f, 3), 3);
    ck_changed(plan);
    ck_holds(f.state->index);
}
END_TEST

/* It is no object of the state. */
START_TEST(test_a_plan_of_a_role_that_nobody_set)
{
    uint64_t plan = f.state->index;

    ck_done(submit_checked("a", ROLE_DEFAULT, "", 1, plan), 1);
    ck_rejected(submit_checked("b", ROLE_DEFAULT, "", 1, plan), ERROR_CHANGED);
    ck_done(submit_checked("a", ROLE_DEFAULT, "", 1, plan), 1); /* it was */
    plan = f.state->index;
    ck_done(fsm_kill(&f, 1), 1);
    ck_rejected(submit_checked("c", ROLE_DEFAULT, "", 1, plan), ERROR_CHANGED);
}
END_TEST

/* Masters that apply entries of an older version write nothing of it. */
START_TEST(test_old_entries_stamp_nothing)
{
    struct fsm old;

    fsm_setup_empty(&old);
    old.version = 2;
    ck_done(fsm_found(&old), 0);
    ck_done(fsm_register(&old, 'a', 4), 1);
    ck_done(fsm_submit(&old, "k", 1), 1);
    ck_assert_uint_eq(old.state->globals.agents_changed, 0);
    ck_assert_uint_eq(old.state->globals.default_changed, 0);
    fsm_teardown(&old);
}
END_TEST

int main(void)
{
    TCase *c = unit_case("roles",
                         test_default_is_there_and_becomes_an_object_when_it_is_set,
                         test_only_what_is_given_changes,
                         test_what_is_guaranteed_must_be_there,
                         test_as_many_roles_as_the_limit,
                         test_a_job_needs_its_role,
                         test_a_maximum_is_never_passed,
                         test_a_maximum_below_the_use_takes_nothing_away,
                         test_what_is_superseded_is_still_used,
                         test_owners_are_counted_apart,
                         test_a_role_with_jobs_stays,
                         test_a_role_stays_while_something_of_an_ended_job_is_left,
                         test_a_removed_role_is_remembered_and_may_come_back,
                         test_roles_are_in_snapshots,
                         test_a_walk_sees_roles_as_they_were,
                         test_a_plan_holds_while_other_things_change,
                         test_a_plan_ends_with_what_it_rests_on,
                         test_a_plan_of_a_role_that_nobody_set,
                         test_old_entries_stamp_nothing);

    tcase_add_checked_fixture(c, setup, teardown);
    return unit_run("roles", &c, 1);
}
