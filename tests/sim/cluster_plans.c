/* cluster_plans.c - plans of what would happen, made in a copy of the simulation.
 *
 * In the copy each invariant of the state is looked at afterwards, and the rows must add up.
 */
#include "cluster.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/text.h"
#include "tests/lib/plan_copy.h"
#include "wire/match.h"
#include "wire/message_plan.h"

#include <stdio.h>

#define PLANS_IN_1000 50 /* of the times that one could be asked for */

const struct sim_master *sim_leader(const struct cluster *c)
{
    for (unsigned i = 0; i < c->masters; i++)
        if (c->master[i].alive && master_leads(c->master[i].core))
            return &c->master[i];
    return NULL;
}

static void pack_job(struct cluster *c, struct buffer *specs)
{
    struct job_spec spec;

    job_spec_init(&spec);
    spec.name = mem_strdup("planned");
    spec.instances = (uint32_t)rng_between(&c->plans, 1, 40);
    spec.resources.amount[RESOURCE_CPUS] = rng_between(&c->plans, 1, 3000);
    job_spec_add_arg(&spec, "true");
    job_specs_pack(&spec, 1, specs);
    job_spec_finish(&spec);
}

/* Tasks of a new job are somewhere or wait; those of agents that are removed move or wait. */
static void check_rows(const struct list_result *list, bool has_job)
{
    uint64_t counts[PLAN_ROW_COUNT] = {0};
    struct command_cursor at = {0};
    struct plan_row row;

    while (plan_row_next(list, &at, &row))
        counts[row.kind] += row.count;
    ASSERT(list->next == 0);
    ASSERT((counts[PLAN_JOB] > 0) == has_job);
    ASSERT(counts[PLAN_JOB] == counts[PLAN_PLACED] + counts[PLAN_WAITS]);
    ASSERT(counts[PLAN_REMOVED] == counts[PLAN_MOVED] + counts[PLAN_STRANDED]);
}

/* What holds as of now says so. */
static void
check_answer(const struct sim_master *m, const struct buffer *answer, bool has_job)
{
    struct bytes frame = {answer->data + 4, answer->size - 4};
    struct list_result list;
    struct rpc rpc;

    ASSERT(answer->size > 4);
    ASSERT(rpc_unpack(&rpc, frame, NULL) == 0);
    if (rpc.code == ERROR_NOT_FOUND && !has_job)
        return; /* no such agent */
    ASSERT(rpc.code == ERROR_NONE);
    ASSERT(list_result_unpack(&list, METHOD_PLAN, rpc.params, NULL) == 0);
    ASSERT(list.index == master_state(m->core)->index);
    check_rows(&list, has_job);
}

void sim_plan(struct cluster *c)
{
    const struct sim_master *m = sim_leader(c);
    struct buffer specs = {0}, request = {0}, answer = {0};
    char id[24];
    struct plan_removal removal = {.attribute = text_view(MATCH_AGENT)};
    struct plan_request q = {.removals = &removal};
    struct rpc rpc;

    if (m == NULL || rng_below(&c->plans, 1000) >= PLANS_IN_1000 ||
        !master_state(m->core)->globals.founded)
        return;
    snprintf(id, sizeof(id), "%u", (unsigned)rng_between(&c->plans, 1, c->agents));
    removal.value = text_view(id);
    removal.is_drain = rng_percent(&c->plans, 50);
    if (rng_percent(&c->plans, 50))
        q.removal_count = 1;
    else
        pack_job(c, &specs);
    q.specs = buffer_view(&specs);
    plan_pack(&q, 1, &request);
    ASSERT(rpc_unpack(&rpc, (struct bytes){request.data + 4, request.size - 4}, NULL) ==
           0);
    ASSERT(plan_copy(m->core, 1, rpc.params, &answer));
    check_answer(m, &answer, q.removal_count == 0);
    buffer_finish(&specs);
    buffer_finish(&request);
    buffer_finish(&answer);
}
