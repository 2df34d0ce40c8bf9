/* records.c - what the agent keeps in its checkpoint, as keys and values.
 *
 *   "identity"          [version, key, agent id, cluster id or empty]
 *   "fence"             [highest term, highest attempt]
 *   "run" + attempt     [job, instance, number, term, spec, told to end,
 *                       cause, over, restarts, failures counted, since, [port…]]
 *                       attempt big-endian: in order.  Records of old end after "told
 *                       to end"
 *
 * How far a run came is not kept here: its launcher knows the truth (AGENT_ADOPT_RUN).
 */
#include "agent/core/core_internal.h"
#include "base/mem.h"
#include "wire/pack.h"

#include <string.h>

#define RECORDS_VERSION 1

static const char identity_key[] = "identity";
static const char fence_key[] = "fence";
static const char run_prefix[] = "run";

#define RUN_PREFIX_BYTES (sizeof(run_prefix) - 1)
#define RUN_KEY_BYTES    (RUN_PREFIX_BYTES + 8)

static bool key_is(struct bytes key, const char *text)
{
    return key.size == strlen(text) && memcmp(key.data, text, key.size) == 0;
}

/* ---- out ---- */

static struct agent_record *begin(struct agent_core *core, const void *key, size_t size)
{
    struct agent_actions *a = core->out;
    struct agent_record *record;

    MEM_GROW(a->records, a->record_capacity, a->record_count + 1);
    record = &a->records[a->record_count++];
    *record = (struct agent_record){.key.size = size};
    buffer_append(&a->record_bytes, key, size);
    record->value.size = a->record_bytes.size;
    return record;
}

static void end(struct agent_core *core, struct agent_record *record)
{
    record->value.size = core->out->record_bytes.size - record->value.size;
}

static void run_key(uint64_t attempt, uint8_t key[RUN_KEY_BYTES])
{
    memcpy(key, run_prefix, RUN_PREFIX_BYTES);
    for (size_t i = 0; i < 8; i++)
        key[RUN_PREFIX_BYTES + i] = (uint8_t)(attempt >> (56 - 8 * i));
}

void records_put_run(struct agent_core *core, const struct run *r)
{
    struct buffer *out = &core->out->record_bytes;
    uint8_t key[RUN_KEY_BYTES];
    struct agent_record *record;

    run_key(r->attempt, key);
    record = begin(core, key, sizeof(key));
    pack_array(out, 12);
    pack_uint(out, r->job);
    pack_uint(out, r->instance);
    pack_uint(out, r->number);
    pack_uint(out, r->term);
    pack_bytes(out, r->spec);
    pack_bool(out, r->cause != CAUSE_NONE);
    pack_uint(out, r->cause);
    pack_bool(out, r->over);
    pack_uint(out, r->restarts);
    pack_uint(out, r->window_count);
    pack_uint(out, r->window_ms);
    pack_array(out, r->port_count);
    for (uint32_t i = 0; i < r->port_count; i++)
        pack_uint(out, r->ports[i]);
    end(core, record);
}

void records_erase_run(struct agent_core *core, const struct run *r)
{
    uint8_t key[RUN_KEY_BYTES];

    run_key(r->attempt, key);
    end(core, begin(core, key, sizeof(key)));
}

static void put_identity(struct agent_core *core)
{
    struct buffer *out = &core->out->record_bytes;
    struct agent_record *record = begin(core, identity_key, strlen(identity_key));

    pack_array(out, 4);
    pack_uint(out, RECORDS_VERSION);
    pack_bytes(out, (struct bytes){core->key, sizeof(core->key)});
    pack_uint(out, core->agent);
    pack_bytes(
        out,
        (struct bytes){core->cluster, core->has_cluster ? sizeof(core->cluster) : 0});
    end(core, record);
}

static void put_fence(struct agent_core *core)
{
    struct buffer *out = &core->out->record_bytes;
    struct agent_record *record = begin(core, fence_key, strlen(fence_key));

    pack_array(out, 2);
    pack_uint(out, core->term);
    pack_uint(out, core->highest);
    end(core, record);
}

void records_flush(struct agent_core *core)
{
    struct agent_action *action;

    if (core->identity_changed)
        put_identity(core);
    if (core->fence_changed)
        put_fence(core);
    core->identity_changed = false;
    core->fence_changed = false;
    if (core->out->record_count == 0)
        return;
    action = agent_actions_add(core->out, AGENT_RECORD);
    action->record.sequence = ++core->sequence;
    action->record.count = core->out->record_count;
}

/* ---- in ---- */

