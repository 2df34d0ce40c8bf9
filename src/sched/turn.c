/* turn.c - whose turn it is, and the rank of a job in its lane, as numbers. */
#include "sched/turn.h"

#include "base/limits.h"
#include "sched/log2.h"

/* ---- shares ---- */

static uint64_t capped(unsigned __int128 share)
{
    return share < SHARE_MAX ? (uint64_t)share : SHARE_MAX;
}

uint64_t share_of(const struct use *used, const struct use *total, uint32_t weight)
{
    unsigned __int128 most = 0;

    for (int k = 0; k < RESOURCE_KINDS; k++) {
        unsigned __int128 share;

        if (used->amount[k] == 0 || total->amount[k] == 0)
            continue;
        share = used->amount[k] >= total->amount[k]
                    ? (unsigned __int128)SHARE_ONE
                    : used->amount[k] * SHARE_ONE / total->amount[k];
        most = share > most ? share : most;
    }
    for (size_t i = 0; i < used->custom.count; i++) {
        const struct custom_resource *u = &used->custom.items[i];
        uint64_t all = custom_resources_amount(&total->custom, u->name);
        unsigned __int128 share = all <= u->amount
                                      ? (unsigned __int128)SHARE_ONE
                                      : (unsigned __int128)u->amount * SHARE_ONE / all;

        most = all > 0 && share > most ? share : most;
    }
    return capped(most * 1000 / weight);
}

bool is_owed(const struct role_spec *spec, const struct use *used)
{
    const struct role_bound *min = &spec->min;

    for (int k = 0; k < RESOURCE_KINDS; k++)
        if ((min->kinds & 1u << k) != 0 && used->amount[k] >= min->amount.amount[k])
            return false;
    for (size_t i = 0; i < min->custom.count; i++)
        if (custom_resources_amount(&used->custom, min->custom.items[i].name) >=
            min->custom.items[i].amount)
            return false;
    return min->kinds != 0;
}

/* 1 bit, then 11, then those of the share. */
uint64_t
role_turn(const struct role_spec *spec, const struct use *used, const struct use *total)
{
    return (uint64_t)!is_owed(spec, used) << 63 |
           (uint64_t)(ROLE_PRIORITY_MAX - spec->priority) << SHARE_BITS |
           share_of(used, total, spec->weight);
}

/* ---- ranks ---- */

#define RANK_ZERO \
    (1ull << 62) /* between earlier and later than the beginning of time */

/* Of all its tasks that have not ended, one after the other; at least 1. */
static uint64_t
work_ms(const struct role_spec *spec, const struct job *j, uint32_t tasks)
{
    uint64_t each = j->expected_ms != 0 ? j->expected_ms : spec->length_ms;
    unsigned __int128 all = (unsigned __int128)each * (tasks > 0 ? tasks : 1);

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
    uint64_t work = work_ms(spec, j, tasks);

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
