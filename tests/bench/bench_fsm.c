/* bench_fsm.c - what applying costs: commands a second, bytes for each object, a snapshot.
 *
 *     make tests/bench/bench_fsm && tests/bench/bench_fsm [JOBS]
 *
 * Entries are made before the clock starts and hold 64 commands each, as a busy leader
 * makes them.  First one job of a million tasks is placed on 1,000 agents in batches, a tenth
 * of it runs and finishes, and agents are lost; then JOBS (default 200,000) single-task jobs
 * with a spec of about 250 bytes, each of a name of its own, are submitted, placed and
 * reported RUNNING and FINISHED, snapshot and purged. */
#include "base/mem.h"
#include "base/rng.h"
#include "raft_fsm/fsm.h"
#include "wire/command.h"

#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define AGENTS      1000
#define BATCH       64
#define ARRAY_TASKS 1000000
#define ARRAY_RUNS  100000 /* of it */
#define PLACE_BATCH 1000
#define SLICE_BYTES (64 * 1024)
#define BENCH_STAMP 1700000000000000ull

struct bench {
    struct state *state;
    struct outcome out;
    struct buffer *entries;
    size_t count, capacity;
    unsigned in_entry;
    struct buffer packed;
    size_t commands;
};

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void add(struct bench *b, const struct command *c)
{
    if (b->in_entry == 0 || b->in_entry == BATCH) {
        MEM_GROW(b->entries, b->capacity, b->count + 1);
        b->entries[b->count] = (struct buffer){0};
        entry_begin(&b->entries[b->count++], BENCH_STAMP);
        b->in_entry = 0;
    }
    buffer_clear(&b->packed);
    command_pack(c, &b->packed);
    entry_append(&b->entries[b->count - 1], buffer_view(&b->packed));
    b->in_entry++;
    b->commands++;
}

/* Apply everything that was added; seconds. */
static double apply_all(struct bench *b)
{
    double begin = now();

    for (size_t i = 0; i < b->count; i++) {
        outcome_clear(&b->out);
        fsm_apply(
            b->state, b->state->index + 1, 1, buffer_view(&b->entries[i]), &b->out);
    }
    return now() - begin;
}

static void forget_entries(struct bench *b)
{
    for (size_t i = 0; i < b->count; i++)
        buffer_finish(&b->entries[i]);
    b->count = 0;
    b->in_entry = 0;
    b->commands = 0;
}

static void run(struct bench *b, const char *what)
{
    size_t before = mallinfo2().uordblks;
    double seconds = apply_all(b);
    size_t bytes = mallinfo2().uordblks - before;

    printf("%-28s %9.0f /s  %7.1f bytes each\n",
           what,
           (double)b->commands / seconds,
           (double)(ssize_t)bytes / (double)b->commands);
    forget_entries(b);
}

static void add_submit(struct bench *b, uint64_t n, uint32_t instances)
{
    struct command c = {.kind = COMMAND_SUBMIT};
    struct buffer packed = {0};
    struct rng r = {n};
    struct job_spec spec;
    char text[256];
    int size;

    job_spec_init(&spec);
    snprintf(text, sizeof(text), "job-%" PRIu64, n);
    spec.name = mem_strdup(text);
    spec.instances = instances;
    spec.resources = (struct resources){{100, 1 << 20}};
    job_spec_add_arg(&spec, "/usr/bin/env");
    snprintf(text, sizeof(text), "%0180" PRIu64, n);
    job_spec_add_arg(&spec, text);
    job_spec_add_env(&spec, "HOME=/tmp");
    job_spec_pack(&spec, &packed);
    /* Keys as clients draw them. */
    size = snprintf(
        text, sizeof(text), "%016" PRIx64 "%016" PRIx64, rng_next(&r), rng_next(&r));
    c.submit.key = (struct bytes){(const uint8_t *)text, (size_t)size};
    c.submit.spec = buffer_view(&packed);
    add(b, &c);
    buffer_finish(&packed);
    job_spec_finish(&spec);
}

static void add_agent(struct bench *b, uint32_t n)
{
    struct command c = {.kind = COMMAND_AGENT_REGISTER};
    struct buffer packed = {0};
    struct agent_spec spec = {.hostname = mem_strdup("host-000.example"),
                              .http_address = mem_strdup("host-000.example:5051"),
                              .resources = {{65536000, LIMIT_RESOURCE}}};

    memcpy(spec.key, &n, sizeof(n));
    agent_spec_pack(&spec, &packed);
    c.agent_register.spec = buffer_view(&packed);
    add(b, &c);
    buffer_finish(&packed);
    agent_spec_finish(&spec);
}

static void add_place(struct bench *b, uint64_t job, uint32_t first, uint32_t count)
{
    struct placement p[PLACE_BATCH];
    struct command c = {.kind = COMMAND_PLACE,
                        .place = {.placements = p, .count = count}};

    for (uint32_t i = 0; i < count; i++)
        p[i] = (struct placement){job, first + i, 1, 1 + (job + first + i) % AGENTS};
    add(b, &c);
}

static void add_update(struct bench *b, uint64_t attempt, enum task_state state)
{
    struct attempt *t = state_attempt(b->state, attempt);
    struct task_update u = {.attempt = attempt, .state = state};
    struct command c = {
        .kind = COMMAND_TASK_UPDATE,
        .task_update = {.agent = t->agent->id, .updates = &u, .count = 1}};

    add(b, &c);
}

