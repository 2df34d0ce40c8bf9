/* launcher.h - starting, watching and ending the processes of runs.
 *
 * Behind this table stands launcher_process.c: each run is a process under a shim, also one
 * in a container, whose process is triarch-contain and then crun.  A launcher is used from
 * one thread; it never blocks for long, and tells what happened from
 * launcher_dispatch(), never from within a call.
 */
#ifndef AGENT_LAUNCHER_H
#define AGENT_LAUNCHER_H

#include "agent/cgroup.h"
#include "agent/core/agent_core.h"
#include "base/error.h"
#include "wire/message_exec.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct launcher_listener {
    /* Its shim is asked for: launcher_disk() is known, and it is about to take of it. */
    void (*asked)(void *context, uint64_t attempt);
    void (*started)(void *context, const struct run_started *started);
    /* Nothing of the run is left. */
    void (*ended)(void *context, const struct run_ended *ended);
    void (*checked)(void *context, const struct run_checked *checked);
    /* It cannot go on: the agent stops with this error and finds its runs again when it
     * is restarted. */
    void (*failed)(void *context, const struct error *err);
    void *context;
};

struct launcher;
struct slot_used; /* shim.h */
struct users;

struct launcher_ops {
    void (*start)(struct launcher *l, const struct run_start *run);
    void (*adopt)(struct launcher *l, uint64_t attempt);
    void (*signal)(struct launcher *l, uint64_t attempt, enum run_signal signal);
    uint64_t (*disk)(struct launcher *l, uint64_t attempt);
    void (*end_for_disk)(struct launcher *l, uint64_t attempt);
    void (*forget)(struct launcher *l, uint64_t attempt);
    pid_t (*shim)(struct launcher *l, uint64_t attempt);
    bool (*used)(struct launcher *l, uint64_t attempt, struct slot_used *out);
    int (*exec)(struct launcher *l,
                const struct run_start *run,
                const struct exec_request *request,
                int socket,
                struct error *err);
    void (*check)(struct launcher *l, const struct run_start *run, uint32_t index);
    void (*dispatch)(struct launcher *l);
    void (*destroy)(struct launcher *l);
};

struct launcher {
    const struct launcher_ops *ops;
    struct launcher_listener listener;
    int fd;                       /* readable when launcher_dispatch() is due */
    const struct cgroups *groups; /* of its runs, for cgroup_usage() */
    struct error unlimited;       /* which limits are not enforced and why; or none */
    struct error no_images;       /* why tasks cannot have images; or none */
};

/* Start it: started and ended follow, or ended alone. */
static inline void launcher_start(struct launcher *l, const struct run_start *run)
{
    l->ops->start(l, run);
}

/* A run of an earlier agent process: find what became of it. */
static inline void launcher_adopt(struct launcher *l, uint64_t attempt)
{
    l->ops->adopt(l, attempt);
}

/* To all processes of the run; nothing happens when it has ended or is not known. */
static inline void
launcher_signal(struct launcher *l, uint64_t attempt, enum run_signal signal)
{
    l->ops->signal(l, attempt, signal);
}

/* Bytes that the files of a started run may take. */
static inline uint64_t launcher_disk(struct launcher *l, uint64_t attempt)
{
    return l->ops->disk(l, attempt);
}

/* Kill it because its files take more than its disk. */
static inline void launcher_end_for_disk(struct launcher *l, uint64_t attempt)
{
    l->ops->end_for_disk(l, attempt);
}

/* The run ended and nobody will ask for it again. */
static inline void launcher_forget(struct launcher *l, uint64_t attempt)
{
    l->ops->forget(l, attempt);
}

/* The process that stands over the run; 0 if it is not known. */
static inline pid_t launcher_shim(struct launcher *l, uint64_t attempt)
{
    return l->ops->shim(l, attempt);
}

/* What the last start of the run used, once it has ended; false: it is not known. */
static inline bool
launcher_used(struct launcher *l, uint64_t attempt, struct slot_used *out)
{
    return l->ops->used(l, attempt, out);
}

/* Start a session process of this run with that socket (exec_session.h), which is taken over,
 * also after an error. */
static inline int launcher_exec(struct launcher *l,
                                const struct run_start *run,
                                const struct exec_request *request,
                                int socket,
                                struct error *err)
{
    return l->ops->exec(l, run, request, socket, err);
}

/* Ask how this run is, by the check of its job with that number: answered by `checked` a
 * moment after its timeout at the latest, unless the run ends meanwhile. */
static inline void
launcher_check(struct launcher *l, const struct run_start *run, uint32_t index)
{
    l->ops->check(l, run, index);
}

static inline void launcher_dispatch(struct launcher *l)
{
    l->ops->dispatch(l);
}

/* The runs go on.  NULL is fine. */
static inline void launcher_destroy(struct launcher *l)
{
    if (l != NULL)
        l->ops->destroy(l);
}

struct launcher_process_options {
    const char *work_dir;  /* absolute, exists */
    const char *shim;      /* path of triarch-shim */
    const char *fetch;     /* path of triarch-fetch */
    const char *contain;   /* path of triarch-contain; NULL: no images */
    const char *volumes;   /* directories that volumes may be in; or NULL */
    uint64_t image_cache;  /* bytes of all images */
    struct users *users;   /* outlive the launcher */
    uint32_t task_pids;    /* processes and threads of a task */
    uint64_t default_disk; /* bytes for the files of a task whose job asks for none */
    const char *root;      /* of /proc and /sys, for tests; NULL: the host's */
    bool
        oom_protected; /* this process is, and its shims inherit it; tasks are not to */
};

/* Waits for the fence of an earlier agent, at most some seconds. */
int launcher_process_create(struct launcher **out,
                            const struct launcher_process_options *options,
                            const struct launcher_listener *listener,
                            struct error *err);

#endif
