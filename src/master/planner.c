/* planner.c - plans, in a copy of the process. */
#include "master/planner.h"

#include "base/assert.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "master/master.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define FD_ANSWER  3  /* of the copy */
#define NICE       10 /* the leader has the processor first */
#define READ_BYTES ((size_t)64 * KIB)
#define REAP_MS    20

struct planner {
    struct master *master;
    struct loop_timer timer;
    struct deferred told;
    struct watch *watch; /* NULL: nothing is being made */
    int fd;
    pid_t pid;
    pid_t ending; /* was told to end; 0: none is left */
    struct loop_timer reaping;
    uint64_t session;
    uint32_t rpc;
    struct buffer answer;
};

struct planner *planner_create(struct master *m)
{
    struct planner *p = mem_zalloc(sizeof(*p));

    p->master = m;
    return p;
}

static void wait_for_end(struct planner *p)
{
    while (p->ending > 0 && waitpid(p->ending, NULL, 0) < 0 && errno == EINTR)
        ;
    p->ending = 0;
}

/* Giving back the memory of a copy may take a while, and the loop has other things to do. */
static void look_for_end(void *user)
{
    struct planner *p = user;

    if (p->ending > 0 && waitpid(p->ending, NULL, WNOHANG) == 0)
        timer_set_in(p->master->loop, &p->reaping, REAP_MS, look_for_end, p);
    else
        p->ending = 0;
}

/* The copy has said all, or is ended here. */
static void end_copy(struct planner *p)
{
    if (p->watch == NULL)
        return;
    watch_destroy(p->watch);
    p->watch = NULL;
    close(p->fd);
    timer_stop(p->master->loop, &p->timer);
    kill(p->pid, SIGKILL);
    wait_for_end(p); /* of the one before */
    p->ending = p->pid;
    look_for_end(p);
}

void planner_destroy(struct planner *p)
{
    if (p == NULL)
        return;
    end_copy(p);
    wait_for_end(p);
    timer_stop(p->master->loop, &p->reaping);
    deferred_cancel(p->master->loop, &p->told);
    buffer_finish(&p->answer);
    mem_free(p);
}

static void tell(void *user)
{
    struct planner *p = user;
    struct buffer answer = p->answer; /* the core may ask for another one */
    struct master_event event = {.kind = MASTER_PLANNED};

    p->answer = (struct buffer){0};
    event.planned.session = p->session;
    event.planned.rpc = p->rpc;
    event.planned.answer = buffer_view(&answer);
    drive(p->master, &event);
    buffer_finish(&answer);
}

static void fail(struct planner *p, const char *why)
{
    log_warning("master", "a plan was not made: %s", why);
    buffer_clear(&p->answer);
    loop_defer(p->master->loop, &p->told, tell, p);
}

static void too_late(void *user)
{
    struct planner *p = user;

    end_copy(p);
    fail(p, "it took too long");
}

/* A frame is whole, with its size word. */
static bool is_whole(const struct buffer *answer)
{
    int64_t size = rpc_frame_size(buffer_view(answer), NULL);

    return size > 0 && (uint64_t)size == answer->size;
}

static void readable(void *user)
{
    struct planner *p = user;
    ssize_t got = read(p->fd, buffer_reserve(&p->answer, READ_BYTES), READ_BYTES);

    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (got > 0) {
        p->answer.size += (size_t)got;
        return;
    }
    end_copy(p);
    if (is_whole(&p->answer))
        loop_defer(p->master->loop, &p->told, tell, p);
    else
        fail(p, "its process ended");
}

/* ---- in the copy ---- */

/* A socket of the master that stayed open here would keep its peers from seeing it end. */
static void keep_only(int fd)
{
    if (dup2(fd, FD_ANSWER) < 0 || close_range(FD_ANSWER + 1, ~0u, 0) != 0)
        _exit(1);
}

static void write_all(struct bytes bytes)
{
    while (bytes.size > 0) {
        ssize_t put = write(FD_ANSWER, bytes.data, bytes.size);

        if (put < 0 && errno != EINTR)
            _exit(1);
        if (put > 0)
            bytes = (struct bytes){bytes.data + put, bytes.size - (size_t)put};
    }
}

static _Noreturn void be_copy(
    struct master_core *core, int fd, pid_t parent, uint32_t rpc, struct bytes request)
{
    struct buffer answer = {0};

    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
        _exit(1);
    signal(SIGTERM, SIG_DFL); /* the loop's handlers have no loop here */
    signal(SIGINT, SIG_DFL);
    keep_only(fd);
    if (nice(NICE) == -1)
        errno = 0; /* as it is, then */
    master_plan(core, rpc, request, &answer);
    write_all(buffer_view(&answer));
    _exit(0);
}

/* ---- asking ---- */

void planner_ask(struct planner *p,
                 uint64_t session,
                 uint32_t rpc,
                 struct bytes request)
{
    pid_t parent = getpid();
    int fds[2];

    ASSERT(p->watch == NULL);
    p->session = session;
    p->rpc = rpc;
    if (pipe2(fds, O_CLOEXEC) != 0) {
        fail(p, strerror(errno));
        return;
    }
    p->pid = fork();
    if (p->pid == 0)
        be_copy(p->master->core, fds[1], parent, rpc, request);
    close(fds[1]);
    if (p->pid < 0) {
        close(fds[0]);
        fail(p, strerror(errno));
        return;
    }
    p->fd = fds[0];
    p->watch = watch_create(p->master->loop, p->fd, readable, p);
    timer_set_in(p->master->loop, &p->timer, LIMIT_PLAN_MS, too_late, p);
}
