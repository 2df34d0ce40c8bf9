/* life.c - an agent from start to stop.
 *
 * The order matters.  The lock of the work directory comes first, then the fence of the
 * launcher: from then on nothing of an earlier agent can start.  The core adopts its runs before
 * any master can give an order, and the spawner is started before this process takes more file
 * descriptors than its tasks should have.
 */
#include "agent/agent.h"
#include "agent/checkpoint.h"
#include "agent/disk_quota.h"
#include "agent/exec.h"
#include "agent/found.h"
#include "agent/host.h"
#include "agent/launcher.h"
#include "agent/sandboxes.h"
#include "agent/shim.h"
#include "agent/task_logs.h"
#include "agent/usages.h"
#include "agent/users.h"
#include "agent/web.h"
#include "base/entropy.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* ---- the checkpoint ---- */

static void on_written(void *arg)
{
    struct agent *a = arg;

    wake_signal(a->durable);
}

static void on_durable(void *user)
{
    struct agent *a = user;

    drive(a,
          &(struct agent_event){.kind = AGENT_DURABLE,
                                .durable.sequence = checkpoint_durable(a->checkpoint)});
}

static int open_checkpoint(struct agent *a, struct error *err)
{
    const struct store_hooks hooks = {.notify = on_written, .arg = a};
    int rv;

    a->durable = wake_create(a->loop, on_durable, a);
    rv = checkpoint_open(&a->checkpoint, a->config.work_dir, &hooks, err);
    if (rv != 0)
        return rv;
    a->work_dir = realpath(a->config.work_dir, NULL);
    if (a->work_dir == NULL)
        return error_set(
            err, ERROR_IO, "realpath %s: %s", a->config.work_dir, strerror(errno));
    return 0;
}

/* ---- processes ---- */

static void on_readable(void *user)
{
    struct agent *a = user;

    launcher_dispatch(a->launcher);
}

/* Its artifacts count, too. */
static void on_asked(void *context, uint64_t attempt)
{
    drive_watch_disk(context, attempt);
}

static void on_started(void *context, const struct run_started *started)
{
    struct agent *a = context;

    drive_watch_disk(a, started->attempt);
    usages_watch(
        a->usages, started->attempt, launcher_shim(a->launcher, started->attempt));
    drive(a, &(struct agent_event){.kind = AGENT_RUN_STARTED, .run_started = *started});
}

static void end_usage(struct agent *a, uint64_t attempt)
{
    struct usage_reading reading = {0};
    struct slot_used used;
    bool known = launcher_used(a->launcher, attempt, &used);

    if (known)
        reading = (struct usage_reading){
            .cpu_us = used.cpu_us,
            .memory_peak_bytes = used.memory_peak_bytes,
            .read_bytes = used.read_bytes,
            .written_bytes = used.written_bytes,
        };
    usages_leave(a->usages, attempt, known ? &reading : NULL);
}

static void on_ended(void *context, const struct run_ended *ended)
{
    struct agent *a = context;

    disk_quota_leave(a->disk_quota, ended->attempt);
    task_logs_leave(a->task_logs, ended->attempt);
    end_usage(a, ended->attempt);
    exec_run_ended(a->exec, ended->attempt);
    drive(a, &(struct agent_event){.kind = AGENT_RUN_ENDED, .run_ended = *ended});
}

static void on_checked(void *context, const struct run_checked *checked)
{
    drive(context, &(struct agent_event){.kind = AGENT_CHECKED, .checked = *checked});
}

static void on_failed(void *context, const struct error *reason)
{
    drive_fail(context, reason);
}

static int open_users(struct agent *a, struct error *err)
{
    const struct users_options options = {
        .allowed = a->config.users,
        .default_user = a->config.default_user,
        .image_root = a->config.image_root,
    };

    if (users_create(&a->users, &options, err) == 0)
        return 0;
    if (err->code == ERROR_INVALID) /* else it is the host that does not say */
        err->code = ERROR_USAGE;
    return error_wrap(err, "--default-user");
}

