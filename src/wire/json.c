/* json.c - what people and programs are shown, as JSON. */
#include "wire/json.h"

#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "wire/message_agent.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* ---- values ---- */

static json_t *number(uint64_t value)
{
    return json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value);
}

static json_t *number_if(bool known, uint64_t value)
{
    return known ? number(value) : json_null();
}

static json_t *text(struct bytes bytes)
{
    char *clean = text_clean(bytes);
    json_t *value = json_string(clean);

    mem_free(clean);
    return value;
}

static json_t *time_or_null(uint64_t stamp_us)
{
    char at[TEXT_TIME_MAX];

    if (stamp_us == 0)
        return json_null();
    text_time(at, stamp_us);
    return json_string(at);
}

json_t *json_thousandths(uint64_t value)
{
    if (value % 1000 == 0)
        return number(value / 1000);
    return json_real((double)value / 1000);
}

/* To the nearest thousandth, in two steps, so that nothing overflows. */
json_t *json_mib(uint64_t bytes)
{
    return json_thousandths(bytes / MIB * 1000 + (bytes % MIB * 1000 + MIB / 2) / MIB);
}

json_t *json_resources(const struct resources *r)
{
    json_t *o = json_object();

    json_object_set_new(o, "cpus", json_thousandths(r->amount[RESOURCE_CPUS]));
    json_object_set_new(o, "mem", json_mib(r->amount[RESOURCE_MEM]));
    json_object_set_new(o, "disk", json_mib(r->amount[RESOURCE_DISK]));
    json_object_set_new(o, "gpus", number(r->amount[RESOURCE_GPUS]));
    return o;
}

/* With up to three decimals. */
static json_t *seconds_if(bool known, uint64_t ms)
{
    return known ? json_thousandths(ms) : json_null();
}

/* ---- jobs and tasks ---- */

static json_t *task_counts(const struct job_summary *j)
{
    json_t *counts = json_object();

    for (enum task_state s = 0; s < TASK_STATE_COUNT; s++)
        if (j->tasks[s] > 0)
            json_object_set_new(counts, task_state_name(s), number(j->tasks[s]));
    return counts;
}

static json_t *reservation(const struct job_summary *j)
{
    json_t *o = json_object();

    json_object_set_new(o, "agent", number(j->reserved_agent));
    json_object_set_new(o, "at", time_or_null(j->reserved_us));
    return o;
}

static json_t *job_with(const struct job_summary *j, json_t *tasks)
{
    bool known = j->expected_ms != 0;
    json_t *o = json_object();

    json_object_set_new(o, "id", number(j->id));
    json_object_set_new(o, "name", text(j->name));
    json_object_set_new(o, "state", json_string(job_state_name(j->state)));
    json_object_set_new(o, "instances", number(j->instances));
    json_object_set_new(o, "tasks", tasks);
    json_object_set_new(o, "priority", json_integer(j->priority));
    json_object_set_new(o, "kind", json_string(job_kind_name(j->kind)));
    json_object_set_new(o, "submitted", time_or_null(j->submitted_us));
    json_object_set_new(o, "ended", time_or_null(j->ended_us));
    json_object_set_new(o, "why", j->why.size > 0 ? text(j->why) : json_null());
    json_object_set_new(o, "estimate", seconds_if(known, j->expected_ms));
    json_object_set_new(o,
                        "estimate_from",
                        known ? json_string(expectation_name(j->expected_from))
                              : json_null());
    json_object_set_new(
        o, "reservation", j->reserved_agent != 0 ? reservation(j) : json_null());
    return o;
}

json_t *json_job(const struct job_summary *j, json_t *tasks, json_t *spec)
{
    json_t *o = job_with(j, tasks);

    json_object_set_new(o, "spec", spec);
    return o;
}

json_t *json_job_summary(const struct job_summary *j)
{
    return job_with(j, task_counts(j));
}

