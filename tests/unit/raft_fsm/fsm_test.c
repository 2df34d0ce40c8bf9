/* fsm_test.c - a state machine under test. */
#include "tests/unit/raft_fsm/fsm_test.h"

#include "base/assert.h"
#include "base/mem.h"
#include "raft_fsm/snapshot.h"

#include <string.h>

void fsm_setup_empty(struct fsm *f)
{
    *f = (struct fsm){.state = state_create(), .now_us = START_US};
}

void fsm_setup(struct fsm *f)
{
    fsm_setup_empty(f);
    ck_done(fsm_found(f), 0);
}

void fsm_teardown(struct fsm *f)
{
    state_destroy(f->state);
    outcome_finish(&f->out);
    buffer_finish(&f->entry);
}

static void apply_entry(struct fsm *f)
{
    outcome_clear(&f->out);
    f->work =
        fsm_apply(f->state, f->state->index + 1, 1, buffer_view(&f->entry), &f->out);
}

void fsm_apply_entry(struct fsm *f)
{
    apply_entry(f);
    state_check(f->state);
}

struct result fsm_entry(struct fsm *f, const struct command *commands, size_t count)
{
    struct result r = fsm_entry_fast(f, commands, count);

    state_check(f->state);
    return r;
}

struct result
fsm_entry_fast(struct fsm *f, const struct command *commands, size_t count)
{
    struct buffer packed = {0};

    f->now_us += 1000;
    buffer_clear(&f->entry);
    entry_begin(&f->entry, f->now_us);
    if (f->version != 0)
        f->entry.data[0] = f->version;
    for (size_t i = 0; i < count; i++) {
        buffer_clear(&packed);
        command_pack(&commands[i], &packed);
        entry_append(&f->entry, buffer_view(&packed));
    }
    buffer_finish(&packed);
    apply_entry(f);
    ck_assert_uint_eq(f->out.result_count, count);
    return f->out.results[count - 1];
}

struct result fsm_run(struct fsm *f, const struct command *c)
{
    return fsm_entry(f, c, 1);
}

struct result fsm_found(struct fsm *f)
{
    struct command c = {.kind = COMMAND_FOUND, .found = {"a cluster id 123"}};

    return fsm_run(f, &c);
}

struct result fsm_submit_spec(struct fsm *f, const char *key, struct bytes spec)
{
    struct command c = {
        .kind = COMMAND_SUBMIT,
        .submit = {.key = {(const uint8_t *)key, strlen(key)}, .spec = spec}};

    return fsm_run(f, &c);
}

struct result fsm_submit_job(struct fsm *f, const char *key, struct job_spec *spec)
{
    struct buffer packed = {0};
    struct result r;

    job_spec_pack(spec, &packed);
    job_spec_finish(spec);
    r = fsm_submit_spec(f, key, buffer_view(&packed));
    buffer_finish(&packed);
    return r;
}

struct result fsm_submit(struct fsm *f, const char *key, uint32_t instances)
{
    struct buffer spec = {0};
    struct result r;

    job_bytes(&spec, "a job", instances, 1);
    r = fsm_submit_spec(f, key, buffer_view(&spec));
    buffer_finish(&spec);
    return r;
}

struct result fsm_kill(struct fsm *f, uint64_t job)
{
    return fsm_run(f, &(struct command){.kind = COMMAND_KILL, .kill = {job}});
}

static void
able_agent_bytes(struct buffer *out, char key, uint64_t cpus, uint32_t features)
{
    struct agent_spec spec = {.hostname = mem_strdup("host"),
                              .http_address = mem_strdup("host:5051"),
                              .resources = {{cpus * 1000, 1ull << 40}},
                              .features = features};

    agent_key(spec.key, key);
    agent_spec_pack(&spec, out);
    agent_spec_finish(&spec);
}

struct result fsm_register(struct fsm *f, char key, uint64_t cpus)
{
    return fsm_register_able(f, key, cpus, AGENT_FEATURE_JOBS_2);
}

struct result
fsm_register_able(struct fsm *f, char key, uint64_t cpus, uint32_t features)
{
    struct command c = {.kind = COMMAND_AGENT_REGISTER};
    struct buffer spec = {0};
    struct result r;

    able_agent_bytes(&spec, key, cpus, features);
    c.agent_register.spec = buffer_view(&spec);
    r = fsm_run(f, &c);
    buffer_finish(&spec);
    return r;
}

struct result fsm_reregister(struct fsm *f, uint64_t agent, char key, uint64_t cpus)
{
    struct command c = {.kind = COMMAND_AGENT_REREGISTER,
                        .agent_reregister = {.agent = agent}};
    struct buffer spec = {0};
    struct result r;

    agent_bytes(&spec, key, cpus);
    c.agent_reregister.spec = buffer_view(&spec);
    r = fsm_run(f, &c);
    buffer_finish(&spec);
    return r;
}

struct result fsm_unreachable(struct fsm *f, uint64_t agent)
{
    struct command c = {.kind = COMMAND_AGENT_UNREACHABLE,
                        .agent_unreachable = {agent}};

