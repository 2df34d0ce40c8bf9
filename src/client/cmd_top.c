/* cmd_top.c - triarch top: what tasks use, now and again.
 *
 * On a terminal the screen is drawn anew every few seconds, on the alternate screen, so that
 * what stood there before is back at the end, and while we are stopped; keys are read one by
 * one.
 */
#include "client/session.h"
#include "client/top_view.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define STATUS_LINES 2    /* above the tables */
#define LATE_MS      2000 /* masters that are away so long are worth a word */
#define TICK_MS      1000 /* from then on */

static const struct option_row rows[] = {
    {.name = "once", .kind = OPTION_FLAG, .help = "print it once, as in a pipe"},
    {.name = "json", .kind = OPTION_FLAG, .help = "once, as JSON"},
    {.name = "sort",
     .kind = OPTION_TEXT,
     .argument = "cpu|mem",
     .fallback = "cpu",
     .help = "what uses most of it comes first"},
    {.name = "interval",
     .kind = OPTION_DURATION,
     .argument = "TIME",
     .fallback = "2s",
     .min = 500,
     .max = 3600 * 1000,
     .help = "from one look to the next"},
};

struct top {
    struct session *session;
    enum top_order order;
    struct top_view view;
    struct error trouble; /* of the last look; ERROR_NONE: it is as shown */
    struct loop_timer timer;
    bool due, redraw, quit;
    uint64_t asked_ms; /* when the look that goes on began; 0: none does */
    struct loop_timer tick;

    /* of a terminal */
    bool raw;
    struct termios before;
    struct watch *keys;
};

/* ---- looking ---- */

static int add_agents(void *user, const struct list_result *page, struct error *err)
{
    struct command_cursor at = {0};
    struct agent_info agent;
    int rc = 0;

    while (rc == 0 && agent_info_next(page, &at, &agent))
        rc = top_view_add_agent(user, &agent, err);
    return rc;
}

static int add_tasks(void *user, const struct list_result *page, struct error *err)
{
    struct command_cursor at = {0};
    struct usage_info info;

    (void)err;
    while (usage_info_next(page, &at, &info))
        top_view_add_task(user, &info);
    return 0;
}

/* What was seen before stays until there is more. */
static int look(struct top *t, struct error *err)
{
    struct session *s = t->session;
    struct top_view view = {.now_us = clock_wall_us()};
    int rc = session_list(s, METHOD_AGENTS, 0, add_agents, &view, err);

    if (rc == 0)
        rc = session_list(s, METHOD_USAGE, 0, add_tasks, &view, err);
    if (rc != 0) {
        top_view_finish(&view);
        return rc;
    }
    top_view_complete(&view, t->order);
    top_view_finish(&t->view);
    t->view = view;
    return 0;
}

static int print_once(struct top *t, struct error *err)
{
    struct session *s = t->session;
    int rc = look(t, err);

    if (rc != 0)
        return rc;
    if (options_flag(s->options, "json"))
        session_write_json(s, top_view_json(&t->view));
    else
        top_view_print(&t->view, &s->out, 0);
    if (t->view.left_out > 0)
        session_note(s,
                     "%" PRIu64 " tasks are left out: more than %d run",
                     t->view.left_out,
                     LIMIT_TOP_TASKS);
    return 0;
}

/* ---- the screen ---- */

static unsigned screen_lines(void)
{
    struct winsize size;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0)
        return size.ws_row;
    return 24;
}

static void write_text(struct session *s, const char *text)
{
    screen_write_raw(&s->out, (struct bytes){(const uint8_t *)text, strlen(text)});
}

