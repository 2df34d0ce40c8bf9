/* busy.c - what is full when the state has no room for a command, and when it may have some.
 *
 * Room comes when a job that ended is forgotten: the leader does that after a while, which is
 * short when the state is crowded (leader.c), and then remembers its key for a day. */
#include "master/core/internal.h"

/* From now on; at least the pace of who asks again, as others do the same. */
static uint64_t until_ms(const struct master_core *m, uint64_t due_us)
{
    uint64_t now_us = m->leading.time_us;
    uint64_t ms = due_us > now_us ? (due_us - now_us + 999) / 1000 : 0;

    return ms > BUSY_STATE_MS ? ms : BUSY_STATE_MS;
}

static struct busy busy_with_keys(const struct master_core *m)
{
    const struct tombstone *oldest = RB_MIN(
        tombstone_age_tree, (struct tombstone_age_tree *)&m->state->tombstones_by_age);

    return (struct busy){"the cluster remembers as many keys of purged jobs as it may",
                         until_ms(m, oldest->purged_us + TOMBSTONE_US)};
}

static struct busy busy_with_jobs(const struct master_core *m)
{
    uint64_t due_us = m->leading.purge_due_us;

    if (m->state->tombstone_count >= LIMIT_TOMBSTONES)
        return busy_with_keys(m);
    return (struct busy){
        "the cluster keeps as many jobs or tasks as it may; purge jobs "
        "that ended, or kill some first",
        due_us == 0 ? BUSY_UNKNOWN_MS : until_ms(m, due_us)};
}

struct busy busy_because(const struct master_core *m, enum method method)
{
    const struct state *s = m->state;

    switch (method) {
    case METHOD_PURGE:
        if (s->tombstone_count >= LIMIT_TOMBSTONES)
            return busy_with_keys(m);
        return (struct busy){
            "a run of the job may go on on an unreachable agent, or "
            "others that wait for it are just told",
            BUSY_STATE_MS};
    case METHOD_ROLE_SET:
        return (struct busy){"there are as many roles as may be; remove one",
                             BUSY_UNKNOWN_MS};
    default:
        if (s->template_count >= LIMIT_SCHEDULES)
            return (struct busy){"there are as many schedules as may be; kill one",
                                 BUSY_UNKNOWN_MS};
        if (s->system_count >= LIMIT_SYSTEM_JOBS)
            return (struct busy){"there are as many system jobs as may be; kill one",
                                 BUSY_UNKNOWN_MS};
        return busy_with_jobs(m);
    }
}