/* A task that ran to an end has an exit code; one that was lost or never started has not. */
static json_t *exit_code(const struct task_info *t)
{
    bool never_began =
        t->reason == TASK_REASON_FETCH_FAILED || t->reason == TASK_REASON_IMAGE_FAILED;

    if (!never_began &&
        (t->state == TASK_FINISHED || t->state == TASK_FAILED ||
         t->reason == TASK_REASON_EXITED || t->reason == TASK_REASON_SIGNALED))
        return json_integer(t->exit_code);
    return json_null();
}

/* Of a live attempt, in the order of the job. */
static json_t *task_ports(const struct task_info *t)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < t->port_count; i++)
        json_array_append_new(list, number(t->ports[i]));
    return list;
}

json_t *json_task(uint64_t job, const struct task_info *t)
{
    json_t *o = json_object();
    char id[48];

    snprintf(id, sizeof(id), "%llu.%u", (unsigned long long)job, t->instance);
    json_object_set_new(o, "id", json_string(id));
    json_object_set_new(o, "instance", number(t->instance));
    json_object_set_new(o, "attempt", number(t->attempt));
    json_object_set_new(o, "attempt_id", number_if(t->attempt_id != 0, t->attempt_id));
    json_object_set_new(o, "state", json_string(task_state_name(t->state)));
    json_object_set_new(o, "agent_id", number_if(t->agent_id != 0, t->agent_id));
    json_object_set_new(o, "exit_code", exit_code(t));
    json_object_set_new(o,
                        "reason",
                        t->reason == TASK_REASON_NONE
                            ? json_null()
                            : json_string(task_reason_name(t->reason)));
    json_object_set_new(o, "message", text(t->message));
    json_object_set_new(o, "ports", task_ports(t));
    json_object_set_new(o, "health", json_string(task_health_name(t->health)));
    json_object_set_new(o, "restarts", number(t->restarts));
    json_object_set_new(o, "placed", time_or_null(t->placed_us));
    json_object_set_new(o, "started", time_or_null(t->started_us));
    json_object_set_new(o, "ended", time_or_null(t->ended_us));
    json_object_set_new(o, "why", t->why.size > 0 ? text(t->why) : json_null());
    return o;
}

/* ---- agents ---- */

static json_t *custom(const struct agent_spec *spec)
{
    json_t *o = json_object();

    for (size_t i = 0; i < spec->custom.count; i++)
        json_object_set_new(o,
                            spec->custom.items[i].name,
                            json_thousandths(spec->custom.items[i].amount));
    return o;
}