static void append_status(const struct top *t, const struct screen *s, FILE *to)
{
    struct buffer line = {0}, fitting = {0};
    char time[TEXT_SHORT_MAX];

    if (t->asked_ms != 0)
        buffer_printf(
            &line,
            "no answer for %s: this is how it was. Keys: q quit",
            text_duration(time, (loop_now_ms() - t->asked_ms) / 1000 * 1000));
    else if (t->trouble.code != ERROR_NONE)
        buffer_printf(&line, "still waiting: %s", t->trouble.text);
    else
        buffer_printf(&line,
                      "%zu task%s on %zu agent%s, by %s. Keys: c cpu, m memory, q quit",
                      t->view.task_count,
                      t->view.task_count == 1 ? "" : "s",
                      t->view.agent_count,
                      t->view.agent_count == 1 ? "" : "s",
                      t->order == TOP_BY_CPU ? "cpu" : "memory");
    buffer_append_u8(&line, 0);
    screen_fit(&fitting, (const char *)line.data, s->columns);
    fprintf(to, "%.*s\n\n", (int)fitting.size, (const char *)fitting.data);
    buffer_finish(&line);
    buffer_finish(&fitting);
}

/* Drawn in memory, and written in one go over what stands there: so nothing flickers. */
static void draw(struct top *t)
{
    struct session *s = t->session;
    struct screen memory = s->out;
    unsigned lines = screen_lines();
    struct buffer out = {0};
    char *text = NULL;
    size_t size;

    memory.columns = screen_width(&s->out);
    memory.file = open_memstream(&text, &size);
    if (memory.file == NULL)
        return;
    append_status(t, &memory, memory.file);
    top_view_print(
        &t->view, &memory, lines > STATUS_LINES + 1 ? lines - STATUS_LINES - 1 : 1);
    fclose(memory.file);
    buffer_append_text(&out, "\033[H\033[?7l");
    for (const char *c = text; *c != '\0'; c++)
        if (*c == '\n')
            buffer_append_text(&out, "\033[K\r\n");
        else
            buffer_append_u8(&out, (uint8_t)*c);
    buffer_append_text(&out, "\033[J\033[?7h");
    screen_write(&s->out, &out);
    buffer_finish(&out);
    free(text);
}

/* Modes first: in the background this waits until we are in the foreground again. */
static void enter_screen(struct top *t)
{
    struct termios raw;

    if (t->keys != NULL && (t->raw || tcgetattr(STDIN_FILENO, &t->before) == 0)) {
        raw = t->before;
        raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        t->raw = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
    }
    write_text(t->session, "\033[?1049h\033[?25l");
}

static void leave_screen(struct top *t)
{
    write_text(t->session, "\033[?25h\033[?1049l");
    if (t->raw)
        tcsetattr(STDIN_FILENO, TCSANOW, &t->before);
    t->raw = false;
}

/* ---- the user ---- */

static void wake(struct top *t)
{
    loop_stop(t->session->loop);
}

