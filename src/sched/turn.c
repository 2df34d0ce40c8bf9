/* turn.c - whose turn it is, and the rank of a job in its lane, as numbers. */
#include "sched/turn.h"

#include "base/limits.h"
#include "sched/log2.h"

/* ---- shares ---- */

/* Of what there is nothing of, nothing counts. */
static uint64_t part(unsigned __int128 used, unsigned __int128 total)
{
    if (total == 0)
        return 0;
    return used >= total ? SHARE_ONE : (uint64_t)(used * SHARE_ONE / total);
}

static uint64_t greater(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t most_of(uint64_t most,
                        const struct custom_resources *named,
                        const struct use *used,
                        const struct use *total)
{
    for (size_t i = 0; i < named->count; i++) {
        const char *name = named->items[i].name;

        most = greater(most, part(use_of(used, name), use_of(total, name)));
    }
    return most;
}

uint64_t dominant_share(const struct role_spec *spec,
                        const struct use *used,
                        const struct use *total)
{
    uint64_t most = 0;

    for (int k = 0; k < RESOURCE_KINDS; k++)
        most = greater(most, part(used->amount[k], total->amount[k]));
    most = most_of(most, &spec->min.custom, used, total);
    return most_of(most, &spec->max.custom, used, total);
}

static bool is_bounded(const struct role_spec *spec, const char *name)
{
    return custom_resources_amount(&spec->min.custom, name) > 0 ||
           custom_resources_amount(&spec->max.custom, name) > 0;
}

uint64_t share_with(uint64_t share,
                    const struct role_spec *spec,
                    const struct use *used,
                    const struct use *planned,
                    const struct use *total,
                    const struct job *j)
{
    const struct custom_resources *custom = job_custom(j);

    for (int k = 0; k < RESOURCE_KINDS; k++)
        share = greater(share,
                        part(used->amount[k] + planned->amount[k], total->amount[k]));
    for (size_t i = 0; i < custom->count; i++) {
        const char *name = custom->items[i].name;

        if (!is_bounded(spec, name))
            continue;
        share = greater(
            share,
            part(use_of(used, name) + use_of(planned, name), use_of(total, name)));
    }
    return share;
}

uint64_t weighted_share(uint64_t share, uint32_t weight)
{
    unsigned __int128 weighted = (unsigned __int128)share * 1000 / weight;

#ifdef MUTANT_WEIGHT_IGNORED
    weighted = share;
#endif
    return weighted < SHARE_MAX ? (uint64_t)weighted : SHARE_MAX;
}

/* 1 bit, then 11, then those of the share. */
uint64_t role_turn(const struct role_spec *spec, bool owed, uint64_t share)
{
#ifdef MUTANT_OWED_WAITS
    owed = false;
#endif
    return (uint64_t)!owed << 63 |
           (uint64_t)(ROLE_PRIORITY_MAX - spec->priority) << SHARE_BITS |
           weighted_share(share, spec->weight);
}

/* ---- ranks ---- */

#define RANK_ZERO \
    (1ull << 62) /* between earlier and later than the beginning of time */

/* Of all its tasks that have not ended, one after the other; at least 1. */
static uint64_t work_ms(const struct job *j, uint32_t tasks)
{
    unsigned __int128 all =
        (unsigned __int128)job_expected_ms(j) * (tasks > 0 ? tasks : 1);

    return all < LIMIT_RESOURCE ? (uint64_t)all : LIMIT_RESOURCE;
}

static uint64_t later(const struct job *j, uint64_t us)
{
    return RANK_ZERO + j->submitted_us + us;
}

static uint64_t rank_by_priority(const struct role_spec *spec, const struct job *j)
{
    int64_t points = (int64_t)JOB_PRIORITY_MAX - j->priority;

    if (spec->aging_ms == ROLE_NEVER)
        return (uint64_t)points;
    return later(j, (uint64_t)points * spec->aging_ms * 1000);
}

static uint64_t
rank_by_work(const struct role_spec *spec, const struct job *j, uint32_t tasks)
{
    uint64_t work = work_ms(j, tasks);

    if (spec->aging_ms == ROLE_NEVER)
        return work;
    return later(j, (uint64_t)log2_of(work) * spec->aging_ms * 1000 / LOG2_ONE);
}

struct fit_key job_rank(const struct role_spec *spec, const struct job *j)
{
    uint64_t first = 0;

    switch (spec->order) {
    case ROLE_FCFS:
        first = j->submitted_us;
        break;
    case ROLE_SJF:
        first = rank_by_work(spec, j, j->instances);
        break;
    case ROLE_SRTF:
        first = rank_by_work(spec, j, job_unfinished(j));
        break;
    case ROLE_PRIORITY:
    case ROLE_FAIR:
        first = rank_by_priority(spec, j);
        break;
    case ROLE_ORDER_COUNT:
        break;
    }
    return (struct fit_key){first, j->id};
}
