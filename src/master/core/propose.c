/* propose.c - the only door to the log.
 *
 * Commands gather while the last batches are on their way; at the end of a turn of the loop
 * everything that waits goes into one entry, at most BATCHES_IN_FLIGHT of them uncommitted.
 * So throughput comes from large batches under load, and latency is one commit when idle.
 *
 * What waits is bounded.  A flood of new jobs takes its part of the room and no more, and so
 * does one of other requests: behind them kills, and behind those reports and placements still
 * pass, or nothing would ever end.
 *
 * When leadership ends, whoever waits hears so at once (joint 11): not_leader if the command
 * never went into the log, unknown if it did.
 */
#include "master/core/internal.h"

#include "base/assert.h"
#include "base/mem.h"

#include <string.h>

const uint16_t MASTER_COMMIT_BOUNDS_MS[MASTER_COMMIT_BOUNDS] = {
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1000};

static size_t queued_bytes(const struct proposals *p)
{
    return p->bytes.size - p->taken;
}

bool propose_takes_jobs(const struct master_core *m)
{
    return m->proposals.count < LIMIT_REQUESTS_WAITING &&
           queued_bytes(&m->proposals) < LIMIT_REQUESTS_BYTES;
}

bool propose_takes_requests(const struct master_core *m)
{
    return m->proposals.count < LIMIT_REQUESTS_WAITING + LIMIT_RESERVED_REQUESTS / 2 &&
           queued_bytes(&m->proposals) <
               LIMIT_REQUESTS_BYTES + LIMIT_RESERVED_BYTES / 2;
}

bool propose_has_room(const struct master_core *m)
{
    return m->proposals.count < LIMIT_REQUESTS_WAITING + LIMIT_RESERVED_REQUESTS &&
           queued_bytes(&m->proposals) < LIMIT_REQUESTS_BYTES + LIMIT_RESERVED_BYTES;
}

void propose(struct master_core *m,
             const struct command *command,
             const struct origin *origin)
{
    struct proposals *p = &m->proposals;
    size_t at = p->bytes.size;

    buffer_append_u32(&p->bytes, 0);
    command_pack(command, &p->bytes);
    ASSERT(p->bytes.size - at - 4 <= LIMIT_COMMAND_BYTES);
    store_u32(p->bytes.data + at, (uint32_t)(p->bytes.size - at - 4));
    MEM_GROW(p->origins, p->capacity, p->first + p->count + 1);
    p->origins[p->first + p->count++] = *origin;
}

void propose_not_before(struct master_core *m, uint64_t stamp_us)
{
    struct proposals *p = &m->proposals;

    if (p->last_stamp_us < stamp_us - 1)
        p->last_stamp_us = stamp_us - 1;
}

/* ---- answers ---- */

static void origin_finish(struct origin *origin)
{
    mem_free(origin->acks);
    origin->acks = NULL;
}

static void
give_result(struct master_core *m, struct origin *origin, const struct result *result)
{
    switch (origin->kind) {
    case ORIGIN_NONE:
        break;
    case ORIGIN_CLIENT:
        clients_result(m, origin, result);
        break;
    case ORIGIN_REGISTER:
        agents_registered(m, origin, result);
        break;
    case ORIGIN_UPDATE:
        agents_updated(m, origin, result);
        break;
    case ORIGIN_ROUND:
        m->counters.placements += result->id;
        leader_round_applied(m);
        break;
    case ORIGIN_REPEAT:
        repeats_applied(m);
        break;
    case ORIGIN_RELEASE:
        m->leading.releasing = false;
        break;
    case ORIGIN_FIRE:
        schedules_fired(m, origin->agent, result);
        break;
    case ORIGIN_PREEMPT:
        preempts_applied(m, result);
        break;
    case ORIGIN_MOVE:
        rebalances_applied(m, result);
        break;
    case ORIGIN_PURGE:
        leader_purge_applied(m, result);
        break;
    }
    origin_finish(origin);
}

static void give_up(struct master_core *m, struct origin *origin, bool in_log)
{
    if (origin->kind == ORIGIN_CLIENT && in_log) {
        m->counters.outcomes_unknown++;
        core_refuse(m,
                    origin->session,
                    origin->rpc,
                    ERROR_UNKNOWN,
                    "leadership moved while this was being committed; repeat it with "
                    "the same key");
    } else if (origin->kind == ORIGIN_CLIENT || origin->kind == ORIGIN_REGISTER) {
        core_not_leader(m, origin->session, origin->rpc);
    }
    origin_finish(origin);
}

/* ---- batches ---- */

