/* agent.h - triarch-agent: the parts of the program, and who owns what.
 *
 *   core        decides (core/agent_core.h); everything below carries out
 *   checkpoint  what must survive this process: a thread of its own
 *   launcher    processes of runs, which survive it
 *   lease       how long shims let runs go on without a leader
 *   disk        whether there is room for new work
 *   sandboxes   files of ended runs: a thread of its own
 *   disk_quota  what is in the sandboxes of running tasks: a thread of its own
 *   task_logs   how long log files grow: a thread of its own
 *   usages      what runs use: a thread of its own
 *   links       a lasting connection to each master, and to those that they name
 *   web         /health, /metrics and the log files of tasks
 *   exec        commands of clients inside running tasks
 *
 * One thread runs the loop and everything here.  An event of any part goes into drive(), which
 * steps the core and carries its actions out; work that is due at once is done at the end of
 * the turn, so that what one turn brings becomes one message.
 */
#ifndef AGENT_AGENT_H
#define AGENT_AGENT_H

#include "agent/core/agent_core.h"
#include "agent/disk.h"
#include "agent/lease_file.h"
#include "base/error.h"
#include "base/limits.h"
#include "net/address.h"
#include "net/loop.h"

#include <limits.h>
#include <stdbool.h>

struct checkpoint;
struct exec;
struct launcher;
struct sandboxes;
struct task_logs;
struct usages;
struct users;
struct disk_quota;
struct master_link;
struct web;

/* The amount of a resource that is to be detected. */
#define RESOURCE_DETECT UINT64_MAX

/* Something that listens. */
struct agent_endpoint {
    bool on;
    struct address listen;
    bool has_advertise;
    struct address advertise; /* what clients use; port 0: the one that we listen on */
};

struct agent_config {
    struct address masters[LIMIT_MASTERS];
    unsigned master_count;
    const char *work_dir;
    char shim[PATH_MAX];          /* path of triarch-shim */
    char fetch[PATH_MAX];         /* path of triarch-fetch */
    char contain[PATH_MAX];       /* path of triarch-contain */
    const char *volumes;          /* directories that volumes may be in; or NULL */
    uint64_t image_cache;         /* bytes of all images */
    uint64_t sandbox_keep_for_ms; /* 0: for ever */
    unsigned sandbox_keep_free_percent;
    uint64_t disk_reserve_bytes; /* 0: the disk is never low */
    const char *users;           /* users_options */
    const char *default_user;    /* the same */
    bool image_root;             /* the same */
    uint64_t task_pids;          /* processes and threads of a task */
    uint64_t default_disk;       /* bytes for the files of a task that asks for none */
    struct agent_endpoint http, rpc;
    struct agent_spec spec; /* its addresses are filled in at start */
};

struct agent {
    struct agent_config config;
    char *work_dir; /* absolute */

    struct loop *loop;
    struct agent_core *core;
    struct agent_actions actions;
    struct checkpoint *checkpoint;
    struct wake *durable; /* the checkpoint got further */
    struct users *users;
    struct lease_file lease;
    struct disk disk;
    struct launcher *launcher;
    struct watch *launcher_watch;
    struct sandboxes *sandboxes;
    struct task_logs *task_logs;
    struct disk_quota *disk_quota;
    struct wake *over_quota; /* some run is */
    struct usages *usages;
    struct loop_timer usage_timer; /* to tell the leader */
    struct master_link *links;     /* of config.masters, then of those that they name */
    unsigned link_count;
    uint64_t last_session;
    struct web *web;
    struct exec *exec;

    bool driving;            /* a step is being carried out */
    struct loop_timer timer; /* of the core */
    struct deferred turn;    /* the same, when it is due at once */
    bool finishing;
    struct loop_timer patience; /* while finishing */
    struct error failure;       /* why the loop ended; ERROR_NONE: it was asked to */
};

/* life.c: a zeroed struct with its config is started; then loop_run(a->loop); then it is
 * stopped, also when it could not be started. */
int agent_start(struct agent *a, struct error *err);
void agent_stop(struct agent *a);

/* drive.c: step the core with one event (the clock is filled in) and carry its actions out. */
void drive(struct agent *a, struct agent_event *event);
/* What the run may take on the disk is looked after from now on. */
void drive_watch_disk(struct agent *a, uint64_t attempt);
/* Take no new orders, wait until what was accepted has started, then end the loop. */
void drive_finish(struct agent *a);
/* End the loop because of this. */
void drive_fail(struct agent *a, const struct error *reason);
void drive_stop(struct agent *a); /* no timer and no turn any more */

/* master_link.c: sessions with the masters. */
void links_start(struct agent *a);
void links_stop(struct agent *a);
void links_send(struct agent *a, uint64_t session, struct bytes frames);
void links_close(struct agent *a, uint64_t session);
/* A master says that the leader is there. */
void links_dial(struct agent *a, const char *address);

#endif
