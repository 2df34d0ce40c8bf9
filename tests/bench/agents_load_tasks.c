/* agents_load_tasks.c - a launcher that starts nothing: tasks are timers.
 *
 * A task whose second argument is a number ends after as many milliseconds, one with "never"
 * does not; others run as long as the fleet's do.  TERM and KILL end it.  Jobs with checks are
 * not for this launcher: nothing answers them.
 */
#include "agents_load.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "wire/job.h"

#include <string.h>

#define DIES_MS 1 /* from the signal to the end */

struct load_task {
    struct load_agent *agent;
    uint64_t attempt;
    uint64_t lasts_ms;
    uint32_t restarts;
    bool is_repeat; /* not the first attempt of its task */
    bool running;
    int signal; /* that ends it; 0: none */
    struct loop_timer timer;
    RB_ENTRY(load_task) by_attempt;
};

static int compare(const struct load_task *a, const struct load_task *b)
{
    return a->attempt < b->attempt ? -1 : a->attempt > b->attempt;
}

RB_GENERATE(load_tasks, load_task, by_attempt, compare)

static struct load_task *find(struct load_agent *a, uint64_t attempt)
{
    struct load_task key = {.attempt = attempt};

    return RB_FIND(load_tasks, &a->tasks, &key);
}

static void leave(struct load_task *t)
{
    timer_stop(t->agent->fleet->loop, &t->timer);
    if (t->running)
        t->agent->fleet->counts.running--;
    t->running = false;
}

static void task_ends(void *user)
{
    struct load_task *t = user;
    struct load_agent *a = t->agent;

    leave(t);
    a->fleet->counts.ended++;
    load_agent_drive(
        a,
        &(struct agent_event){
            .kind = AGENT_RUN_ENDED,
            .run_ended = {.attempt = t->attempt,
                          .restarts = t->restarts,
                          .how = t->signal == 0 ? RUN_END_EXITED : RUN_END_SIGNALED,
                          .code = t->signal}});
}

static void task_starts(void *user)
{
    struct load_task *t = user;
    struct load_agent *a = t->agent;

    t->running = true;
    a->fleet->counts.running++;
    a->fleet->counts.started++;
    a->fleet->counts.repeats_started += t->is_repeat ? 1 : 0;
    if (t->lasts_ms != NEVER_ENDS)
        timer_set_in(a->fleet->loop, &t->timer, t->lasts_ms, task_ends, t);
    load_agent_drive(
        a,
        &(struct agent_event){.kind = AGENT_RUN_STARTED,
                              .run_started = {.attempt = t->attempt,
                                              .restarts = t->restarts,
                                              .since_ms = clock_boottime_us() / 1000}});
}

static uint64_t lasts_ms(const struct fleet *f, struct bytes packed)
{
    struct job_spec spec;
    uint64_t ms = f->end_ms;

    if (job_spec_unpack(&spec, packed, NULL) != 0)
        return ms;
    if (spec.argc > 1 && strcmp(spec.argv[1], "never") == 0)
        ms = NEVER_ENDS;
    else if (spec.argc > 1)
        text_parse_u64(&ms, spec.argv[1]);
    job_spec_finish(&spec);
    return ms;
}

/* Also of one that failed, and is started again in its attempt. */
void tasks_start(struct load_agent *a, const struct run_start *run)
{
    struct fleet *f = a->fleet;
    struct load_task *t = find(a, run->attempt);

    if (t == NULL) {
        t = mem_zalloc(sizeof(*t));
        t->agent = a;
        t->attempt = run->attempt;
        RB_INSERT(load_tasks, &a->tasks, t);
        f->counts.launches++;
        f->counts.repeats += run->number > 1 ? 1 : 0;
    }
    t->restarts = run->restarts;
    t->is_repeat = run->number > 1;
    t->signal = 0;
    t->lasts_ms = lasts_ms(f, run->spec);
    timer_set_in(f->loop, &t->timer, f->start_ms, task_starts, t);
}

void tasks_signal(struct load_agent *a, uint64_t attempt, enum run_signal signal)
{
    struct load_task *t = find(a, attempt);

    if (t == NULL || !t->running || signal == RUN_SIGNAL_CANCEL || t->signal != 0)
        return;
    t->signal = signal == RUN_SIGNAL_TERM ? 15 : 9;
    a->fleet->counts.signalled++;
    timer_set_in(a->fleet->loop, &t->timer, DIES_MS, task_ends, t);
}

void tasks_forget(struct load_agent *a, uint64_t attempt)
{
    struct load_task *t = find(a, attempt);

    if (t == NULL)
        return;
    leave(t);
    a->fleet->counts.forgotten++;
    RB_REMOVE(load_tasks, &a->tasks, t);
    mem_free(t);
}

/* Not from inside of the walk: an end may be acknowledged, and the task forgotten, any time. */
void tasks_end(struct load_agent *a)
{
    struct load_task *t;

    RB_FOREACH (t, load_tasks, &a->tasks)
        if (t->running)
            timer_set_in(a->fleet->loop, &t->timer, 0, task_ends, t);
}

void tasks_stand_still(struct load_agent *a)
{
    struct load_task *t;

    RB_FOREACH (t, load_tasks, &a->tasks)
        leave(t);
}

void tasks_finish(struct load_agent *a)
{
    struct load_task *t, *next;

    RB_FOREACH_SAFE (t, load_tasks, &a->tasks, next) {
        leave(t);
        RB_REMOVE(load_tasks, &a->tasks, t);
        mem_free(t);
    }
}

/* Of tasks that use a little of everything. */
void tasks_tell_usage(struct load_agent *a)
{
    struct agent_event event = {.kind = AGENT_USAGE};
    struct usage_report *reports = NULL;
    size_t capacity = 0;
    struct load_task *t;

    RB_FOREACH (t, load_tasks, &a->tasks) {
        if (!t->running)
            continue;
        MEM_GROW(reports, capacity, event.usage.count + 1);
        reports[event.usage.count++] = (struct usage_report){
            .attempt = t->attempt,
            .cpu_milli = 50,
            .cpu_us = t->attempt * 1000,
            .memory_bytes = 12 * MIB,
            .memory_peak_bytes = 16 * MIB,
            .written_bytes = MIB,
            .pids = 1,
        };
    }
    event.usage.reports = reports;
    load_agent_drive(a, &event);
    mem_free(reports);
}
