/* script.c - what the crashed program does, and what is to be there after each step. */
#include "tests/crash/script.h"

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/mem.h"

#include <string.h>

#define ENTRIES_MAX 4096

struct entry {
    uint64_t term;
    struct blob *payload;
};

/* The state of the script while it is made. */
struct maker {
    struct script *s;
    struct rng *rng;
    struct log_image log;
    struct entry entries[ENTRIES_MAX];
};

uint32_t script_digest(uint32_t digest,
                       uint64_t index,
                       uint64_t term,
                       enum entry_kind kind,
                       struct bytes payload)
{
    uint8_t head[17];

    store_u64(head, index);
    store_u64(head + 8, term);
    head[16] = (uint8_t)kind;
    return crc32c(crc32c(digest, head, sizeof(head)), payload.data, payload.size);
}

static enum entry_kind kind_of(uint64_t index, const struct blob *payload)
{
    return payload == NULL ? ENTRY_NOOP
           : index == 1    ? ENTRY_CONFIGURATION
                           : ENTRY_COMMANDS;
}

static uint32_t digest_log(const struct maker *m)
{
    uint32_t digest = 0;

    for (uint64_t i = m->log.base + 1; i <= m->log.last; i++) {
        const struct entry *e = &m->entries[i];

        digest = script_digest(
            digest, i, e->term, kind_of(i, e->payload), blob_view(e->payload));
    }
    return digest;
}

static void add_step(struct maker *m, enum step_kind kind, uint64_t number, bool wait)
{
    struct script *s = m->s;

    MEM_GROW(s->steps, s->step_capacity, s->step_count + 1);
    s->steps[s->step_count++] = (struct step){kind, number, wait};
}

static struct log_op *add_op(struct maker *m, enum log_op_kind kind)
{
    struct script *s = m->s;
    struct log_op *op = mem_zalloc(sizeof(*op));

    op->kind = kind;
    op->sequence = ++s->op_count;
    MEM_GROW(s->ops, s->op_capacity, s->op_count + 1);
    s->ops[s->op_count] = op;
    add_step(m, STEP_LOG, op->sequence, rng_percent(m->rng, 50));
    return op;
}

/* The operation was carried out in m->log and m->entries. */
static void end_op(struct maker *m)
{
    struct script *s = m->s;

    m->log.digest = digest_log(m);
    MEM_GROW(s->logs, s->log_capacity, s->op_count + 1);
    s->logs[s->op_count] = m->log;
}

static struct blob *random_payload(struct maker *m)
{
    static const size_t sizes[] = {0, 1, 60, 256, 256, 1200, 2600, 6000};
    size_t size = sizes[rng_below(m->rng, 8)];
    struct blob *b = size > 0 ? blob_create(size) : NULL;

    for (size_t i = 0; i < size; i++)
        b->data[i] = (uint8_t)rng_next(m->rng);
    return b;
}

static void
set_entry(struct maker *m, uint64_t index, uint64_t term, struct blob *payload)
{
    ASSERT(index < ENTRIES_MAX);
    blob_unref(m->entries[index].payload);
    m->entries[index] = (struct entry){term, payload};
}

static void make_append(struct maker *m)
{
    struct log_op *op = add_op(m, LOG_APPEND);
    uint64_t committed = m->s->snapshots[m->s->snapshot_count].index;
    uint64_t first = m->log.last + 1;
    uint32_t count = (uint32_t)rng_between(m->rng, 1, rng_percent(m->rng, 20) ? 40 : 5);

    if (committed < m->log.base)
        committed = m->log.base;
    if (rng_percent(m->rng, 20) && m->log.last > committed)
        first = rng_between(m->rng, committed + 1, m->log.last);
    op->append.first = first;
    op->append.count = count;
    op->append.entries = mem_zalloc(count * sizeof(*op->append.entries));
    for (uint32_t i = 0; i < count; i++) {
        struct blob *payload = random_payload(m);

        set_entry(m, first + i, m->log.term, blob_ref(payload));
        op->append.entries[i] = (struct log_entry){.term = m->log.term,
                                                   .kind = kind_of(first + i, payload),
                                                   .payload = payload};
    }
    m->log.last = first + count - 1;
    end_op(m);
}

static void make_meta(struct maker *m)
{
    struct log_op *op = add_op(m, LOG_META);

    m->log.term += rng_below(m->rng, 3);
    m->log.vote = rng_below(m->rng, 4);
    op->meta.term = m->log.term;
    op->meta.vote = m->log.vote;
    end_op(m);
}