    return fsm_run(f, &c);
}

struct result fsm_gone(struct fsm *f, uint64_t agent)
{
    struct command c = {.kind = COMMAND_AGENT_GONE, .agent_gone = {agent}};

    return fsm_run(f, &c);
}

struct result
fsm_mode(struct fsm *f, uint64_t agent, enum agent_mode mode, uint64_t deadline_ms)
{
    struct command c = {.kind = COMMAND_AGENT_MODE,
                        .agent_mode = {agent, mode, deadline_ms}};

    return fsm_run(f, &c);
}

struct result fsm_drain_due(struct fsm *f, uint64_t agent)
{
    struct command c = {.kind = COMMAND_DRAIN_DUE, .drain_due = {agent}};

    return fsm_run(f, &c);
}

struct result
fsm_retry(struct fsm *f, uint64_t job, uint32_t instance, uint32_t attempt)
{
    struct command c = {.kind = COMMAND_RETRY, .retry = {job, instance, attempt}};

    return fsm_run(f, &c);
}

struct result fsm_lapse(struct fsm *f, uint64_t attempt)
{
    struct command c = {.kind = COMMAND_LAPSE, .lapse = {attempt}};

    return fsm_run(f, &c);
}

struct result fsm_place_all(struct fsm *f, const struct placement *p, uint32_t count)
{
    struct command c = {.kind = COMMAND_PLACE,
                        .place = {.placements = p, .count = count}};

    return fsm_run(f, &c);
}

struct result fsm_place(struct fsm *f, uint64_t job, uint32_t instance, uint64_t agent)
{
    const struct job *j = state_job(f->state, job);
    const struct task *t = j == NULL ? NULL : job_task(j, instance);
    struct placement p = {job, instance, t == NULL ? 1 : t->attempt + 1, agent};

    return fsm_place_all(f, &p, 1);
}

struct result
fsm_update(struct fsm *f, uint64_t agent, uint64_t attempt, enum task_state state)
{
    struct task_update u = {.attempt = attempt, .state = state};
    struct command c = {.kind = COMMAND_TASK_UPDATE,
                        .task_update = {.agent = agent, .updates = &u, .count = 1}};

    if (state == TASK_FAILED) {
        u.exit_code = 7;
        u.reason = TASK_REASON_EXITED;
        u.message = (struct bytes){(const uint8_t *)"it broke", 8};
    }
    return fsm_run(f, &c);
}

struct result fsm_purge(struct fsm *f, uint64_t job)
{
    return fsm_run(f, &(struct command){.kind = COMMAND_PURGE, .purge = {job}});
}

struct result fsm_expire(struct fsm *f, uint64_t before_us)
{
    struct command c = {.kind = COMMAND_EXPIRE_KEYS, .expire_keys = {before_us}};

    return fsm_run(f, &c);
}

void job_bytes(struct buffer *out, const char *name, uint32_t instances, uint64_t cpus)
{
    struct job_spec spec;

    job_spec_init(&spec);
    spec.name = mem_strdup(name);
    spec.instances = instances;
    spec.resources = (struct resources){{cpus * 1000, 64 << 20}};
    job_spec_add_arg(&spec, "/bin/true");
    job_spec_pack(&spec, out);
    job_spec_finish(&spec);
}

void agent_key(uint8_t key[16], char c)
{
    memset(key, c, 16);
}

void agent_bytes(struct buffer *out, char key, uint64_t cpus)
{
    able_agent_bytes(out, key, cpus, AGENT_FEATURE_JOBS_2);
}

unsigned fsm_effects(const struct fsm *f, enum effect_kind kind, uint64_t id)
{
    unsigned count = 0;

    for (size_t i = 0; i < f->out.effect_count; i++)
        count += f->out.effects[i].kind == kind && f->out.effects[i].id == id;
    return count;
}

void fsm_snapshot(const struct state *s, struct buffer *out)
{
    struct state *walked = (struct state *)s; /* only its walk changes */

    snapshot_begin(walked);
    while (snapshot_next(walked, out, 1 << 20))
        ;
    snapshot_end(walked);
}

struct state *fsm_restored(struct bytes snapshot)
{
    struct restore *r = restore_begin();
    struct state *s = NULL;
    struct error err;

    if (restore_feed(r, snapshot, &err) != 0 || restore_end(r, &s, &err) != 0)
        ck_abort_msg("%s", err.text);
    return s;
}

void fsm_objects(const struct state *s, struct buffer *out)
{
    struct buffer all = {0};
    size_t globals, end = 4 + 1 + HASH128_BYTES;

    fsm_snapshot(s, &all);
    globals = SNAPSHOT_HEADER_BYTES + 4 + load_u32(all.data + SNAPSHOT_HEADER_BYTES);
    buffer_append(out, all.data + globals, all.size - globals - end);
    buffer_finish(&all);
}

void ck_same_bytes(const struct buffer *expected, const struct buffer *seen)
{
    ck_assert_uint_eq(seen->size, expected->size);
    if (seen->size > 0)
        ck_assert_mem_eq(seen->data, expected->data, expected->size);
}
