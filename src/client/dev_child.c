/* dev_child.c - a process that `triarch dev` started. */
#include "client/dev_child.h"

#include "base/mem.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define READ_BYTES     4096
#define LINE_BYTES_MAX 4096 /* a longer line is written in pieces */
#define STEP_MS        20   /* between two looks at orphans */
#define TERM_STEPS     50   /* then KILL */
#define GIVE_UP        250  /* steps; what is left cannot be killed */
#define PREFIX_COLS    9    /* "master-1 " */

/* ---- programs ---- */

static bool is_program(const char *path)
{
    return access(path, X_OK) == 0;
}

static bool beside_us(char *path, size_t size, const char *name)
{
    static const char *const folders[] = {"", "../sbin/", "../bin/"};
    char self[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
    char *slash;

    if (length < 0)
        return false;
    self[length] = '\0';
    slash = strrchr(self, '/');
    if (slash == NULL)
        return false;
    slash[1] = '\0';
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        if ((size_t)snprintf(path, size, "%s%s%s", self, folders[i], name) < size &&
            is_program(path))
            return true;
    }
    return false;
}

static bool in_search_path(char *path, size_t size, const char *name)
{
    const char *folders = getenv("PATH");

    while (folders != NULL && *folders != '\0') {
        size_t length = strcspn(folders, ":");

        if (length > 0 &&
            (size_t)snprintf(path, size, "%.*s/%s", (int)length, folders, name) <
                size &&
            is_program(path))
            return true;
        folders += length;
        folders += *folders == ':';
    }
    return false;
}

int dev_find_program(char *path, size_t size, const char *name, struct error *err)
{
    if (beside_us(path, size, name) || in_search_path(path, size, name))
        return 0;
    return error_set(
        err,
        ERROR_NOT_FOUND,
        "%s is neither beside triarch nor in PATH: install it, or build it "
        "in the same tree",
        name);
}

/* ---- lines ---- */

static void write_line(struct dev_child *c, struct bytes line)
{
    char *clean = text_clean(line);
    struct buffer out = {0};

    screen_style(&out, c->screen, c->style);
    buffer_printf(&out, "%-*s|", PREFIX_COLS, c->name);
    screen_style(&out, c->screen, STYLE_PLAIN);
    buffer_printf(&out, " %s\n", clean);
    screen_write(c->screen, &out);
    buffer_finish(&out);
    mem_free(clean);
}

static void write_lines(struct dev_child *c)
{
    const uint8_t *newline;

    while ((newline = memchr(c->line.data, '\n', c->line.size)) != NULL) {
        size_t size = (size_t)(newline - c->line.data);

        write_line(c, (struct bytes){c->line.data, size});
        buffer_consume(&c->line, size + 1);
    }
    if (c->line.size >= LINE_BYTES_MAX) {
        write_line(c, buffer_view(&c->line));
        buffer_clear(&c->line);
    }
}

static void stop_reading(struct dev_child *c)
{
    if (c->watch == NULL)
        return;
    watch_destroy(c->watch);
    c->watch = NULL;
    close(c->fd);
}

/* False when nothing is left to read for now. */
static bool read_some(struct dev_child *c)
{
    ssize_t got = read(c->fd, buffer_reserve(&c->line, READ_BYTES), READ_BYTES);

    if (got > 0) {
        c->line.size += (size_t)got;
        write_lines(c);
        return true;
    }
    if (got == 0 || (errno != EAGAIN && errno != EINTR))
        stop_reading(c);
    return false;
}

static void on_readable(void *user)
{
    read_some(user);
}

/* ---- life ---- */

static _Noreturn void become(char *const *argv, int out, pid_t parent)
{
    static const char failed[] = "cannot be started\n";
    int null = open("/dev/null", O_RDONLY);
    sigset_t none;

    for (int signum = 1; signum < NSIG; signum++)
        signal(signum, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() == parent && null >= 0 && dup2(null, STDIN_FILENO) >= 0 &&
        dup2(out, STDOUT_FILENO) >= 0 && dup2(out, STDERR_FILENO) >= 0) {
        execv(argv[0], argv);
        if (write(STDERR_FILENO, failed, sizeof(failed) - 1) < 0)
            _exit(126);
    }
    _exit(127);
}

int dev_child_start(struct dev_child *c,
                    struct loop *l,
                    char *const *argv,
                    struct error *err)
{
    sigset_t all, before;
    pid_t parent = getpid();
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_set(err, ERROR_IO, "pipe: %s", strerror(errno));
    fflush(NULL);
    /* No handler of ours may run in the child. */
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    c->pid = fork();
    if (c->pid == 0)
        become(argv, ends[1], parent);
    sigprocmask(SIG_SETMASK, &before, NULL);
    close(ends[1]);
    if (c->pid < 0) {
        c->pid = 0;
        close(ends[0]);
        return error_set(err, ERROR_IO, "start %s: %s", c->name, strerror(errno));
    }
    setpgid(c->pid, c->pid);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    c->fd = ends[0];
    c->watch = watch_create(l, c->fd, on_readable, c);
    return 0;
}

void dev_child_signal(const struct dev_child *c, int signum)
{
    if (c->pid > 0)
        kill(c->pid, signum);
}

void dev_child_ended(struct dev_child *c, int status)
{
    c->pid = 0;
    c->status = status;
    while (c->watch != NULL && read_some(c))
        ;
    stop_reading(c);
    if (c->line.size > 0)
        write_line(c, buffer_view(&c->line));
    buffer_finish(&c->line);
}

void dev_append_status(struct buffer *out, int status)
{
    if (WIFSIGNALED(status))
        buffer_printf(out, "signal %d", WTERMSIG(status));
    else
        buffer_printf(out, "exit status %d", WEXITSTATUS(status));
}

/* ---- orphans ---- */

void dev_adopt_orphans(void)
{
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
}

/* Signals each process that is our child now; those of its children that outlive it
 * come to us in turn. */
static void signal_children(int signum)
{
    char path[64];
    FILE *file;
    int pid;

    snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
    file = fopen(path, "re");
    if (file == NULL)
        return;
    while (fscanf(file, "%d", &pid) == 1)
        kill(pid, signum);
    fclose(file);
}

void dev_end_orphans(void)
{
    static const struct timespec step = {0, STEP_MS * 1000000L};
    pid_t reaped = 0;

    for (int i = 0; i < GIVE_UP && reaped >= 0; i++) {
        if (i == 0)
            signal_children(SIGTERM);
        else if (i >= TERM_STEPS)
            signal_children(SIGKILL);
        do
            reaped = waitpid(-1, NULL, WNOHANG);
        while (reaped > 0);
        if (reaped == 0)
            nanosleep(&step, NULL);
    }
}