static int open_launcher(struct agent *a, struct error *err)
{
    const struct launcher_process_options options = {
        .work_dir = a->work_dir,
        .shim = a->config.shim,
        .fetch = a->config.fetch,
        .contain = a->config.contain,
        .volumes = a->config.volumes,
        .image_cache = a->config.image_cache,
        .users = a->users,
        .task_pids = (uint32_t)a->config.task_pids,
        .default_disk = a->config.default_disk,
        .oom_protected = host_protect(),
    };
    const struct launcher_listener listener = {
        .asked = on_asked,
        .started = on_started,
        .ended = on_ended,
        .checked = on_checked,
        .failed = on_failed,
        .context = a,
    };
    int rv = launcher_process_create(&a->launcher, &options, &listener, err);

    if (rv != 0)
        return rv;
    a->config.spec.features |= AGENT_FEATURE_JOBS_2;
    if (a->launcher->unlimited.code == ERROR_NONE)
        a->config.spec.features |= AGENT_FEATURE_LIMITS;
    if (geteuid() == 0)
        a->config.spec.features |= AGENT_FEATURE_USERS;
    if (a->config.volumes != NULL && a->config.volumes[0] != '\0')
        a->config.spec.features |= AGENT_FEATURE_VOLUMES;
    if (a->launcher->no_images.code == ERROR_NONE)
        a->config.spec.features |= AGENT_FEATURE_IMAGES;
    found_tell(&a->config, a->launcher);
    a->launcher_watch = watch_create(a->loop, a->launcher->fd, on_readable, a);
    return 0;
}

/* Sessions, adopted runs and followed logs are descriptors; take as many as the system lets
 * us. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        log_warning("agent", "cannot raise the limit of file descriptors");
}

/* ---- files ---- */

static void on_disk(void *user, bool low)
{
    drive(user, &(struct agent_event){.kind = AGENT_DISK, .disk.low = low});
}

static void watch_disk(struct agent *a)
{
    a->disk = (struct disk){
        .work_dir = a->work_dir,
        .reserve_bytes = a->config.disk_reserve_bytes,
        .changed = on_disk,
        .user = a,
    };
    disk_start(&a->disk, a->loop);
}

/* The core says when its files may go. */
static bool is_known(void *context, uint64_t attempt)
{
    const struct agent *a = context;
    enum task_state state;

    return agent_core_run_state(a->core, attempt, &state);
}

static int open_sandboxes(struct agent *a, struct error *err)
{
    const struct sandboxes_options options = {
        .work_dir = a->work_dir,
        .keep_for_ms = a->config.sandbox_keep_for_ms,
        .keep_free_percent = a->config.sandbox_keep_free_percent,
        .is_live = is_known,
        .context = a,
    };

    return sandboxes_open(&a->sandboxes, &options, err);
}

static void on_look(void *arg)
{
    struct agent *a = arg;

    wake_signal(a->over_quota);
}

static void on_over_quota(void *user)
{
    struct agent *a = user;
    struct run_start run = {0};
    uint64_t attempt;

    while (disk_quota_take(a->disk_quota, &attempt)) {
        if (agent_core_run_start(a->core, attempt, &run))
            log_info("agent",
                     "task %llu.%u (attempt id %llu) has more files than its disk of "
                     "%llu MiB allows",
                     (unsigned long long)run.job,
                     run.instance,
                     (unsigned long long)attempt,
                     (unsigned long long)(launcher_disk(a->launcher, attempt) / MIB));
        launcher_end_for_disk(a->launcher, attempt);
    }
}

static int open_disk_quota(struct agent *a, struct error *err)
{
    const struct disk_quota_options options = {
        .work_dir = a->work_dir,
        .shim = a->config.shim,
        .groups = a->launcher->groups,
        .hooks = {.notify = on_look, .arg = a},
    };

    a->over_quota = wake_create(a->loop, on_over_quota, a);
    return disk_quota_open(&a->disk_quota, &options, err);
}

static int open_task_logs(struct agent *a, struct error *err)
{
    const struct task_logs_options options = {.work_dir = a->work_dir};

    return task_logs_open(&a->task_logs, &options, err);
}

/* ---- usage ---- */

static void tell_usage(void *user)
{
    struct agent *a = user;
    struct agent_event event = {.kind = AGENT_USAGE};
    struct usage_report *reports =
        usages_reports(a->usages, 0, LIMIT_AGENT_RUNS, &event.usage.count);

    event.usage.reports = reports;
    drive(a, &event);
    mem_free(reports);
    timer_set_in(a->loop, &a->usage_timer, USAGE_TELL_MS, tell_usage, a);
}

static int read_group(void *context, uint64_t attempt, struct usage_reading *out)
{
    const struct cgroups *groups = context;
    struct usage u;
    int rv = cgroup_usage(groups, attempt, &u);

    *out = (struct usage_reading){
        .cpu_us = u.cpu_us,
        .memory_bytes = u.memory_bytes,
        .memory_peak_bytes = u.memory_peak_bytes,
        .read_bytes = u.io_read_bytes,
        .written_bytes = u.io_written_bytes,
        .pids = (uint32_t)u.pids,
    };
    return rv;
}

