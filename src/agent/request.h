/* request.h - what a task is started with: its command line and environment. */
#ifndef AGENT_REQUEST_H
#define AGENT_REQUEST_H

#include "agent/core/agent_core.h"
#include "agent/users.h"
#include "base/buffer.h"
#include "base/error.h"
#include "wire/message_exec.h"

/* What requests need to know of this agent. */
struct request_host {
    const char *work_dir;
    const char *fetch, *contain; /* paths of triarch-fetch and triarch-contain */
    const char *no_images;       /* why images do not work here; NULL: they do */
    const char *volumes;         /* directories that volumes may be in; with commas */
    uint64_t image_cache;        /* bytes of all images */
    struct users *users;
    uint32_t task_pids;    /* processes and threads of a task */
    uint64_t default_disk; /* bytes for a job that asks for none */
};

/* Append the run's struct shim_request and what comes after it; the caller sets the slot.
 * All of these return USERS_ASKED, with nothing appended, while the user is looked up. */
int request_build(struct buffer *out,
                  const struct run_start *run,
                  const struct request_host *host,
                  struct error *err);

/* The same of a command inside the run: its own command line, and more variables. */
int request_build_exec(struct buffer *out,
                       const struct run_start *run,
                       const struct exec_request *exec,
                       const struct request_host *host,
                       struct error *err);

/* The same of a check of the run. */
int request_build_check(struct buffer *out,
                        const struct run_start *run,
                        uint32_t index,
                        const struct request_host *host,
                        struct error *err);

#endif
