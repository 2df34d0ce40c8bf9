/* cluster_disk.c - the checkpoint of an agent of the simulation. */
#include "cluster_agent.h"

#include "base/mem.h"

#include <string.h>

static bool same(const struct buffer *a, const struct buffer *b)
{
    return a->size == b->size &&
           (a->size == 0 || memcmp(a->data, b->data, a->size) == 0);
}

static void record_destroy(struct sim_record *r)
{
    buffer_finish(&r->key);
    buffer_finish(&r->value);
    mem_free(r);
}

static void drop_writing(struct sim_agent *a)
{
    struct sim_record *r;

    while ((r = STAILQ_FIRST(&a->writing)) != NULL) {
        STAILQ_REMOVE_HEAD(&a->writing, link);
        record_destroy(r);
    }
}

/* It starts again with an empty disk, as an agent that nobody knows. */
void sim_disk_wipe(struct sim_agent *a)
{
    struct sim_record *r;

    drop_writing(a);
    while ((r = STAILQ_FIRST(&a->disk)) != NULL) {
        STAILQ_REMOVE_HEAD(&a->disk, link);
        record_destroy(r);
    }
    a->highest_term = 0;
}

static void record_apply(struct sim_agent *a, struct sim_record *r)
{
    struct sim_record *old, *next;

    STAILQ_FOREACH_SAFE(old, &a->disk, link, next)
    if (same(&old->key, &r->key)) {
        STAILQ_REMOVE(&a->disk, old, sim_record, link);
        record_destroy(old);
    }
    if (r->value.size > 0)
        STAILQ_INSERT_TAIL(&a->disk, r, link);
    else
        record_destroy(r);
}

static void records_durable(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct sim_agent *agent = context;
    struct sim_record *r;

    (void)w;
    if (agent->incarnation != a)
        return;
    if (sim_agent_waits(agent, records_durable, a, b))
        return;
    while ((r = STAILQ_FIRST(&agent->writing)) != NULL && r->sequence <= b) {
        STAILQ_REMOVE_HEAD(&agent->writing, link);
        record_apply(agent, r);
    }
    sim_agent_step(agent,
                   &(struct agent_event){.kind = AGENT_DURABLE, .durable.sequence = b});
}

void sim_disk_write(struct sim_agent *a, const struct agent_action *action)
{
    for (size_t i = 0; i < action->record.count; i++) {
        const struct agent_record *from = &action->record.records[i];
        struct sim_record *r = mem_zalloc(sizeof(*r));

        r->sequence = action->record.sequence;
        buffer_append(&r->key, from->key.data, from->key.size);
        buffer_append(&r->value, from->value.data, from->value.size);
        STAILQ_INSERT_TAIL(&a->writing, r, link);
    }
    world_in(&a->cluster->world,
             5 * MS, /* one latency for all: they become durable in order */
             records_durable,
             a,
             a->incarnation,
             action->record.sequence);
}

/* Transactions that became durable just before the crash, and were not told. */
static void keep_some(struct sim_agent *a)
{
    struct sim_record *r = STAILQ_FIRST(&a->writing);

    while (r != NULL && chance(&a->cluster->world, 50)) {
        uint64_t sequence = r->sequence;

        while (r != NULL && r->sequence == sequence) {
            STAILQ_REMOVE_HEAD(&a->writing, link);
            record_apply(a, r);
            r = STAILQ_FIRST(&a->writing);
        }
    }
}

void sim_disk_crash(struct sim_agent *a)
{
    keep_some(a);
    drop_writing(a);
}

bool sim_disk_has_run(const struct sim_agent *a, uint64_t attempt)
{
    const struct sim_record *r;
    struct buffer key = {0};
    bool found = false;

    buffer_append_text(&key, "run");
    for (int shift = 56; shift >= 0; shift -= 8)
        buffer_append_u8(&key, (uint8_t)(attempt >> shift));
    STAILQ_FOREACH (r, &a->disk, link)
        found = found || same(&r->key, &key);
    buffer_finish(&key);
    return found;
}
