/* usages.c - what runs use, as their agents told it.
 *
 * Outside of the log, and only while we lead: an agent tells all its runs again every few
 * seconds, and what it told before is forgotten then, or when it is not attached any more.
 */
#include "master/core/internal.h"

#include "base/mem.h"

#include <stdlib.h>

void usages_forget(struct master_core *m, struct agent_view *v)
{
    m->usage_count -= v->usage_count;
    mem_free(v->usages);
    v->usages = NULL;
    v->usage_count = 0;
    v->usage_capacity = 0;
    v->usage_part = 0;
}

/* Attempts ascend.  Those that are not on it, and those beyond the limit, are not kept. */
static bool
keep(struct master_core *m, struct agent_view *v, const struct usage_report *report)
{
    if (v->usage_count > 0 && v->usages[v->usage_count - 1].attempt >= report->attempt)
        return false;
    if (agents_attempt(m, v, report->attempt) == NULL ||
        v->usage_count == LIMIT_AGENT_RUNS || m->usage_count == LIMIT_USAGES)
        return true;
    MEM_GROW(v->usages, v->usage_capacity, v->usage_count + 1);
    v->usages[v->usage_count++] = *report;
    m->usage_count++;
    return true;
}

void usages_frame(struct master_core *m, struct agent_view *v, const struct rpc *rpc)
{
    struct command_cursor at = {0};
    struct usage_report report;
    struct usage_list list;
    struct error err;

    if (usage_unpack(&list, rpc->params, &err) != 0) {
        core_close(m, v->session, "%s", err.text);
        return;
    }
    if (list.agent != v->id || (list.part != 0 && list.part != v->usage_part))
        return;
    if (list.part == 0)
        usages_forget(m, v);
    while (usage_next(&list, &at, &report))
        if (!keep(m, v, &report)) {
            core_close(m, v->session, "`usage` out of order");
            return;
        }
    v->usage_part = list.part + 1;
}

static int compare(const void *key, const void *element)
{
    uint64_t attempt = *(const uint64_t *)key;
    const struct usage_report *r = element;

    return (attempt > r->attempt) - (attempt < r->attempt);
}

bool usages_find(const struct agent_view *v, uint64_t attempt, struct usage_report *out)
{
    const struct usage_report *found = NULL;

    if (v != NULL && v->usage_count > 0)
        found =
            bsearch(&attempt, v->usages, v->usage_count, sizeof(*v->usages), compare);
    if (found != NULL)
        *out = *found;
    return found != NULL;
}