struct blob *script_chunk(uint64_t snapshot, uint32_t number)
{
    struct rng rng = {snapshot << 32 | number};
    struct blob *b = blob_create((size_t)rng_between(&rng, 1, 9000));

    for (size_t i = 0; i < b->size; i++)
        b->data[i] = (uint8_t)rng_next(&rng);
    return b;
}

static void add_snapshot(struct maker *m, uint64_t index, uint64_t term, bool reset)
{
    struct script *s = m->s;
    struct snapshot_image image = {
        .index = index,
        .term = term,
        .reset = reset,
        .chunks = (uint32_t)rng_below(m->rng, 8),
    };
    uint64_t number = ++s->snapshot_count;

    for (uint32_t n = 0; n < image.chunks; n++) {
        struct blob *b = script_chunk(number, n);

        image.crc = crc32c(image.crc, b->data, b->size);
        blob_unref(b);
    }
    MEM_GROW(s->snapshots, s->snapshot_capacity, number + 1);
    s->snapshots[number] = image;
    /* Our own hold only what is durable; an installed one comes when it comes. */
    add_step(m, STEP_SNAPSHOT, number, !reset || rng_percent(m->rng, 50));
}

/* Our own snapshot, then a trim to somewhere in it. */
static void make_snapshot(struct maker *m)
{
    uint64_t from = m->s->snapshots[m->s->snapshot_count].index;
    struct log_op *op;

    if (from < m->log.base)
        from = m->log.base;
    if (m->log.last == from)
        return;
    uint64_t index = rng_between(m->rng, from + 1, m->log.last);

    add_snapshot(m, index, m->entries[index].term, false);
    op = add_op(m, LOG_TRIM);
    op->trim_to = m->log.base = rng_between(m->rng, m->log.base, index);
    end_op(m);
}

/* A snapshot of a peer, then the log begins after it. */
static void make_install(struct maker *m)
{
    uint64_t from = m->s->snapshots[m->s->snapshot_count].index;
    struct log_op *op;

    if (from < m->log.base)
        from = m->log.base;
    uint64_t index = rng_between(m->rng, from + 1, m->log.last + 20);

    add_snapshot(m, index, m->log.term, true);
    op = add_op(m, LOG_RESET);
    op->reset_to = m->log.base = m->log.last = index;
    end_op(m);
}

void script_make(struct script *s, struct rng *rng, unsigned steps)
{
    struct maker *m = mem_zalloc(sizeof(*m));

    *s = (struct script){0};
    m->s = s;
    m->rng = rng;
    m->log = (struct log_image){.term = 1, .last = 1};
    MEM_GROW(s->snapshots, s->snapshot_capacity, 1);
    s->snapshots[0] = (struct snapshot_image){0};
    set_entry(m,
              1,
              1,
              blob_copy((struct bytes){(const uint8_t *)SCRIPT_CONFIGURATION,
                                       strlen(SCRIPT_CONFIGURATION)}));
    end_op(m);
    while (s->step_count < steps) {
        uint64_t roll = rng_below(rng, 100);

        if (roll < 70)
            make_append(m);
        else if (roll < 82)
            make_meta(m);
        else if (roll < 93)
            make_snapshot(m);
        else
            make_install(m);
    }
    for (size_t i = 0; i < ENTRIES_MAX; i++)
        blob_unref(m->entries[i].payload);
    mem_free(m);
}

void script_finish(struct script *s)
{
    for (size_t i = 1; i <= s->op_count; i++)
        log_op_destroy(s->ops[i]);
    mem_free(s->ops);
    mem_free(s->steps);
    mem_free(s->logs);
    mem_free(s->snapshots);
    *s = (struct script){0};
}

struct log_op *script_copy_op(const struct script *s, uint64_t number)
{
    const struct log_op *from = s->ops[number];
    struct log_op *op = mem_dup(from, sizeof(*from));

    if (op->kind != LOG_APPEND)
        return op;
    op->append.entries = mem_dup(from->append.entries,
                                 from->append.count * sizeof(*from->append.entries));
    for (uint32_t i = 0; i < op->append.count; i++)
        blob_ref(op->append.entries[i].payload);
    return op;
}

struct log_image script_settle(struct log_image log,
                               const struct snapshot_image *snapshot)
{
    if (log.last >= snapshot->index && !(snapshot->reset && log.base < snapshot->index))
        return log;
    log.base = log.last = snapshot->index;
    log.digest = 0;
    return log;
}
