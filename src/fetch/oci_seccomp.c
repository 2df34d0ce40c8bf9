/* oci_seccomp.c - see oci_seccomp.h.
 *
 * The rights of a container do most of the work: it has no CAP_SYS_ADMIN.  So this is a list of
 * what is refused, not of what is allowed, which would break programs with each new system call.
 * Refused is what gives rights that were taken away (user namespaces), what is the host's since
 * there is no namespace for it, and large parts of the kernel that few tasks need and that often
 * were the way out.
 */
#include "fetch/oci_seccomp.h"

#include <errno.h>
#include <linux/sched.h>
#include <sys/socket.h>

/* Names that a machine does not have are passed over. */
static const char *const refused[] = {
    /* namespaces and mounts */
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "mount",
    "mount_setattr",
    "move_mount",
    "open_tree",
    "pivot_root",
    "setdomainname",
    "sethostname",
    "setns",
    "umount",
    "umount2",
    /* the host's: its kernel, time, devices, accounts, keys */
    "acct",
    "add_key",
    "bpf",
    "clock_settime",
    "clock_settime64",
    "delete_module",
    "finit_module",
    "init_module",
    "ioperm",
    "iopl",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "lookup_dcookie",
    "open_by_handle_at",
    "perf_event_open",
    "quotactl",
    "quotactl_fd",
    "reboot",
    "request_key",
    "settimeofday",
    "stime",
    "swapoff",
    "swapon",
    "syslog",
    "vhangup",
    /* large, and seldom needed */
    "fanotify_init",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "kcmp",
    "migrate_pages",
    "move_pages",
    "userfaultfd",
    "vmsplice",
    /* of the past */
    "_sysctl",
    "nfsservctl",
    "sysfs",
    "uselib",
    "ustat",
    "vm86",
    "vm86old",
};

#define CLONE_FLAGS 0 /* which argument of clone() they are */
#ifdef __s390__
#undef CLONE_FLAGS
#define CLONE_FLAGS 1
#endif

static json_t *rule(json_t *names, int reason)
{
    return json_pack("{s:o, s:s, s:i}",
                     "names",
                     names,
                     "action",
                     "SCMP_ACT_ERRNO",
                     "errnoRet",
                     reason);
}

static json_t *rule_of_flag(const char *name, int argument, unsigned flag)
{
    json_t *made = rule(json_pack("[s]", name), EPERM);

    json_object_set_new(made,
                        "args",
                        json_pack("[{s:i, s:I, s:I, s:s}]",
                                  "index",
                                  argument,
                                  "value",
                                  (json_int_t)flag,
                                  "valueTwo",
                                  (json_int_t)flag,
                                  "op",
                                  "SCMP_CMP_MASKED_EQ"));
    return made;
}

static json_t *rule_of_value(const char *name, int argument, int value)
{
    json_t *made = rule(json_pack("[s]", name), EPERM);

    json_object_set_new(made,
                        "args",
                        json_pack("[{s:i, s:i, s:s}]",
                                  "index",
                                  argument,
                                  "value",
                                  value,
                                  "op",
                                  "SCMP_CMP_EQ"));
    return made;
}

/* Its own, and the older one whose programs it runs; else another one ends the process. */
static json_t *architectures(void)
{
#if defined(__x86_64__)
    return json_pack("[s, s]", "SCMP_ARCH_X86_64", "SCMP_ARCH_X86");
#elif defined(__aarch64__)
    return json_pack("[s, s]", "SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM");
#else
    return json_array();
#endif
}

json_t *oci_seccomp(void)
{
    json_t *names = json_array(), *rules = json_array();

    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        json_array_append_new(names, json_string(refused[i]));
    json_array_append_new(rules, rule(names, EPERM));
    /* Its flags are in memory, which a filter cannot see; C libraries then take clone(). */
    json_array_append_new(rules, rule(json_pack("[s]", "clone3"), ENOSYS));
    json_array_append_new(rules, rule_of_flag("clone", CLONE_FLAGS, CLONE_NEWUSER));
    json_array_append_new(rules, rule_of_flag("unshare", 0, CLONE_NEWUSER));
    json_array_append_new(rules, rule_of_value("socket", 0, AF_VSOCK));
    return json_pack("{s:s, s:o, s:o}",
                     "defaultAction",
                     "SCMP_ACT_ALLOW",
                     "architectures",
                     architectures(),
                     "syscalls",
                     rules);
}
