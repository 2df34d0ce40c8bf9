/* screen.c - where text for people goes. */
#include "client/screen.h"

#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#define ELLIPSIS "\xe2\x80\xa6"

/* Without a locale, texts are UTF-8 all the same: that is what names are made of. */
void screen_locale(void)
{
    setlocale(LC_CTYPE, "");
    if (MB_CUR_MAX == 1)
        setlocale(LC_CTYPE, "C.UTF-8");
}

static bool is_set(const char *variable)
{
    const char *value = getenv(variable);

    return value != NULL && value[0] != '\0';
}

struct screen screen_of(FILE *file)
{
    const char *term = getenv("TERM");
    bool terminal = isatty(fileno(file)) == 1;
    bool dumb = term == NULL || term[0] == '\0' || strcmp(term, "dumb") == 0;

    return (struct screen){.file = file,
                           .terminal = terminal,
                           .dumb = dumb,
                           .colour = terminal && !dumb && !is_set("NO_COLOR")};
}

unsigned screen_width(const struct screen *s)
{
    struct winsize size;

    if (!s->terminal || s->columns > 0)
        return s->columns;
    if (ioctl(fileno(s->file), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return 80;
}

void screen_style(struct buffer *out, const struct screen *s, enum style style)
{
    static const char *const codes[] = {
        [STYLE_PLAIN] = "\033[0m",
        [STYLE_HEAD] = "\033[1m",
        [STYLE_DIM] = "\033[2m",
        [STYLE_GOOD] = "\033[32m",
        [STYLE_LIVE] = "\033[36m",
        [STYLE_WARN] = "\033[33m",
        [STYLE_BAD] = "\033[31m",
    };

    if (s->colour)
        buffer_append_text(out, codes[style]);
}

void screen_styled(struct buffer *out,
                   const struct screen *s,
                   enum style style,
                   const char *text)
{
    if (style == STYLE_PLAIN) {
        buffer_append_text(out, text);
        return;
    }
    screen_style(out, s, style);
    buffer_append_text(out, text);
    screen_style(out, s, STYLE_PLAIN);
}

void screen_write(struct screen *s, const struct buffer *text)
{
    screen_write_raw(s, buffer_view(text));
}

/* A reader that went away (`| head`) ends the program as it ends any other: the loop
 * ignores SIGPIPE for its sockets, so it is done here. */
void screen_write_raw(struct screen *s, struct bytes bytes)
{
    /* What does not fit stdio's buffer fails in fwrite(), and fflush() knows nothing of it. */
    if (fwrite(bytes.data, 1, bytes.size, s->file) == bytes.size &&
        fflush(s->file) == 0)
        return;
    if (s->failure == 0)
        s->failure = errno;
    if (errno != EPIPE || s->lasting)
        return;
    signal(SIGPIPE, SIG_DFL);
    raise(SIGPIPE);
}

int screen_close(struct screen *s, struct error *err)
{
    if (fflush(s->file) != 0 && s->failure == 0)
        s->failure = errno;
    if (s->failure == 0)
        return 0;
    return error_set(
        err, ERROR_IO, "write to standard output: %s", strerror(s->failure));
}

/* ---- width ---- */

/* The character at `text`: its bytes and its columns. */
static size_t measure(const char *text, size_t *columns)
{
    mbstate_t state = {0};
    wchar_t wide;
    size_t size = mbrtowc(&wide, text, MB_CUR_MAX, &state);
    int width;

    if (size == (size_t)-1 || size == (size_t)-2 || size == 0) {
        *columns = 1;
        return 1;
    }
    width = wcwidth(wide);
    *columns = width < 0 ? 1 : (size_t)width;
    return size;
}

size_t screen_columns(const char *text)
{
    size_t sum = 0, columns;

    while (*text != '\0') {
        text += measure(text, &columns);
        sum += columns;
    }
    return sum;
}

void screen_fit(struct buffer *out, const char *text, size_t columns)
{
    size_t used = 0, width;

    if (screen_columns(text) <= columns) {
        buffer_append_text(out, text);
        return;
    }
    while (columns > 0) {
        size_t size = measure(text, &width);

        if (used + width > columns - 1)
            break;
        buffer_append(out, text, size);
        text += size;
        used += width;
    }
    if (columns > 0)
        buffer_append_text(out, ELLIPSIS);
}

/* Bytes of the beginning of `text` that fit one line, up to a space if there is one; at least
 * a character. */
static size_t line_size(const char *text, size_t columns)
{
    size_t size = 0, used = 0, space = 0, width;

    while (text[size] != '\0') {
        size_t next = measure(text + size, &width);

        if (text[size] == ' ')
            space = size;
        used += width;
        if (used > columns && size > 0)
            return space > 0 ? space : size;
        size += next;
    }
    return size;
}

void screen_wrap(struct buffer *out,
                 const struct screen *s,
                 enum style style,
                 const char *text,
                 size_t indent)
{
    size_t limit = screen_width(s);
    size_t columns = limit == 0 ? SIZE_MAX : limit > indent ? limit - indent : 1;

    while (*text != '\0') {
        size_t size = line_size(text, columns);

        if (style != STYLE_PLAIN)
            screen_style(out, s, style);
        buffer_append(out, text, size);
        if (style != STYLE_PLAIN)
            screen_style(out, s, STYLE_PLAIN);
        text += size;
        text += strspn(text, " ");
        if (*text != '\0')
            buffer_printf(out, "\n%*s", (int)indent, "");
    }
}

/* ---- states ---- */

enum style style_of_task(enum task_state state)
{
    switch (state) {
    case TASK_PENDING:
        return STYLE_DIM;
    case TASK_STAGING:
    case TASK_STARTING:
    case TASK_RUNNING:
        return STYLE_LIVE;
    case TASK_FINISHED:
        return STYLE_GOOD;
    case TASK_KILLING:
    case TASK_KILLED:
    case TASK_LOST:
        return STYLE_WARN;
    case TASK_FAILED:
    case TASK_ERROR:
        return STYLE_BAD;
    case TASK_STATE_COUNT:
        break;
    }
    return STYLE_PLAIN;
}

enum style style_of_job(enum job_state state)
{
    switch (state) {
    case JOB_PENDING:
        return STYLE_DIM;
    case JOB_RUNNING:
        return STYLE_LIVE;
    case JOB_COMPLETE:
        return STYLE_GOOD;
    case JOB_FAILED:
        return STYLE_BAD;
    case JOB_KILLED:
        return STYLE_WARN;
    case JOB_STATE_COUNT:
        break;
    }
    return STYLE_PLAIN;
}
