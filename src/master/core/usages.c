/* usages.c - what runs use, as their agents told it.
 *
 * Outside of the log, and only while we lead: an agent tells all its runs again every few
 * seconds, and what it told before is forgotten then, or when it is not attached any more.
 * It is much of what a leader keeps of a run: so there is room for what was told, and no more.
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
    v->usage_part = 0;
}

static uint32_t pages(uint64_t bytes)
{
    uint64_t n = bytes / USAGE_PAGE_BYTES + (bytes % USAGE_PAGE_BYTES != 0);

    return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

static struct kept_usage fold(const struct usage_report *r)
{
    return (struct kept_usage){
        .attempt = r->attempt,
        .cpu_us = r->cpu_us,
        .read_bytes = r->read_bytes,
        .written_bytes = r->written_bytes,
        .memory_pages = pages(r->memory_bytes),
        .memory_peak_pages = pages(r->memory_peak_bytes),
        .cpu_milli = r->cpu_milli,
        .pids = r->pids,
    };
}

static struct usage_report unfold(const struct kept_usage *k)
{
    return (struct usage_report){
        .attempt = k->attempt,
        .cpu_us = k->cpu_us,
        .read_bytes = k->read_bytes,
        .written_bytes = k->written_bytes,
        .memory_bytes = (uint64_t)k->memory_pages * USAGE_PAGE_BYTES,
        .memory_peak_bytes = (uint64_t)k->memory_peak_pages * USAGE_PAGE_BYTES,
        .cpu_milli = k->cpu_milli,
        .pids = k->pids,
    };
}

static void make_room(struct agent_view *v, size_t count)
{
    v->usages = mem_realloc(v->usages, count * sizeof(*v->usages));
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
    v->usages[v->usage_count++] = fold(report);
    m->usage_count++;
    return true;
}

void usages_frame(struct master_core *m, struct agent_view *v, const struct rpc *rpc)
{
    struct command_cursor at = {0};
    struct usage_report report;
    struct usage_list list;
    struct error err;
    bool ascend = true;

    if (usage_unpack(&list, rpc->params, &err) != 0) {
        core_close(m, v->session, "%s", err.text);
        return;
    }
    if (list.agent != v->id || (list.part != 0 && list.part != v->usage_part))
        return;
    if (list.part == 0)
        usages_forget(m, v);
    make_room(v, v->usage_count + list.count);
    while (ascend && usage_next(&list, &at, &report))
        ascend = keep(m, v, &report);
    make_room(v, v->usage_count);
    if (!ascend) {
        core_close(m, v->session, "`usage` out of order");
        return;
    }
    v->usage_part = list.part + 1;
}

static int compare(const void *key, const void *element)
{
    uint64_t attempt = *(const uint64_t *)key;
    const struct kept_usage *k = element;

    return (attempt > k->attempt) - (attempt < k->attempt);
}

bool usages_find(const struct agent_view *v, uint64_t attempt, struct usage_report *out)
{
    const struct kept_usage *found = NULL;

    if (v != NULL && v->usage_count > 0)
        found =
            bsearch(&attempt, v->usages, v->usage_count, sizeof(*v->usages), compare);
    if (found != NULL)
        *out = unfold(found);
    return found != NULL;
}
