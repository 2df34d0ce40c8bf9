/* terminal.c - the user's terminal in raw mode, and back on every way out. */
#include "client/terminal.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

/* What a handler may read, so they are here and not in a struct of the caller. */
static struct termios saved, raw;
static volatile sig_atomic_t is_raw;

static const int DEADLY[] = {SIGHUP,
                             SIGINT,
                             SIGQUIT,
                             SIGILL,
                             SIGABRT,
                             SIGBUS,
                             SIGFPE,
                             SIGSEGV,
                             SIGALRM,
                             SIGTERM,
                             SIGXCPU,
                             SIGUSR1,
                             SIGUSR2};

bool terminal_is(void)
{
    return isatty(STDIN_FILENO) == 1;
}

struct exec_size terminal_size(void)
{
    struct winsize size = {0};

    ioctl(STDIN_FILENO, TIOCGWINSZ, &size);
    return (struct exec_size){.rows = size.ws_row, .columns = size.ws_col};
}

void terminal_restore(void)
{
    if (is_raw)
        tcsetattr(STDIN_FILENO, TCSANOW, &saved);
    is_raw = 0;
}

/* Its action was reset when this was called, so it ends the program. */
static void on_deadly(int signum)
{
    terminal_restore();
    raise(signum);
}

static void on_stop(int signum)
{
    int reason = errno;

    (void)signum;
    tcsetattr(STDIN_FILENO, TCSANOW, &saved);
    raise(SIGSTOP);
    tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    errno = reason;
}

/* What is ignored, by nohup for example, stays so. */
static void handle(int signum, void (*handler)(int signum), int flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags}, old;

    sigemptyset(&action.sa_mask);
    if (sigaction(signum, NULL, &old) == 0 && old.sa_handler != SIG_IGN)
        sigaction(signum, &action, NULL);
}

int terminal_raw(struct error *err)
{
    if (tcgetattr(STDIN_FILENO, &saved) != 0)
        return error_set(err, ERROR_IO, "standard input: %s", strerror(errno));
    raw = saved;
    cfmakeraw(&raw);
    atexit(terminal_restore);
    for (size_t i = 0; i < sizeof(DEADLY) / sizeof(DEADLY[0]); i++)
        handle(DEADLY[i], on_deadly, (int)SA_RESETHAND | SA_NODEFER);
    handle(SIGTSTP, on_stop, SA_RESTART);
    is_raw = 1;
    if (tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) != 0)
        return error_set(err, ERROR_IO, "standard input: %s", strerror(errno));
    return 0;
}