static int load_identity(struct agent_core *core, struct bytes value, struct error *err)
{
    struct unpack u;
    struct bytes cluster;
    uint64_t version;

    unpack_init(&u, value);
    if (unpack_enter(&u) < 4)
        unpack_fail(&u, "too short");
    version = unpack_uint(&u);
    if (unpack_ok(&u) && version != RECORDS_VERSION)
        return error_set(
            err,
            ERROR_VERSION,
            "the checkpoint has format %llu, this agent reads %d: start the "
            "version that wrote it",
            (unsigned long long)version,
            RECORDS_VERSION);
    unpack_fixed(&u, core->key, sizeof(core->key));
    core->agent = unpack_uint(&u);
    cluster = unpack_bytes(&u, sizeof(core->cluster));
    if (cluster.size != 0 && cluster.size != sizeof(core->cluster))
        unpack_fail(&u, "the cluster id has a wrong size");
    unpack_leave(&u);
    if (unpack_finish(&u, "checkpoint record identity", err) != 0)
        return -ERROR_INVALID;
    core->has_cluster = cluster.size > 0;
    if (core->has_cluster)
        memcpy(core->cluster, cluster.data, sizeof(core->cluster));
    return 0;
}

static int load_fence(struct agent_core *core, struct bytes value, struct error *err)
{
    struct unpack u;

    unpack_init(&u, value);
    if (unpack_enter(&u) < 2)
        unpack_fail(&u, "too short");
    core->term = unpack_uint(&u);
    core->highest = unpack_uint(&u);
    unpack_leave(&u);
    return unpack_finish(&u, "checkpoint record fence", err);
}

static void load_ports(struct run *r, struct unpack *u)
{
    uint16_t ports[LIMIT_TASK_PORTS];
    uint32_t count = unpack_enter(u);

    if (count > LIMIT_TASK_PORTS)
        unpack_fail(u, "too many ports");
    for (uint32_t i = 0; i < count && unpack_ok(u); i++)
        ports[i] = (uint16_t)unpack_uint_max(u, UINT16_MAX);
    unpack_leave(u);
    if (unpack_ok(u))
        runs_set_ports(r, ports, count);
}

static int load_run(struct agent_core *core,
                    struct bytes key,
                    struct bytes value,
                    struct error *err)
{
    struct unpack u;
    struct run *r;
    uint64_t attempt = 0;
    bool stopped;

    for (size_t i = 0; i < 8; i++)
        attempt = attempt << 8 | key.data[RUN_PREFIX_BYTES + i];
    r = runs_restore(core, attempt);
    unpack_init(&u, value);
    if (unpack_enter(&u) < 5)
        unpack_fail(&u, "too short");
    r->job = unpack_uint(&u);
    r->instance = (uint32_t)unpack_uint_max(&u, UINT32_MAX);
    r->number = (uint32_t)unpack_uint_max(&u, UINT32_MAX);
    r->term = unpack_uint(&u);
    runs_set_spec(r, unpack_bytes(&u, LIMIT_SPEC_BYTES));
    stopped = unpack_bool(&u);
    r->cause = (uint8_t)unpack_uint_max(&u, CAUSE_HEALTH);
    if (stopped && r->cause == CAUSE_NONE)
        r->cause = CAUSE_ORDER;
    r->over = unpack_bool(&u);
    r->restarts = (uint32_t)unpack_uint_max(&u, UINT32_MAX);
    r->window_count = (uint32_t)unpack_uint_max(&u, UINT32_MAX);
    r->window_ms = unpack_uint(&u);
    load_ports(r, &u);
    unpack_leave(&u);
    runs_restored(core, r);
    return unpack_finish(&u, "checkpoint record of a run", err);
}

int records_load(struct agent_core *core,
                 const struct agent_record *records,
                 size_t count,
                 struct error *err)
{
    bool identity = false, fence = false;

    for (size_t i = 0; i < count; i++) {
        struct bytes key = records[i].key, value = records[i].value;
        int rv;

        if (key_is(key, identity_key)) {
            rv = load_identity(core, value, err);
            identity = true;
        } else if (key_is(key, fence_key)) {
            rv = load_fence(core, value, err);
            fence = true;
        } else if (key.size == RUN_KEY_BYTES &&
                   memcmp(key.data, run_prefix, RUN_PREFIX_BYTES) == 0) {
            rv = load_run(core, key, value, err);
        } else {
            rv = error_set(err, ERROR_CORRUPT, "unknown record in the checkpoint");
        }
        if (rv != 0)
            return rv;
    }
    if (identity != fence || (!identity && count > 0))
        return error_set(err, ERROR_CORRUPT, "the checkpoint misses a record");
    return 0;
}
