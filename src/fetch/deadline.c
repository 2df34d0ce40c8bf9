/* deadline.c - see deadline.h. */
#include "fetch/deadline.h"

#include "base/text.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

static char message[512]; /* made before: the handler may only write it */

static void on_alarm(int number)
{
    ssize_t n = write(STDERR_FILENO, message, strlen(message));

    (void)number;
    (void)n; /* nobody is left to hear of it */
    _exit(DEADLINE_EXIT);
}

static void set_timer(uint64_t ms)
{
    const struct itimerval time = {
        .it_value = {.tv_sec = (time_t)(ms / 1000),
                     .tv_usec = (suseconds_t)(ms % 1000 * 1000)},
    };

    setitimer(ITIMER_REAL, &time, NULL);
}

void deadline_begin(uint64_t ms, const char *what)
{
    char time[TEXT_SHORT_MAX];

    snprintf(message,
             sizeof(message),
             "%.300s: not done after %s\n",
             what,
             text_duration(time, ms));
    signal(SIGALRM, on_alarm);
    set_timer(ms);
}

void deadline_end(void)
{
    set_timer(0);
}
