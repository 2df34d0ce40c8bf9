/* reaper.c - the end of everything that descends from this process. */
#include "agent/reaper.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LOOK_MS 10

bool reaper_kill_children(void)
{
    char path[64], text[4096];
    FILE *f;
    int pid;

    snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
    f = fopen(path, "re");
    if (f == NULL)
        return false; /* a kernel without CONFIG_PROC_CHILDREN */
    setvbuf(f, text, _IOFBF, sizeof(text));
    while (fscanf(f, "%d", &pid) == 1)
        kill(pid, SIGKILL);
    fclose(f);
    return true;
}

static void pause_for_child(void)
{
    const struct timespec time = {.tv_nsec = LOOK_MS * 1000000};
    sigset_t child;

    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigtimedwait(&child, NULL, &time);
}

void reaper_end_all(unsigned patience_ms)
{
    unsigned waited = 0;

    for (;;) {
        pid_t pid = waitpid(-1, NULL, WNOHANG);

        if (pid < 0)
            return; /* no children */
        if (pid > 0)
            continue;
        if (waited < patience_ms) {
            pause_for_child();
            waited += LOOK_MS;
        } else if (!reaper_kill_children() || waitpid(-1, NULL, 0) < 0) {
            return;
        }
    }
}
