/* fork_loop.c - the floor of starting tasks: fork, exec, wait, one at a time.
 *
 *     fork_loop COUNT [PROGRAM ARG…]      /bin/true, or this; prints how many in a second
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    static char *plain[] = {"/bin/true", NULL};
    long count = argc > 1 ? atol(argv[1]) : 1000;
    char **command = argc > 2 ? argv + 2 : plain;
    double begin = now();

    for (long i = 0; i < count; i++) {
        pid_t pid = fork();
        int status;

        if (pid == 0) {
            execvp(command[0], command);
            _exit(127);
        }
        if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
            return 1;
    }
    printf("%.1f\n", (double)count / (now() - begin));
    return 0;
}
