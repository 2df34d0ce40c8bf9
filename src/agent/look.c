/* look.c - the process that looks at what tasks hold open.
 *
 * It has no lines of its own in a log: an answer that does not come says enough.
 */
#include "agent/look.h"

#include "agent/cgroup.h"
#include "agent/open_files.h"
#include "agent/run_processes.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <unistd.h>

static struct cgroups groups;
static struct look_request requests[LOOK_REQUESTS];
static struct look_answer answer;

/* A pipe takes one whole, or fails because nobody listens any more. */
static void tell(void)
{
    if (write(STDOUT_FILENO, &answer, sizeof(answer)) != (ssize_t)sizeof(answer))
        _exit(1);
}

static void on_file(void *arg, uint64_t bytes)
{
    (void)arg;
    answer.bytes += bytes;
    answer.files++;
    tell();
}

static void on_process(int proc, void *arg)
{
    open_files_add(arg, proc);
}

static void look_at(const struct look_request *r)
{
    struct open_files *o = open_files_create(r->attempt, on_file, NULL);

    answer = (struct look_answer){.attempt = r->attempt};
    run_processes_each(
        &groups, r->attempt, (pid_t)r->shim, r->shim_start, on_process, o);
    open_files_destroy(o);
    answer.done = 1;
    tell();
}

static size_t read_requests(void)
{
    uint8_t *bytes = (uint8_t *)requests;
    size_t size = 0;
    ssize_t n;

    do {
        n = read(STDIN_FILENO, bytes + size, sizeof(requests) - size);
        size += n > 0 ? (size_t)n : 0;
    } while (n > 0 || (n < 0 && errno == EINTR));
    return n < 0 ? 0 : size / sizeof(requests[0]);
}

int look_main(int argc, char **argv)
{
    size_t count;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (argc < 3 || chdir(argv[2]) != 0)
        return 2;
    for (int i = 3; i < argc; i++) {
        if (cgroups_add(&groups, argv[i]) != 0)
            return 1;
    }
    count = read_requests();
    for (size_t i = 0; i < count; i++)
        look_at(&requests[i]);
    return 0;
}
