/* progress.c - one job's progress as text. */
#include "client/progress.h"

#include "base/mem.h"
#include "base/text.h"

#include <inttypes.h>

#define BAR_MAX   30
#define BAR_MIN   10
#define FULL_CELL "\xe2\x96\x88"
#define FREE_CELL "\xe2\x96\x91"

uint32_t progress_ended(const struct job_summary *job)
{
    uint32_t sum = 0;

    for (enum task_state s = 0; s < TASK_STATE_COUNT; s++)
        if (task_state_is_final(s))
            sum += job->tasks[s];
    return sum;
}

struct count {
    const char *word;
    enum style style;
    uint32_t tasks;
};

#define COUNTS 8

static void count_tasks(const struct job_summary *job, struct count counts[COUNTS])
{
    const uint32_t *n = job->tasks;

    counts[0] = (struct count){"running", STYLE_LIVE, n[TASK_RUNNING]};
    counts[1] =
        (struct count){"starting", STYLE_LIVE, n[TASK_STAGING] + n[TASK_STARTING]};
    counts[2] = (struct count){"killing", STYLE_WARN, n[TASK_KILLING]};
    counts[3] = (struct count){"pending", STYLE_DIM, n[TASK_PENDING]};
    counts[4] = (struct count){"failed", STYLE_BAD, n[TASK_FAILED]};
    counts[5] = (struct count){"not started", STYLE_BAD, n[TASK_ERROR]};
    counts[6] = (struct count){"killed", STYLE_WARN, n[TASK_KILLED]};
    counts[7] = (struct count){"lost", STYLE_WARN, n[TASK_LOST]};
}

void progress_counts(struct buffer *out,
                     const struct screen *s,
                     const struct job_summary *job)
{
    struct count counts[COUNTS];
    char text[48];

    count_tasks(job, counts);
    buffer_printf(out,
                  "%" PRIu32 " of %" PRIu32 " finished",
                  job->tasks[TASK_FINISHED],
                  job->instances);
    for (size_t i = 0; i < COUNTS; i++) {
        if (counts[i].tasks == 0)
            continue;
        buffer_append_text(out, ", ");
        snprintf(text, sizeof(text), "%" PRIu32 " %s", counts[i].tasks, counts[i].word);
        screen_styled(out, s, counts[i].style, text);
    }
}

static void append_bar(struct buffer *out,
                       const struct screen *s,
                       const struct job_summary *job,
                       size_t cells)
{
    uint64_t ended = progress_ended(job);
    size_t full = job->instances == 0 ? 0 : (size_t)(ended * cells / job->instances);

    screen_style(out, s, STYLE_GOOD);
    for (size_t i = 0; i < full; i++)
        buffer_append_text(out, FULL_CELL);
    screen_style(out, s, STYLE_DIM);
    for (size_t i = full; i < cells; i++)
        buffer_append_text(out, FREE_CELL);
    screen_style(out, s, STYLE_PLAIN);
}

/* What stands left and right of the bar, without colour: to know its width. */
static size_t
plain_columns(const struct progress *p, const char *head, const char *time)
{
    static const struct screen plain = {0};
    struct buffer counts = {0};
    size_t columns;

    progress_counts(&counts, &plain, p->job);
    buffer_append_u8(&counts, 0);
    columns = screen_columns(head) + screen_columns((const char *)counts.data) +
              screen_columns(time) + 6;
    buffer_finish(&counts);
    return columns;
}

/* A note makes the bar shorter, but never too short: then it is left out. */
static size_t bar_cells(size_t room, size_t *note)
{
    if (*note > 0 && room < *note + 2 + BAR_MIN)
        *note = 0;
    if (*note > 0)
        room -= *note + 2;
    if (room < BAR_MIN)
        return 0;
    return room < BAR_MAX ? room : BAR_MAX;
}

void progress_bar(struct buffer *out,
                  const struct screen *s,
                  const struct progress *p,
                  size_t columns)
{
    char *name = text_clean(p->job->name);
    size_t note = screen_columns(p->note);
    struct buffer head = {0};
    char time[TEXT_SHORT_MAX];
    size_t used, cells;

    buffer_printf(&head, "job %" PRIu64 " ", p->job->id);
    screen_fit(&head, name, columns / 5);
    buffer_append_u8(&head, 0);
    /* Tenths, as later, also of the first second. */
    text_duration(
        time, p->elapsed_ms < 1000 ? p->elapsed_ms / 100 * 100 : p->elapsed_ms);
    used = plain_columns(p, (const char *)head.data, time);
    cells = bar_cells(columns > used ? columns - used - 1 : 0, &note);
    screen_styled(out, s, STYLE_HEAD, (const char *)head.data);
    buffer_append_text(out, "  ");
    if (cells > 0) {
        append_bar(out, s, p->job, cells);
        buffer_append_text(out, "  ");
    }
    progress_counts(out, s, p->job);
    buffer_append_text(out, "  ");
    screen_styled(out, s, STYLE_DIM, time);
    if (note > 0) {
        buffer_append_text(out, "  ");
        screen_styled(out, s, STYLE_DIM, p->note);
    }
    buffer_finish(&head);
    mem_free(name);
}

void progress_line(struct buffer *out, const struct screen *s, const struct progress *p)
{
    char time[TEXT_SHORT_MAX];

    buffer_printf(out, "job %" PRIu64 " ", p->job->id);
    screen_styled(out, s, style_of_job(p->job->state), job_state_name(p->job->state));
    buffer_append_text(out, ": ");
    progress_counts(out, s, p->job);
    buffer_printf(out, " after %s\n", text_duration(time, p->elapsed_ms));
}