/* Nobody waits for an answer that may come in half a minute. */
static void leave_if_asked(struct top *t)
{
    struct error err;

    if (!t->quit || t->asked_ms == 0)
        return;
    leave_screen(t);
    exit(screen_close(&t->session->out, &err) == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}

static void on_key(void *user)
{
    struct top *t = user;
    char keys[16];
    ssize_t n = read(STDIN_FILENO, keys, sizeof(keys));

    t->quit = t->quit || n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
    for (ssize_t i = 0; i < n; i++) {
        t->quit = t->quit || keys[i] == 'q' || keys[i] == 'Q';
        if (keys[i] == 'c' || keys[i] == 'm')
            t->order = keys[i] == 'c' ? TOP_BY_CPU : TOP_BY_MEMORY;
    }
    t->redraw = true;
    leave_if_asked(t);
    wake(t);
}

static void on_end(void *user, int signum)
{
    struct top *t = user;

    (void)signum;
    t->quit = true;
    leave_if_asked(t);
    wake(t);
}

static void on_resize(void *user, int signum)
{
    struct top *t = user;

    (void)signum;
    t->redraw = true;
    wake(t);
}

/* Also when we were stopped by a signal that cannot be caught: the shell has the terminal as
 * it wants it. */
static void on_continue(void *user, int signum)
{
    enter_screen(user);
    on_resize(user, signum);
}

/* By the default action: it stops nobody who has no shell that could go on with us. */
static void on_stop(void *user, int signum)
{
    struct sigaction action = {.sa_handler = SIG_DFL}, old;

    leave_screen(user);
    sigaction(signum, &action, &old);
    raise(signum);
    sigaction(signum, &old, NULL);
    on_continue(user, signum);
}

static void on_due(void *user)
{
    struct top *t = user;

    t->due = true;
    wake(t);
}

/* ---- live ---- */

static void take_terminal(struct top *t)
{
    struct loop *l = t->session->loop;
    struct sigaction stop;

    if (isatty(STDIN_FILENO) == 1)
        t->keys = watch_create(l, STDIN_FILENO, on_key, t);
    loop_on_signal(l, SIGINT, on_end, t);
    loop_on_signal(l, SIGTERM, on_end, t);
    loop_on_signal(l, SIGHUP, on_end, t);
    loop_on_signal(l, SIGWINCH, on_resize, t);
    loop_on_signal(l, SIGCONT, on_continue, t);
    if (sigaction(SIGTSTP, NULL, &stop) == 0 && stop.sa_handler != SIG_IGN)
        loop_on_signal(l, SIGTSTP, on_stop, t);
    enter_screen(t);
}

static void give_terminal_back(struct top *t)
{
    leave_screen(t);
    watch_destroy(t->keys);
}

static void on_tick(void *user)
{
    struct top *t = user;

    draw(t);
    timer_set_in(t->session->loop, &t->tick, TICK_MS, on_tick, t);
}

static int look_again(struct top *t)
{
    int rc;

    t->trouble = (struct error){0};
    t->asked_ms = loop_now_ms();
    timer_set_in(t->session->loop, &t->tick, LATE_MS, on_tick, t);
    rc = look(t, &t->trouble);
    timer_stop(t->session->loop, &t->tick);
    t->asked_ms = 0;
    return rc;
}

/* Until something happens. */
static void rest(struct top *t)
{
    struct session *s = t->session;

    timer_set_in(
        s->loop, &t->timer, options_duration_ms(s->options, "interval"), on_due, t);
    t->due = t->redraw = false;
    while (!t->quit && !t->due) {
        loop_run(s->loop);
        if (!t->redraw || t->quit)
            continue;
        top_view_sort(&t->view, t->order);
        draw(t);
        t->redraw = false;
    }
    timer_stop(s->loop, &t->timer);
}

static int show(struct top *t, struct error *err)
{
    int rc = look(t, err);

    if (rc != 0)
        return rc;
    take_terminal(t);
    while (!t->quit) {
        draw(t);
        rest(t);
        if (t->quit)
            break;
        rc = look_again(t);
        if (rc != 0 && !session_is_passing(t->trouble.code)) {
            *err = t->trouble;
            break;
        }
        rc = 0;
    }
    give_terminal_back(t);
    return rc;
}

static int run(struct session *s, struct error *err)
{
    const char *sort = options_text(s->options, "sort");
    bool once = options_flag(s->options, "once") || options_flag(s->options, "json");
    struct top t = {.session = s};
    int rc;

    if (strcmp(sort, "cpu") != 0 && strcmp(sort, "mem") != 0)
        return options_refuse(s->options, "sort", err, "write cpu or mem");
    t.order = strcmp(sort, "mem") == 0 ? TOP_BY_MEMORY : TOP_BY_CPU;
    rc = session_open(s, err);
    if (rc == 0)
        rc = once || !s->out.terminal || s->out.dumb ? print_once(&t, err)
                                                     : show(&t, err);
    top_view_finish(&t.view);
    return rc;
}

const struct subcommand subcommand_top = {
    .table =
        {
            .program = "top",
            .purpose = "show what agents and tasks use",
            .details =
                "On a terminal it is shown again and again until q is pressed; c and "
                "m sort by cpu and memory. In a pipe, and with --once or --json, it "
                "is printed once. CPU % is of one cpu over the last seconds, IO is "
                "all that was read and written since the start. Agents tell the "
                "leader every few seconds what their tasks use: what it does not "
                "know yet is a dash.",
            .rows = rows,
            .row_count = sizeof(rows) / sizeof(rows[0]),
        },
    .run = run,
};