static json_t *features(const struct agent_spec *spec)
{
    json_t *list = json_array();

#define X(bit, name, word, ...)                       \
    if ((spec->features & AGENT_FEATURE_##name) != 0) \
        json_array_append_new(list, json_string(word));
    AGENT_FEATURES(X)
    AGENT_TRAITS(X)
#undef X
    return list;
}

static json_t *attributes(const struct agent_spec *spec)
{
    json_t *o = json_object();

    for (size_t i = 0; i < spec->attribute_count; i++)
        json_object_set_new(
            o, spec->attributes[i].name, text(text_view(spec->attributes[i].value)));
    return o;
}

static json_t *ports(const struct port_range *ranges, size_t count)
{
    json_t *list = json_array();

    for (size_t i = 0; i < count; i++) {
        char range[16];

        snprintf(range, sizeof(range), "%u-%u", ranges[i].first, ranges[i].last);
        json_array_append_new(list, json_string(range));
    }
    return list;
}

static json_t *allocated(const struct agent_info *a)
{
    json_t *o = json_resources(&a->allocated), *used = json_object();

    for (size_t i = 0; i < a->custom_count; i++) {
        char *name = text_clean(a->custom[i].name);

        json_object_set_new(used, name, json_thousandths(a->custom[i].amount));
        mem_free(name);
    }
    json_object_set_new(o, "ports", ports(a->ports, a->range_count));
    json_object_set_new(o, "custom", used);
    return o;
}

json_t *json_agent(const struct agent_info *a, struct error *err)
{
    struct agent_spec spec;
    json_t *o, *offered;

    if (agent_spec_unpack(&spec, a->spec, err) != 0)
        return NULL;
    o = json_object();
    offered = json_resources(&spec.resources);
    json_object_set_new(offered, "ports", ports(spec.ports, spec.port_count));
    json_object_set_new(offered, "custom", custom(&spec));
    json_object_set_new(o, "id", number(a->id));
    json_object_set_new(o, "hostname", text(text_view(spec.hostname)));
    json_object_set_new(o, "address", text(text_view(spec.http_address)));
    json_object_set_new(o, "rpc_address", text(text_view(spec.rpc_address)));
    json_object_set_new(o, "state", json_string(agent_state_name(a->state)));
    json_object_set_new(o, "mode", json_string(agent_mode_name(a->mode)));
    json_object_set_new(o, "deadline", time_or_null(a->drain_us));
    json_object_set_new(
        o, "disk_low", json_boolean((a->flags & AGENT_FLAG_LOW_DISK) != 0));
    json_object_set_new(o, "damped", json_boolean((a->flags & AGENT_FLAG_DAMPED) != 0));
    json_object_set_new(o, "resources", offered);
    json_object_set_new(o, "allocated", allocated(a));
    json_object_set_new(o, "attributes", attributes(&spec));
    json_object_set_new(o, "features", features(&spec));
    json_object_set_new(o, "tasks", number(a->tasks));
    agent_spec_finish(&spec);
    return o;
}

/* ---- roles ---- */

/* Without what is not given. */
static json_t *bound(const struct role_bound *b)
{
    json_t *o = json_object(), *all = json_resources(&b->amount);

    for (int k = 0; k < RESOURCE_KINDS; k++) {
        const char *name = resource_name((enum resource_kind)k);

        if ((b->kinds & 1u << k) != 0)
            json_object_set(o, name, json_object_get(all, name));
    }
    for (size_t i = 0; i < b->custom.count; i++)
        json_object_set_new(
            o, b->custom.items[i].name, json_thousandths(b->custom.items[i].amount));
    json_decref(all);
    return o;
}

static json_t *used(const struct role_info *r)
{
    json_t *o = json_resources(&r->used);

    for (size_t i = 0; i < r->custom_count; i++) {
        char *name = text_copy(r->custom[i].name);

        json_object_set_new(o, name, json_thousandths(r->custom[i].amount));
        mem_free(name);
    }
    return o;
}

static json_t *seconds_or_null(uint64_t ms)
{
    return ms == ROLE_NEVER ? json_null() : json_thousandths(ms);
}

json_t *json_role(const struct role_info *r, struct error *err)
{
    struct role_change all;
    const struct role_spec *s = &all.spec;
    json_t *o;

    if (role_change_unpack(&all, r->spec, err) != 0)
        return NULL;
    o = json_object();
    json_object_set_new(o, "name", json_string(all.name));
    json_object_set_new(o, "order", json_string(role_order_name(s->order)));
    json_object_set_new(o, "priority", json_integer(s->priority));
    json_object_set_new(o, "weight", json_thousandths(s->weight));
    json_object_set_new(o, "min", bound(&s->min));
    json_object_set_new(o, "max", bound(&s->max));
    json_object_set_new(o, "aging", seconds_or_null(s->aging_ms));
    json_object_set_new(o, "length", seconds_or_null(s->length_ms));
    json_object_set_new(o, "alpha", json_integer(s->alpha));
    json_object_set_new(o, "placement", json_string(role_balance_name(s->balance)));
    json_object_set_new(o, "reserve", seconds_or_null(s->reserve_ms));
    json_object_set_new(o, "preempt", json_integer(s->preempt));
    json_object_set_new(o, "rebalance", json_integer(s->rebalance));
    json_object_set_new(o, "jobs", number(r->jobs));
    json_object_set_new(o, "used", used(r));
    json_object_set_new(o, "share", json_thousandths(r->share / 1000000000ull));
    role_change_finish(&all);
    return o;
}

/* ---- failures ---- */

static void set_type(json_t *o, struct failure_type type)
{
    char name[FAILURE_TYPE_MAX];

    failure_type_name(name, type);
    json_object_set_new(o, "type", json_string(name));
    json_object_set_new(o, "of", json_string(type.of_agent ? "agent" : "task"));
}

json_t *json_failure(const struct failure_info *f)
{
    bool of_task = !f->type.of_agent;
    bool recovered = f->state == FAILURE_IS_RECOVERED;
    json_t *o = json_object();
    char task[48];

    snprintf(task, sizeof(task), "%llu.%u", (unsigned long long)f->job, f->instance);
    json_object_set_new(o, "id", number(f->id));
    set_type(o, f->type);
    json_object_set_new(o, "time", time_or_null(f->stamp_us));
    json_object_set_new(o, "down", time_or_null(f->down_us));
    json_object_set_new(o, "job", number_if(of_task, f->job));
    json_object_set_new(o, "task", of_task ? json_string(task) : json_null());
    json_object_set_new(o, "attempt", number_if(of_task, f->attempt));
    json_object_set_new(o, "agent_id", number(f->agent));
    json_object_set_new(o,
                        "task_state",
                        of_task ? json_string(task_state_name(f->task_state))
                                : json_null());
    json_object_set_new(
        o, "exit_code", of_task ? json_integer(f->exit_code) : json_null());
    json_object_set_new(o, "done", json_string(failure_deed_name(f->deed)));
    json_object_set_new(o, "retry", time_or_null(f->retry_us));
    json_object_set_new(o, "moved", number_if(f->type.of_agent, f->moved));
    json_object_set_new(o, "state", json_string(failure_state_name(f->state)));
    json_object_set_new(o, "recovered", time_or_null(f->recovered_us));
    json_object_set_new(
        o, "recovery", seconds_if(recovered, (f->recovered_us - f->down_us) / 1000));
    json_object_set_new(
        o, "next_agent_id", number_if(f->next_agent != 0, f->next_agent));
    return o;
}

json_t *json_failure_sum(const struct failure_sum_info *f)
{
    bool known = f->recovered > 0;
    json_t *o = json_object();

    set_type(o, f->type);
    json_object_set_new(o, "count", number(f->count));
    json_object_set_new(o, "open", number(f->open));
    json_object_set_new(o, "recovered", number(f->recovered));
    json_object_set_new(
        o, "mean", seconds_if(known, known ? f->recovery_us / f->recovered / 1000 : 0));
    json_object_set_new(o, "longest", seconds_if(known, f->longest_us / 1000));
    return o;
}

/* ---- masters ---- */

static json_t *digest(struct bytes bytes)
{
    char hex[2 * DIGEST_BYTES + 1];

    if (bytes.size != DIGEST_BYTES)
        return json_null();
    for (size_t i = 0; i < DIGEST_BYTES; i++)
        snprintf(hex + 2 * i, 3, "%02x", bytes.data[i]);
    return json_string(hex);
}

static bool is_unreachable(const struct master_info *m)
{
    struct bytes role = text_view("unreachable");

    return m->role.size == role.size && memcmp(m->role.data, role.data, role.size) == 0;
}

json_t *json_master(const struct master_info *m)
{
    bool answers = !is_unreachable(m);
    json_t *o = json_object();

    json_object_set_new(o, "id", number(m->id));
    json_object_set_new(o, "address", text(m->address));
    json_object_set_new(o, "role", text(m->role));
    json_object_set_new(o, "term", number_if(answers, m->term));
    json_object_set_new(o, "commit_index", number_if(answers, m->commit_index));
    json_object_set_new(o, "applied_index", number_if(answers, m->applied_index));
    json_object_set_new(o, "digest", digest(m->digest));
    json_object_set_new(
        o, "digest_index", number_if(m->digest.size > 0, m->digest_index));
    return o;
}

/* ---- text ---- */

static int append_piece(const char *piece, size_t size, void *out)
{
    buffer_append(out, piece, size);
    return 0;
}

void json_write(const json_t *value, struct buffer *out)
{
    /* Fifteen digits print each number of thousandths as it was typed. */
    int rc = json_dump_callback(
        value, append_piece, out, JSON_INDENT(2) | JSON_REAL_PRECISION(15));

    ASSERT(rc == 0);
    buffer_append_u8(out, '\n');
}