static int open_usages(struct agent *a, struct error *err)
{
    const struct cgroups *groups = a->launcher->groups;
    const struct usages_options options = {
        .work_dir = a->work_dir,
        .read_group = cgroups_have(groups, CGROUP_MEMORY) ? read_group : NULL,
        .context = (void *)(uintptr_t)groups,
    };
    int rc = usages_open(&a->usages, &options, err);

    if (rc == 0)
        timer_set_in(a->loop, &a->usage_timer, USAGE_TELL_MS, tell_usage, a);
    return rc;
}

/* ---- who we are ---- */

static bool is_wildcard(const struct address *at)
{
    return strcmp(at->host, "0.0.0.0") == 0 || strcmp(at->host, "::") == 0;
}

/* port: the one that we listen on. */
static char *
address_told(const struct agent *a, const struct agent_endpoint *e, uint16_t port)
{
    struct buffer text = {0};
    const char *host;

    if (e->has_advertise) {
        host = e->advertise.host;
        port = e->advertise.port != 0 ? e->advertise.port : port;
    } else {
        host = is_wildcard(&e->listen) ? a->config.spec.hostname : e->listen.host;
    }
    if (e->on)
        buffer_printf(
            &text, strchr(host, ':') == NULL ? "%s:%u" : "[%s]:%u", host, port);
    buffer_append_u8(&text, 0);
    return (char *)text.data;
}

static int complete_spec(struct agent *a, struct error *err)
{
    struct agent_spec *spec = &a->config.spec;
    struct resources found;

    if (host_resources(&found, a->work_dir, err) != 0)
        return -(int)err->code;
    for (int k = 0; k < RESOURCE_KINDS; k++)
        if (spec->resources.amount[k] == RESOURCE_DETECT)
            spec->resources.amount[k] = found.amount[k];
    spec->http_address =
        address_told(a, &a->config.http, a->web == NULL ? 0 : web_port(a->web));
    spec->rpc_address =
        address_told(a, &a->config.rpc, a->exec == NULL ? 0 : exec_port(a->exec));
    return agent_spec_check(spec, err);
}

/* ---- start and stop ---- */

static int start_core(struct agent *a, struct error *err)
{
    struct agent_event event = {
        .kind = AGENT_START,
        .start = {.spec = &a->config.spec,
                  .masters = a->config.master_count,
                  .renewed_ms = a->lease.renewed_ms},
    };

    event.start.records = checkpoint_records(a->checkpoint, &event.start.record_count);
    entropy_fill(event.start.entropy, sizeof(event.start.entropy));
    drive(a, &event);
    if (a->failure.code != ERROR_NONE)
        *err = a->failure;
    return -(int)a->failure.code;
}

int agent_start(struct agent *a, struct error *err)
{
    a->loop = loop_create();
    a->lease.fd = -1;
    a->core = agent_core_create();
    if (open_checkpoint(a, err) != 0 ||
        (a->config.http.on && web_start(&a->web, a, err) != 0) ||
        (a->config.rpc.on && exec_start(&a->exec, a, err) != 0) ||
        complete_spec(a, err) != 0 || open_users(a, err) != 0 ||
        lease_file_open(&a->lease, a->work_dir, err) != 0 ||
        open_launcher(a, err) != 0 || open_disk_quota(a, err) != 0 ||
        open_task_logs(a, err) != 0 || open_usages(a, err) != 0)
        return -(int)err->code;
    raise_descriptor_limit();
    if (start_core(a, err) != 0 || open_sandboxes(a, err) != 0)
        return -(int)err->code;
    links_start(a);
    watch_disk(a);
    return 0;
}

void agent_stop(struct agent *a)
{
    if (a->loop == NULL)
        return;
    drive_stop(a);
    disk_stop(&a->disk);
    links_stop(a);
    web_stop(a->web);
    exec_stop(a->exec);
    watch_destroy(a->launcher_watch);
    timer_stop(a->loop, &a->usage_timer);
    usages_close(a->usages); /* these two read the launcher's groups */
    disk_quota_close(a->disk_quota);
    launcher_destroy(a->launcher);
    lease_file_close(&a->lease);
    users_destroy(a->users);
    sandboxes_close(a->sandboxes);
    wake_destroy(a->over_quota);
    task_logs_close(a->task_logs);
    checkpoint_close(a->checkpoint);
    wake_destroy(a->durable);
    agent_core_destroy(a->core);
    agent_actions_finish(&a->actions);
    loop_destroy(a->loop);
    mem_free(a->work_dir);
    agent_spec_finish(&a->config.spec);
}
