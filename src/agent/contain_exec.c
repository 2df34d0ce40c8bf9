/* contain_exec.c - becomes `crun exec`: one more process of a container that runs.
 *
 * What it is - user, groups, rights, directory, variables - is what the bundle says of the task's
 * own process; only the command line and some variables are others.
 *
 * crun is to start not the command but `triarch-contain inside` (contain_inside.c), which stands
 * over it.
 */
#include "agent/contain.h"

#include "agent/container_init.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#define PROCESS_FD 4

/* ---- the container ---- */

/* Of an agent of an ordinary user; crun knows nothing of it. */
static void join_user_namespace(pid_t pid)
{
    char path[64];
    int fd;

    snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || setns(fd, CLONE_NEWUSER) != 0)
        contain_fail("its user namespace");
    close(fd);
}

/* ---- its process ---- */

static bool is_of(const char *variable, const char *given)
{
    size_t name = strcspn(given, "=") + 1;

    return strncmp(variable, given, name) == 0;
}

static void set_variable(json_t *env, const char *given)
{
    json_t *one;
    size_t i;

    json_array_foreach (env, i, one) {
        if (is_of(json_string_value(one), given)) {
            json_array_set_new(env, i, json_string(given));
            return;
        }
    }
    json_array_append_new(env, json_string(given));
}

static json_t *command_line(char **argv)
{
    json_t *args = json_array();

    json_array_append_new(args, json_string(CONTAIN_SELF));
    json_array_append_new(args, json_string("inside"));
    for (; *argv != NULL; argv++) {
        if (json_array_append_new(args, json_string(*argv)) == 0)
            continue;
        errno = EILSEQ;
        contain_fail("a command in a container must be UTF-8");
    }
    return args;
}

static long long id_of(const json_t *process, const char *key)
{
    return json_integer_value(json_object_get(json_object_get(process, "user"), key));
}

/* It was made by who the agent is. */
static void give_terminal(const json_t *process)
{
    uid_t uid = (uid_t)id_of(process, "uid");
    gid_t gid = (gid_t)id_of(process, "gid");

    if (isatty(STDIN_FILENO) && fchown(STDIN_FILENO, uid, gid) != 0)
        contain_fail("its terminal");
}

static json_t *make_process(char **argv)
{
    json_t *config = json_load_file("config.json", 0, NULL);
    json_t *process = json_object_get(config, "process");
    json_t *env = json_object_get(process, "env");

    errno = EINVAL;
    if (!json_is_array(env))
        contain_fail("config.json");
    for (; *argv != NULL && strcmp(*argv, "--") != 0; argv++)
        set_variable(env, *argv);
    if (*argv == NULL)
        contain_fail("its command");
    give_terminal(process);
    json_object_set_new(process, "args", command_line(argv + 1));
    return process;
}

static void open_process(char **argv)
{
    int fd = memfd_create("process", MFD_CLOEXEC);

    if (fd < 0 || json_dumpfd(make_process(argv), fd, JSON_COMPACT) != 0)
        contain_fail("what its process is");
    contain_put(fd, PROCESS_FD);
}

/* ---- */

void contain_exec(const char *self,
                  const char *work_dir,
                  const char *attempt,
                  char **argv)
{
    bool ordinary = geteuid() != 0;
    char id[CONTAIN_ID_MAX], process[32];
    char *crun[] = {"crun",
                    "--root",
                    NULL,
                    "--cgroup-manager=disabled",
                    "exec",
                    "--preserve-fds=1",
                    "--process",
                    process,
                    id,
                    NULL};
    pid_t pid;

    contain_enter(work_dir, attempt);
    crun[2] = contain_state();
    contain_name(attempt, id);
    snprintf(process, sizeof(process), "/proc/self/fd/%d", PROCESS_FD);
    pid = container_init_wait(CONTAINER_PID);
    if (pid < 0)
        contain_fail("its first process");
    if (ordinary)
        join_user_namespace(pid);
    contain_leave_mounts(ordinary);
    contain_keep_null();
    contain_put_self(self);
    open_process(argv);
    /* Joining has cleared it. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
        contain_fail("prctl");
    execvp(crun[0], crun);
    contain_fail(crun[0]);
}