/* The commands that fit one entry, from the front of the queue. */
static struct blob *build(struct master_core *m, size_t *count, size_t *bytes)
{
    struct proposals *p = &m->proposals;
    struct buffer entry = {0};
    uint64_t now_us = leader_now_us(m);
    struct blob *blob;

#ifdef MUTANT_STAMPS_STAND_STILL
    now_us = m->wall_us;
#endif
    *count = 0;
    *bytes = 0;
    while (*count < p->count) {
        size_t size = 4 + load_u32(p->bytes.data + p->taken + *bytes);

        if (*count > 0 && ENTRY_HEADER_BYTES + *bytes + size > LIMIT_ENTRY_BYTES)
            break;
        *bytes += size;
        (*count)++;
    }
    if (now_us > p->last_stamp_us)
        p->last_stamp_us = now_us;
    else
        p->last_stamp_us++;
    if (p->last_stamp_us <= m->state->globals.last_stamp_us)
        p->last_stamp_us = m->state->globals.last_stamp_us + 1;
    entry_begin(&entry, p->last_stamp_us);
    buffer_append(&entry, p->bytes.data + p->taken, *bytes);
    blob = blob_copy(buffer_view(&entry));
    buffer_finish(&entry);
    return blob;
}

static void take_from_queue(struct proposals *p, size_t count, size_t bytes)
{
    p->taken += bytes;
    p->first += count;
    p->count -= count;
    if (p->count == 0) {
        ASSERT(p->taken == p->bytes.size);
        buffer_clear(&p->bytes);
        p->taken = 0;
        p->first = 0;
    } else if (p->taken > p->bytes.size / 2) {
        buffer_consume(&p->bytes, p->taken);
        p->taken = 0;
        memmove(p->origins, p->origins + p->first, p->count * sizeof(*p->origins));
        p->first = 0;
    }
}

void propose_flush(struct master_core *m)
{
    struct proposals *p = &m->proposals;

    while (p->count > 0 && p->flying_count < BATCHES_IN_FLIGHT && m->leading.active &&
           replica_accepts(m->replica)) {
        struct replica_event event = {.kind = REPLICA_SUBMIT};
        struct batch *batch;
        size_t count, bytes;

        event.submit.payload = build(m, &count, &bytes);
        m->actions->replica.submitted = 0;
        core_replica(m, &event);
        if (m->actions->replica.submitted == 0) {
            blob_unref(event.submit.payload);
            return;
        }
        batch = mem_zalloc(sizeof(*batch));
        batch->index = m->actions->replica.submitted;
        batch->since_ms = m->now_ms;
        batch->count = count;
        batch->origins = mem_dup(p->origins + p->first, count * sizeof(*p->origins));
        STAILQ_INSERT_TAIL(&p->flying, batch, link);
        p->flying_count++;
        take_from_queue(p, count, bytes);
        m->counters.entries_proposed++;
        m->counters.commands_proposed += count;
    }
}

static void drop_batch(struct proposals *p, struct batch *batch)
{
    STAILQ_REMOVE_HEAD(&p->flying, link);
    p->flying_count--;
    mem_free(batch->origins);
    mem_free(batch);
}

static void count_commit(struct master_commit_times *t, uint64_t ms)
{
    unsigned bucket = 0;

    while (bucket < MASTER_COMMIT_BOUNDS && ms > MASTER_COMMIT_BOUNDS_MS[bucket])
        bucket++;
    t->counts[bucket]++;
    t->sum_ms += ms;
}

void propose_applied(struct master_core *m, uint64_t index)
{
    struct batch *batch = STAILQ_FIRST(&m->proposals.flying);

    if (batch == NULL || batch->index != index)
        return; /* an entry of an earlier term */
    ASSERT(batch->count == m->outcome.result_count);
    for (size_t i = 0; i < batch->count; i++)
        give_result(m, &batch->origins[i], &m->outcome.results[i]);
    count_commit(&m->commit_times, m->now_ms - batch->since_ms);
    drop_batch(&m->proposals, batch);
}

void propose_lost(struct master_core *m)
{
    struct proposals *p = &m->proposals;

    while (!STAILQ_EMPTY(&p->flying)) {
        struct batch *batch = STAILQ_FIRST(&p->flying);

        for (size_t i = 0; i < batch->count; i++)
            give_up(m, &batch->origins[i], true);
        drop_batch(p, batch);
    }
    for (size_t i = 0; i < p->count; i++)
        give_up(m, &p->origins[p->first + i], false);
    buffer_clear(&p->bytes);
    p->taken = 0;
    p->first = 0;
    p->count = 0;
}

void propose_finish(struct master_core *m)
{
    struct proposals *p = &m->proposals;

    while (!STAILQ_EMPTY(&p->flying)) {
        struct batch *batch = STAILQ_FIRST(&p->flying);

        for (size_t i = 0; i < batch->count; i++)
            origin_finish(&batch->origins[i]);
        drop_batch(p, batch);
    }
    for (size_t i = 0; i < p->count; i++)
        origin_finish(&p->origins[p->first + i]);
    buffer_finish(&p->bytes);
    mem_free(p->origins);
}
