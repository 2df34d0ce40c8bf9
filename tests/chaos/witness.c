/* witness.c - a task that lets the kernel see whether it runs twice at once, or again.
 *
 *     witness DIR [GATE [STATUS]]
 *
 * Each instance has a file of its own, DIR/JOB.INSTANCE.  The task holds a lock of it while
 * it runs and appends
 *
 *     begin ATTEMPT AGENT FENCE NANOSECONDS
 *     end ATTEMPT AGENT FENCE NANOSECONDS
 *
 * If the lock is taken another attempt runs at this moment: it appends `double …` and exits
 * with 99.  Between begin and end it waits for GATE ("-": none), a file that the test keeps
 * locked for as long as tasks are to run.  It ends with STATUS.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define EXIT_TROUBLE 98
#define EXIT_DOUBLE  99

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "witness: %s: %s\n", what, strerror(errno));
    exit(EXIT_TROUBLE);
}

static const char *variable(const char *name)
{
    const char *value = getenv(name);

    if (value != NULL)
        return value;
    fprintf(stderr, "witness: %s is not set\n", name);
    exit(EXIT_TROUBLE);
}

static uint64_t monotonic_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* One write, so that lines never mix. */
static void tell(int file, const char *what)
{
    char line[256];
    int size = snprintf(line,
                        sizeof(line),
                        "%s %s %s %s %llu\n",
                        what,
                        variable("TRIARCH_ATTEMPT"),
                        variable("TRIARCH_AGENT_ID"),
                        variable("TRIARCH_FENCE"),
                        (unsigned long long)monotonic_ns());

    if (write(file, line, (size_t)size) != size)
        fail("write");
}

static int open_own_file(const char *directory)
{
    char path[4096];
    int file;

    snprintf(path,
             sizeof(path),
             "%s/%s.%s",
             directory,
             variable("TRIARCH_JOB_ID"),
             variable("TRIARCH_INSTANCE"));
    file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (file < 0)
        fail(path);
    return file;
}

static void wait_for_gate(const char *path)
{
    int gate = open(path, O_RDONLY | O_CLOEXEC);

    if (gate < 0)
        fail(path);
    while (flock(gate, LOCK_SH) != 0)
        if (errno != EINTR)
            fail(path);
    close(gate);
}

int main(int argc, char **argv)
{
    int file;

    if (argc < 2 || argc > 4) {
        fprintf(stderr, "usage: witness DIR [GATE [STATUS]]\n");
        return EXIT_TROUBLE;
    }
    file = open_own_file(argv[1]);
    if (flock(file, LOCK_EX | LOCK_NB) != 0) {
        tell(file, "double");
        return EXIT_DOUBLE;
    }
    tell(file, "begin");
    if (argc > 2 && strcmp(argv[2], "-") != 0)
        wait_for_gate(argv[2]);
    tell(file, "end");
    return argc > 3 ? atoi(argv[3]) : 0;
}
