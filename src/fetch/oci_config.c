/* oci_config.c - see oci_config.h. */
#include "fetch/oci_config.h"

#include "fetch/oci_seccomp.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define PATH_DEFAULT "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static const json_t *of_image(const json_t *image, const char *key)
{
    return json_object_get(json_object_get(image, "config"), key);
}

static bool has_name(const json_t *list, const char *entry)
{
    size_t size = strcspn(entry, "="), i;
    json_t *one;

    json_array_foreach (list, i, one) {
        const char *text = json_string_value(one);

        if (strncmp(text, entry, size) == 0 && text[size] == '=')
            return true;
    }
    return false;
}

/* The task's, and those of the image that it does not set. */
static json_t *environment(const struct oci_task *task, const json_t *image)
{
    json_t *list = json_copy((json_t *)(uintptr_t)task->env), *one;
    size_t i;

    json_array_foreach (of_image(image, "Env"), i, one) {
        const char *text = json_string_value(one);

        if (text != NULL && strchr(text, '=') != NULL && !has_name(list, text))
            json_array_append(list, one);
    }
    if (!has_name(list, PATH_DEFAULT))
        json_array_append_new(list, json_string(PATH_DEFAULT));
    return list;
}

static json_t *capabilities(void)
{
    static const char *const sets[] = {"bounding", "effective", "permitted"};
    json_t *all = json_object(), *list = json_pack("[s,s,s,s,s,s,s]",
                                                   "CAP_CHOWN",
                                                   "CAP_DAC_OVERRIDE",
                                                   "CAP_FOWNER",
                                                   "CAP_KILL",
                                                   "CAP_NET_BIND_SERVICE",
                                                   "CAP_SETGID",
                                                   "CAP_SETUID");

    for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
        json_object_set(all, sets[i], list);
    json_decref(list);
    return all;
}

static json_t *user(const struct oci_user *user)
{
    json_t *groups = json_array();

    for (uint32_t i = 0; i < user->group_count; i++)
        json_array_append_new(groups, json_integer(user->groups[i]));
    return json_pack("{s:I, s:I, s:o}",
                     "uid",
                     (json_int_t)user->uid,
                     "gid",
                     (json_int_t)user->gid,
                     "additionalGids",
                     groups);
}

static json_t *process(const struct oci_task *task, const json_t *image)
{
    const char *cwd = json_string_value(of_image(image, "WorkingDir"));

    return json_pack("{s:b, s:o, s:O, s:o, s:s, s:b, s:o}",
                     "terminal",
                     0,
                     "user",
                     user(&task->user),
                     "args",
                     task->argv,
                     "env",
                     environment(task, image),
                     "cwd",
                     cwd != NULL && cwd[0] == '/' ? cwd : OCI_SANDBOX,
                     "noNewPrivileges",
                     1,
                     "capabilities",
                     capabilities());
}

/* With all that is mounted below: "ro" would leave the host's cgroups below /sys writable. */
#define READ_ONLY      "rro"
#define READ_ONLY_FILE "ro" /* crun 1.8 knows the other one for directories only */

static void
add_bind(json_t *mounts, const char *from, const char *to, const char *access)
{
    json_array_append_new(mounts,
                          json_pack("{s:s, s:s, s:s, s:[s,s,s,s]}",
                                    "destination",
                                    to,
                                    "type",
                                    "bind",
                                    "source",
                                    from,
                                    "options",
                                    "rbind",
                                    "nosuid",
                                    "nodev",
                                    access));
}

static void add_volume(json_t *mounts, const struct oci_volume *v)
{
    const char *read_only = v->is_file ? READ_ONLY_FILE : READ_ONLY;

    add_bind(mounts, v->source, v->target, v->read_only ? read_only : "rw");
}

static const char MOUNTS[] =
    "[{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":\"proc\"},"
    "{\"destination\":\"/dev\",\"type\":\"tmpfs\",\"source\":\"tmpfs\","
    "\"options\":[\"nosuid\",\"mode=755\",\"size=64k\"]},"
    "{\"destination\":\"/dev/pts\",\"type\":\"devpts\",\"source\":\"devpts\","
    "\"options\":[\"nosuid\",\"noexec\",\"newinstance\",\"ptmxmode=0666\","
    "\"mode=0620\"]},"
    "{\"destination\":\"/dev/shm\",\"type\":\"tmpfs\",\"source\":\"shm\","
    "\"options\":[\"nosuid\",\"noexec\",\"nodev\",\"mode=1777\"]},"
    "{\"destination\":\"/sys\",\"type\":\"none\",\"source\":\"/sys\","
    "\"options\":[\"rbind\",\"" READ_ONLY
    "\",\"nosuid\",\"noexec\",\"nodev\"]},"
    "{\"destination\":\"/tmp\",\"type\":\"tmpfs\",\"source\":\"tmpfs\","
    "\"options\":[\"nosuid\",\"nodev\",\"mode=1777\"]}]";

static json_t *mounts(const struct oci_task *task)
{
    json_t *list = json_loads(MOUNTS, 0, NULL);

    for (const char *const *file = task->host_files; *file != NULL; file++)
        add_bind(list, *file, *file, READ_ONLY_FILE);
    add_bind(list, task->sandbox, OCI_SANDBOX, "rw");
    for (size_t i = 0; i < task->volume_count; i++)
        add_volume(list, &task->volumes[i]);
    return list;
}

static const char LINUX[] =
    "{\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"mount\"},{\"type\":\"ipc\"},"
    "{\"type\":\"uts\"}],\"maskedPaths\":[\"/proc/acpi\",\"/proc/kcore\","
    "\"/proc/keys\",\"/proc/latency_stats\",\"/proc/timer_list\","
    "\"/proc/sched_debug\",\"/proc/scsi\",\"/sys/firmware\"],"
    "\"readonlyPaths\":[\"/proc/bus\",\"/proc/fs\",\"/proc/irq\",\"/proc/sys\","
    "\"/proc/sysrq-trigger\"]}";

static json_t *linux_part(void)
{
    json_t *made = json_loads(LINUX, 0, NULL);

    json_object_set_new(made, "seccomp", oci_seccomp());
    return made;
}

json_t *oci_config(const struct oci_task *task, const json_t *image)
{
    return json_pack("{s:s, s:o, s:{s:s, s:b}, s:o, s:o}",
                     "ociVersion",
                     "1.0.0",
                     "process",
                     process(task, image),
                     "root",
                     "path",
                     "rootfs",
                     "readonly",
                     0,
                     "mounts",
                     mounts(task),
                     "linux",
                     linux_part());
}