static void bench_jobs(struct bench *b, uint64_t jobs)
{
    for (uint64_t i = 1; i <= jobs; i++)
        add_submit(b, i, 1);
    run(b, "submit");
    for (uint64_t i = 1; i <= jobs; i++)
        add_submit(b, i, 1);
    run(b, "submit again, same key");
    for (uint64_t i = 1; i <= jobs; i++)
        add_place(b, i, 0, 1);
    run(b, "place");
    for (uint64_t i = 1; i <= jobs; i++)
        add_update(b, i, TASK_RUNNING);
    run(b, "update RUNNING");
    for (uint64_t i = 1; i <= jobs; i++)
        add_update(b, i, TASK_FINISHED);
    run(b, "update FINISHED");
}

/* One command, timed. */
static void run_one(struct bench *b, const char *what, const struct command *c)
{
    add(b, c);
    printf("%-28s %9.1f us\n", what, apply_all(b) * 1e6);
    forget_entries(b);
}

static _Noreturn void die(const struct error *err)
{
    fprintf(stderr, "%s\n", err->text);
    exit(1);
}

static void bench_snapshot(struct bench *b)
{
    struct restore *r = restore_begin();
    struct buffer all = {0}, out = {0};
    struct state *s = NULL;
    struct error err;
    double seconds = 0, worst = 0, begin, slice;
    bool more = true;

    begin = now();
    snapshot_begin(b->state);
    while (more) {
        buffer_clear(&out);
        begin = now();
        more = snapshot_next(b->state, &out, SLICE_BYTES);
        slice = now() - begin;
        seconds += slice;
        worst = slice > worst ? slice : worst;
        buffer_append(&all, out.data, out.size);
    }
    snapshot_end(b->state);
    printf("%-28s %9.0f MB/s (%.0f MB, longest slice %.0f us)\n",
           "snapshot walk",
           (double)all.size / 1e6 / seconds,
           (double)all.size / 1e6,
           worst * 1e6);
    begin = now();
    for (size_t at = 0; at < all.size; at += SLICE_BYTES) {
        size_t left = all.size - at;
        size_t size = left < SLICE_BYTES ? left : SLICE_BYTES;

        if (restore_feed(r, (struct bytes){all.data + at, size}, &err) != 0)
            die(&err);
    }
    if (restore_end(r, &s, &err) != 0)
        die(&err);
    printf("%-28s %9.0f MB/s\n", "restore", (double)all.size / 1e6 / (now() - begin));
    begin = now();
    state_check(s);
    printf("%-28s %9.0f ms\n", "of it state_check", (now() - begin) * 1e3);
    state_destroy(s);
    buffer_finish(&all);
    buffer_finish(&out);
}

static void bench_array(struct bench *b)
{
    add_submit(b, 1, ARRAY_TASKS);
    printf("%-28s %9.1f us\n", "submit 1,000,000 tasks", apply_all(b) * 1e6);
    forget_entries(b);
    for (uint32_t i = 0; i < ARRAY_TASKS; i += PLACE_BATCH)
        add_place(b, 1, i, PLACE_BATCH);
    b->commands = ARRAY_TASKS;
    run(b, "place in batches of 1,000");
    for (uint64_t i = 1; i <= ARRAY_RUNS; i++)
        add_update(b, i, TASK_RUNNING);
    run(b, "array: update RUNNING");
    for (uint64_t i = 1; i <= ARRAY_RUNS; i++)
        add_update(b, i, TASK_FINISHED);
    run(b, "array: update FINISHED");
    bench_snapshot(b);
    run_one(
        b,
        "agent with 900 unreachable",
        &(struct command){.kind = COMMAND_AGENT_UNREACHABLE, .agent_unreachable = {1}});
    run_one(b,
            "kill 1,000,000 live tasks",
            &(struct command){.kind = COMMAND_KILL, .kill = {1}});
    run_one(
        b,
        "likewise, of a killed job",
        &(struct command){.kind = COMMAND_AGENT_UNREACHABLE, .agent_unreachable = {2}});
    for (uint64_t i = 1; i <= AGENTS; i++)
        add(b, &(struct command){.kind = COMMAND_AGENT_GONE, .agent_gone = {i}});
    run(b, "agent with 900 gone");
    run_one(b,
            "purge 1,000,000 tasks",
            &(struct command){.kind = COMMAND_PURGE, .purge = {1}});
}

static void bench_purge(struct bench *b, uint64_t jobs)
{
    for (uint64_t i = 1; i <= jobs; i++)
        add(b, &(struct command){.kind = COMMAND_PURGE, .purge = {i}});
    run(b, "purge");
}

static void begin(struct bench *b)
{
    *b = (struct bench){.state = state_create()};
    add(b, &(struct command){.kind = COMMAND_FOUND});
    for (uint32_t i = 0; i < AGENTS; i++)
        add_agent(b, i);
}

static void end(struct bench *b)
{
    state_destroy(b->state);
    outcome_finish(&b->out);
    buffer_finish(&b->packed);
    mem_free(b->entries);
}

int main(int argc, char **argv)
{
    uint64_t jobs = argc > 1 ? strtoull(argv[1], NULL, 10) : 200000;
    struct bench b;

    mem_merge_at_once();
    begin(&b);
    run(&b, "agent_register");
    bench_array(&b);
    end(&b);
    begin(&b);
    apply_all(&b);
    forget_entries(&b);
    bench_jobs(&b, jobs);
    bench_snapshot(&b);
    bench_purge(&b, jobs);
    end(&b);
    return 0;
}
