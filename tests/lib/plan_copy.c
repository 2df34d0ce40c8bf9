/* plan_copy.c - what the shell of a master does with MASTER_PLAN, and waits for it. */
#include "tests/lib/plan_copy.h"

#include "base/assert.h"

#include <sys/wait.h>
#include <unistd.h>

#define READ_BYTES 65536

static _Noreturn void
be_copy(struct master_core *core, int fd, uint32_t rpc, struct bytes request)
{
    struct buffer answer = {0};

    master_plan(core, rpc, request, &answer);
    state_check(master_state(core));
    for (size_t at = 0; at < answer.size;) {
        ssize_t put = write(fd, answer.data + at, answer.size - at);

        if (put <= 0)
            _exit(1);
        at += (size_t)put;
    }
    _exit(0);
}

bool plan_copy(struct master_core *core,
               uint32_t rpc,
               struct bytes request,
               struct buffer *answer)
{
    int fds[2], status;
    ssize_t got;
    pid_t pid;

    ASSERT(pipe(fds) == 0);
    pid = fork();
    ASSERT(pid >= 0);
    if (pid == 0)
        be_copy(core, fds[1], rpc, request);
    close(fds[1]);
    while ((got = read(fds[0], buffer_reserve(answer, READ_BYTES), READ_BYTES)) > 0)
        answer->size += (size_t)got;
    close(fds[0]);
    ASSERT(waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
