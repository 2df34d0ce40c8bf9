/* job_wait.c - wait for the end of a job and show how it goes.
 *
 * The job is asked for again and again, soon after a change and more and more rarely
 * without one.  A poll that fails is repeated: a job outlives the masters' absence, and so
 * does waiting for it.
 */
#include "client/job_wait.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "client/failures.h"
#include "client/progress.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define POLL_FIRST_MS 20
#define POLL_MAX_MS   500
#define REDRAW_MS     100 /* of the line on a terminal */
#define LINE_MS       1000
#define NOTE_MS       4000 /* how long it is shown who leads now */
#define LEADERLESS_MS 1000 /* a usual failover is not worth a word */
#define WHY_MS        1000 /* nor is a usual wait for room */
#define SIGNAL_STATUS 128  /* plus the signal: the status of an interrupted program */

struct wait {
    struct session *session;
    struct screen *screen;
    uint64_t id;
    struct client_call call;
    struct loop_timer poll;
    struct loop_timer draw;
    uint64_t poll_ms;

    struct buffer page;
    struct job_summary job; /* points into page */
    bool exists;            /* for sure */
    bool known;             /* there was an answer */
    int status;             /* exit status, or a negative error; once over is set */
    bool over;
    struct error err;

    char leader[ADDRESS_TEXT_MAX]; /* the last one that was seen to lead */
    uint64_t led_ms;               /* when it was first seen to lead */
    uint64_t leaderless_ms; /* since when nobody is known to lead; 0: somebody is */
    uint64_t why_ms;        /* since when there is a reason to wait; 0: there is none */
    char *why;  /* the last one that was told, without its figures; or NULL */
    bool drawn; /* the line of a terminal stands */
    uint64_t line_ms;
    bool changed; /* since the last line */
};

static void ask(void *user);
static void draw(void *user);

/* ---- showing ---- */

static uint64_t elapsed_ms(const struct wait *w)
{
    uint64_t begin_us = w->job.submitted_us;
    uint64_t end_us = w->job.ended_us != 0 ? w->job.ended_us : clock_wall_us();

    return end_us > begin_us ? (end_us - begin_us) / 1000 : 0;
}

static void write_note(const struct wait *w, char *note, size_t size)
{
    uint64_t now_ms = loop_now_ms();

    note[0] = '\0';
    if (w->leaderless_ms != 0 && now_ms >= w->leaderless_ms + LEADERLESS_MS)
        snprintf(note, size, "no leader: waiting for one");
    else if (w->led_ms != 0 && now_ms < w->led_ms + NOTE_MS)
        snprintf(note, size, "leader is now %s", w->leader);
}

static void erase(struct wait *w)
{
    struct buffer out = {0};

    if (w->drawn)
        buffer_append_text(&out, "\r\033[K");
    screen_write(w->screen, &out);
    buffer_finish(&out);
    w->drawn = false;
}

static void draw_bar(struct wait *w)
{
    char note[ADDRESS_TEXT_MAX + 32];
    struct progress p = {.job = &w->job, .elapsed_ms = elapsed_ms(w), .note = note};
    struct buffer out = {0};

    write_note(w, note, sizeof(note));
    buffer_append_text(&out,
                       "\r\033[?7l"); /* never a second line, however narrow it is */
    progress_bar(&out, w->screen, &p, screen_width(w->screen));
    buffer_append_text(&out, "\033[K\033[?7h");
    screen_write(w->screen, &out);
    buffer_finish(&out);
    w->drawn = true;
}

static void write_line(struct wait *w)
{
    struct progress p = {.job = &w->job, .elapsed_ms = elapsed_ms(w), .note = ""};
    struct buffer out = {0};

    erase(w);
    progress_line(&out, w->screen, &p);
    screen_write(w->screen, &out);
    buffer_finish(&out);
    w->line_ms = loop_now_ms();
    w->changed = false;
}

static bool redraws(const struct wait *w)
{
    return w->screen->terminal && !w->screen->dumb;
}

static void see_leader(struct wait *w)
{
    const char *leader = client_leader(w->session->client);

    if (leader[0] == '\0') {
        if (w->leaderless_ms == 0)
            w->leaderless_ms = loop_now_ms();
        return;
    }
    w->leaderless_ms = 0;
    if (strcmp(leader, w->leader) == 0)
        return;
    if (w->leader[0] != '\0') {
        w->led_ms = loop_now_ms();
        if (!redraws(w))
            session_note(w->session, "leader is now %s", leader);
    }
    snprintf(w->leader, sizeof(w->leader), "%s", leader);
}

static void draw(void *user)
{
    struct wait *w = user;

    if (!w->known || w->over)
        return;
    see_leader(w);
    if (redraws(w))
        draw_bar(w);
    else if (w->changed && loop_now_ms() >= w->line_ms + LINE_MS)
        write_line(w);
    timer_set_in(w->session->loop, &w->draw, REDRAW_MS, draw, w);
}

/* Seconds that run down are no news. */
static char *without_figures(const char *text)
{
    char *out = mem_strdup(text), *to = out;

    for (; *text != '\0'; text++)
        if (strchr("0123456789.", *text) == NULL)
            *to++ = *text;
    *to = '\0';
    return out;
}

