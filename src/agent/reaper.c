/* reaper.c - the end of everything that descends from this process. */
#include "agent/reaper.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

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

void reaper_end_all(void)
{
    for (;;) {
        pid_t pid = waitpid(-1, NULL, WNOHANG);

        if (pid < 0)
            return; /* no children */
        if (pid == 0 && (!reaper_kill_children() || waitpid(-1, NULL, 0) < 0))
            return;
    }
}
