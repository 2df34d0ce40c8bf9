/* step.c - see step.h. */
#include "agent/step.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PATH_VARIABLE \
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define MARK     "TRIARCH_SANDBOX="
#define SAID_MAX 4096 /* bytes of its errors that are looked at, the last ones */

void steps_init(struct steps *s, const struct task *command)
{
    *s = (struct steps){.request = command->user,
                        .user = command->user,
                        .strings = command->rest,
                        .out = -1,
                        .err = -1};
    for (char **e = command->env; *e != NULL; e++) {
        if (strncmp(*e, MARK, strlen(MARK)) == 0)
            s->mark = *e;
    }
}

static const char *following(const char *text)
{
    return text + strlen(text) + 1;
}

/* A memory file with this text, at its beginning; -1 and errno. */
static int text_file(const char *text)
{
    int fd = memfd_create("step", MFD_CLOEXEC);
    size_t size = strlen(text);

    if (fd >= 0 && pwrite(fd, text, size, 0) != (ssize_t)size) {
        close(fd);
        errno = ENOSPC;
        return -1;
    }
    return fd;
}

static int spawn(struct steps *s,
                 const struct task *command,
                 int in,
                 const char *program,
                 pid_t *pid,
                 const char **what)
{
    const struct shim_step *step = &s->request->steps[s->next];
    char *argv[] = {
        (char *)(uintptr_t)program, (char *)(uintptr_t)following(program), NULL};
    char *env[] = {PATH_VARIABLE, s->mark, NULL};
    struct task t = {
        .group = command->group,
        .argv = argv,
        .env = env,
        .cwd = command->cwd,
        .in = in,
        .out = s->out,
        .err = s->err,
        .user = step->as_task ? s->user : NULL,
        .oom_default = command->oom_default,
    };
    int here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rv;

    if (!step->as_task)
        t.cwd = here;
    rv = here < 0 ? errno : task_spawn(&t, pid, what);
    if (here >= 0)
        close(here);
    return rv;
}

int steps_start(struct steps *s,
                const struct task *command,
                pid_t *pid,
                const char **what)
{
    const char *program = s->strings;
    const char *input = following(following(program));
    int in = text_file(input), rv;

    *what = "memory file";
    s->out = in < 0 ? -1 : memfd_create("output", MFD_CLOEXEC);
    s->err = s->out < 0 ? -1 : memfd_create("errors", MFD_CLOEXEC);
    rv = s->err < 0 ? errno : spawn(s, command, in, program, pid, what);
    if (in >= 0)
        close(in);
    s->strings = following(input);
    s->next++;
    return rv;
}

enum slot_how steps_how(const struct steps *s)
{
    return (enum slot_how)s->request->steps[s->next - 1].how;
}

/* Cut at the first character that would not fit whole. */
static void copy_line(const char *line, char *text, size_t room)
{
    size_t size = strlen(line);

    if (size >= room) {
        size = room - 1;
        while (size > 0 && ((unsigned char)line[size] & 0xc0) == 0x80)
            size--;
    }
    memcpy(text, line, size);
    text[size] = 0;
}

void steps_heard(int from, int log, char *text, size_t room)
{
    char said[SAID_MAX + 1], *line;
    off_t size = lseek(from, 0, SEEK_END);
    ssize_t n = pread(from, said, SAID_MAX, size > SAID_MAX ? size - SAID_MAX : 0);

    text[0] = 0;
    if (n <= 0)
        return;
    if (write(log, said, (size_t)n) < 0)
        errno = 0; /* its disk is full: the reason is told all the same */
    said[n] = 0;
    while (n > 0 && said[n - 1] == '\n')
        said[--n] = 0;
    line = strrchr(said, '\n');
    copy_line(line == NULL ? said : line + 1, text, room);
}

void steps_finish(struct steps *s, int log, char *text, size_t room)
{
    ssize_t n = pread(s->out, s->said, sizeof(s->said) - 1, 0);

    s->said[n > 0 ? n : 0] = 0;
    steps_heard(s->err, log, text, room);
    close(s->out);
    close(s->err);
    s->out = s->err = -1;
}