/* Each reason once, when it has lasted. */
static void tell_why(struct wait *w)
{
    uint64_t now_ms = loop_now_ms();
    char *why, *words;

    if (w->job.why.size == 0)
        w->why_ms = 0;
    else if (w->why_ms == 0)
        w->why_ms = now_ms;
    if (w->why_ms == 0 || now_ms < w->why_ms + WHY_MS)
        return;
    why = text_clean(w->job.why);
    words = without_figures(why);
    if (w->why == NULL || strcmp(words, w->why) != 0) {
        erase(w);
        session_note(w->session,
                     "job %" PRIu64 "%s: %s",
                     w->id,
                     w->job.tasks[TASK_PENDING] > 0 ? " waits" : "",
                     why);
        mem_free(w->why);
        w->why = words;
        words = NULL;
    }
    mem_free(words);
    mem_free(why);
}

/* ---- asking ---- */

static void end(struct wait *w, int status)
{
    w->over = true;
    w->status = status;
    loop_stop(w->session->loop);
}

static bool is_same(const struct job_summary *a, const struct job_summary *b)
{
    return a->state == b->state && memcmp(a->tasks, b->tasks, sizeof(a->tasks)) == 0;
}

static void take(struct wait *w, struct bytes result)
{
    struct job_summary before = w->job;
    struct command_cursor at = {0};
    struct list_result page;

    buffer_clear(&w->page);
    buffer_append(&w->page, result.data, result.size);
    if (list_result_unpack(&page, METHOD_JOBS, buffer_view(&w->page), &w->err) != 0) {
        end(w, -(int)w->err.code);
        return;
    }
    if (!job_summary_next(&page, &at, &w->job) || w->job.id != w->id) {
        end(w,
            error_set(&w->err,
                      ERROR_NOT_FOUND,
                      "there is no job %" PRIu64 "; `triarch status` lists the jobs",
                      w->id));
        return;
    }
    see_leader(w);
    if (!w->known || !is_same(&before, &w->job)) {
        w->changed = true;
        w->poll_ms = POLL_FIRST_MS;
    }
    w->known = w->exists = true;
    if (job_state_is_final(w->job.state))
        end(w, 0);
    else
        tell_why(w);
    if (!w->over && !w->draw.armed)
        draw(w);
}

static void on_answer(void *user, const struct client_answer *answer)
{
    struct wait *w = user;

    if (w->over)
        return;
    if (answer->code == ERROR_NONE) {
        take(w, answer->result);
    } else {
        /* What never answered may be mistyped. */
        if (!w->exists || !session_is_passing(answer->code))
            end(w, error_set(&w->err, answer->code, "%s", answer->text));
        else if (!redraws(w) || !w->known)
            session_note(w->session, "still waiting: %s", answer->text);
    }
    if (w->over)
        return;
    timer_set_in(w->session->loop, &w->poll, w->poll_ms, ask, w);
    w->poll_ms = w->poll_ms * 3 / 2 < POLL_MAX_MS ? w->poll_ms * 3 / 2 : POLL_MAX_MS;
}

static void ask(void *user)
{
    struct wait *w = user;
    struct list_request request = {.of = w->id, .limit = 1};
    struct buffer frame = {0};

    list_pack(METHOD_JOBS, &request, 0, &frame);
    client_request(w->session->client, &w->call, buffer_view(&frame), CLIENT_LEADER);
    buffer_finish(&frame);
}

/* ---- the end ---- */

static void on_signal(void *user, int signum)
{
    struct wait *w = user;

    if (w->over) /* the verdict is being asked for */
        exit(SIGNAL_STATUS + signum);
    erase(w);
    session_note(w->session,
                 "job %" PRIu64 " goes on; `triarch wait %" PRIu64
                 "` waits for it again, `triarch kill %" PRIu64 "` ends it",
                 w->id,
                 w->id,
                 w->id);
    end(w, SIGNAL_STATUS + signum);
}

static void take_end(struct wait *w, struct job_summary *ended)
{
    write_line(w);
    *ended = w->job;
    ended->name = ended->why = (struct bytes){0};
}

int job_wait_end(struct session *s,
                 uint64_t job,
                 bool exists,
                 struct screen *progress,
                 struct job_summary *ended,
                 struct error *err)
{
    struct wait w = {
        .session = s, .screen = progress, .id = job, .exists = exists, .status = -1};

    w.poll_ms = POLL_FIRST_MS;
    w.call = (struct client_call){
        .done = on_answer,
        .user = &w,
        .timeout_ms = options_duration_ms(s->options, "timeout"),
    };
    loop_on_signal(s->loop, SIGINT, on_signal, &w);
    loop_on_signal(s->loop, SIGTERM, on_signal, &w);
    ask(&w);
    while (!w.over)
        loop_run(s->loop);
    timer_stop(s->loop, &w.poll);
    timer_stop(s->loop, &w.draw);
    erase(&w);
    if (w.status == 0)
        take_end(&w, ended);
    else if (w.status < 0)
        *err = w.err;
    buffer_finish(&w.page);
    mem_free(w.why);
    return w.status;
}

int job_wait(struct session *s,
             uint64_t job,
             bool exists,
             struct screen *progress,
             struct error *err)
{
    struct job_summary ended;
    int rc = job_wait_end(s, job, exists, progress, &ended, err);

    return rc != 0 || ended.state == JOB_COMPLETE ? rc : failures_tell(s, &ended, err);
}
