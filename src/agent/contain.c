/* contain.c - triarch-contain: becomes crun for one container, and removes what it leaves.
 *
 *     triarch-contain bundle                    a step (step.h): what crun needs (bundle.h)
 *     triarch-contain run WORK_DIR ATTEMPT      that; its input is a socket of the shim
 *     triarch-contain begin CMD [ARG…]          process 1, until it is the command
 *                                               (contain_begin.c)
 *     triarch-contain exec WORK_DIR ATTEMPT [NAME=VALUE…] -- CMD [ARG…]
 *                                               one more process of it (contain_exec.c)
 *     triarch-contain inside CMD [ARG…]         what that runs (contain_inside.c)
 *     triarch-contain remove WORK_DIR ATTEMPT   the bundle, with the layer that was written
 *     triarch-contain clean WORK_DIR            all that is called *.gone, in the background
 *     triarch-contain probe WORK_DIR            do containers work here?  Else why not
 *
 * `run` mounts in a mount namespace of its own, so that nothing of it is left when the last
 * process of the container is gone, however that ends.  crun is gone before the command begins;
 * the lock that keeps the image in the cache is the shim's.  An ordinary user does this in a user
 * namespace in which it is root.
 *
 * crun 1.8 does not start where version 1 and version 2 of cgroups are both mounted in the
 * usual way, so version 2 is taken out of sight; groups are the shim's business.
 */
#include "agent/contain.h"

#include "agent/container_init.h"
#include "agent/containers.h"
#include "agent/handover.h"
#include "base/tree.h"
#include "fetch/bundle.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXIT_FAILED 1
#define EXIT_USAGE  2

#define CGROUPS "/sys/fs/cgroup"
#define UNIFIED CGROUPS "/unified"

void contain_fail(const char *what)
{
    fprintf(stderr, "cannot make the container: %s: %s\n", what, strerror(errno));
    exit(EXIT_FAILED);
}

void contain_enter(const char *work_dir, const char *attempt)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/bundles/%s", work_dir, attempt);
    if (chdir(path) != 0)
        contain_fail(path);
}

void contain_name(const char *attempt, char id[CONTAIN_ID_MAX])
{
    snprintf(id, CONTAIN_ID_MAX, "triarch-%.20s", attempt);
}

/* Absolute, as crun changes its directory. */
static char *in_bundle(const char *name)
{
    char bundle[PATH_MAX], *path;

    if (getcwd(bundle, sizeof(bundle)) == NULL ||
        asprintf(&path, "%s/%s", bundle, name) < 0)
        contain_fail("getcwd");
    return path;
}

char *contain_state(void)
{
    return in_bundle("state");
}

void contain_put(int fd, int to)
{
    if (fd != to && (dup2(fd, to) < 0 || close(fd) != 0))
        contain_fail("descriptors");
    if (fcntl(to, F_SETFD, 0) != 0)
        contain_fail("descriptors");
}

/* As a descriptor that is only its place. */
static int read_only(const char *path)
{
    struct mount_attr only_read = {.attr_set = MOUNT_ATTR_RDONLY};
    int fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

    if (fd < 0 ||
        mount_setattr(fd, "", AT_EMPTY_PATH, &only_read, sizeof(only_read)) != 0)
        contain_fail(path);
    return fd;
}

void contain_put_self(const char *self)
{
    contain_put(read_only(self), CONTAIN_FD);
}

void contain_keep_null(void)
{
    char path[32];
    struct stat st;
    int tree = read_only("/dev/null"), null;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", tree);
    null = open(path, O_RDWR | O_CLOEXEC);
    if (null < 0)
        contain_fail("/dev/null");
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) && !isatty(fd) &&
            dup2(null, fd) < 0)
            contain_fail("/dev/null");
    }
    close(null);
    close(tree);
}

/* ---- run ---- */

/* The shim has opened its lock, and holds it as long as it lives; here one can wait for it. */
static void lock_image(void)
{
    int lock = handover_receive(STDIN_FILENO);

    if (lock < 0 || flock(lock, LOCK_SH) != 0)
        contain_fail("the lock of its image");
    close(lock);
    if (access("image/rootfs", F_OK) != 0)
        contain_fail("its image is gone");
}

/* It is for `begin`; the command has no input. */
static void put_socket(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null < 0)
        contain_fail("/dev/null");
    contain_put(dup(STDIN_FILENO), CONTAIN_SOCKET);
    contain_put(null, STDIN_FILENO);
}

static void write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        contain_fail(path);
    close(fd);
}

/* Root of a user namespace that has only this one user. */
static void become_root_inside(void)
{
    unsigned uid = geteuid(), gid = getegid();
    char map[32];

    if (uid == 0)
        return;
    if (unshare(CLONE_NEWUSER) != 0)
        contain_fail("a user namespace for an ordinary user");
    write_file("/proc/self/setgroups", "deny");
    snprintf(map, sizeof(map), "0 %u 1", gid);
    write_file("/proc/self/gid_map", map);
    snprintf(map, sizeof(map), "0 %u 1", uid);
    write_file("/proc/self/uid_map", map);
}

static bool is_version_2(const char *path)
{
    struct statfs fs;

    return statfs(path, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;
}

/* What was mounted outside of a user namespace cannot be unmounted in it, only covered. */
static void hide_version_2(bool ordinary)
{
    if (!is_version_2(UNIFIED))
        return;
    if (ordinary) {
        if (mount("tmpfs", CGROUPS, "tmpfs", 0, "mode=755,size=4k") != 0)
            contain_fail("cover " CGROUPS);
    } else if (umount2(UNIFIED, MNT_DETACH) != 0) {
        contain_fail("unmount " UNIFIED);
    }
}

/* In the current directory; paths in it are short and have no commas.  The layer is thrown away:
 * without `volatile` its end would wait until all that the disk has to write is written. */
static void mount_layer(bool ordinary)
{
    static const char of_root[] =
        "lowerdir=image/rootfs,upperdir=upper,workdir=work,volatile";
    static const char of_user[] =
        "lowerdir=image/rootfs,upperdir=upper,workdir=work,volatile,"
        "userxattr";

    if (mount("overlay", "rootfs", "overlay", MS_NODEV, ordinary ? of_user : of_root) !=
        0)
        contain_fail("mount its layer on the image (overlay)");
}

void contain_leave_mounts(bool ordinary)
{
    if (unshare(CLONE_NEWNS) != 0)
        contain_fail("a mount namespace");
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        contain_fail("a mount namespace of its own");
    hide_version_2(ordinary);
}

static void mount_all(void)
{
    bool ordinary = geteuid() != 0;

    become_root_inside();
    contain_leave_mounts(ordinary);
    mount_layer(ordinary);
}

static _Noreturn void run(const char *self, const char *work_dir, const char *attempt)
{
    char id[CONTAIN_ID_MAX];
    char *argv[] = {"crun",
                    "--root",
                    NULL,
                    "--cgroup-manager=disabled",
                    "run",
                    "--detach",
                    "--preserve-fds=2",
                    "--pid-file",
                    NULL,
                    "--bundle",
                    NULL,
                    id,
                    NULL};

    contain_enter(work_dir, attempt);
    contain_name(attempt, id);
    argv[2] = contain_state();
    argv[8] = in_bundle(CONTAINER_PID);
    argv[10] = in_bundle("");
    lock_image();
    mount_all();
    put_socket();
    contain_keep_null();
    contain_put_self(self);
    /* Becoming another user has cleared it. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
        contain_fail("prctl");
    execvp(argv[0], argv);
    contain_fail("crun");
}

/* ---- bundle ---- */

/* Its process is this program first. */
static void begin_with_self(json_t *request)
{
    json_t *argv = json_object_get(request, "argv");

    json_array_insert_new(argv, 0, json_string(CONTAIN_SELF));
    json_array_insert_new(argv, 1, json_string("begin"));
}

static int make_bundle(void)
{
    json_t *request = json_loadf(stdin, JSON_REJECT_DUPLICATES, NULL);
    struct error err = {.text = "request: it is not JSON"};
    int rv = -1;

    begin_with_self(request);
    if (request != NULL)
        rv = container_make(request, &err);

    json_decref(request);
    if (rv == 0)
        return 0;
    if (err.text[0] != 0)
        fprintf(stderr, "%s\n", err.text);
    return EXIT_FAILED;
}

/* ---- remove ---- */

static int remove_bundle(const char *work_dir, const char *name)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/bundles/%s", work_dir, name);
    if (tree_remove(path) == 0)
        return 0;
    fprintf(stderr, "cannot remove all of %s: %s\n", path, strerror(errno));
    return EXIT_FAILED;
}

static int is_gone(const struct dirent *entry)
{
    const char *end = strrchr(entry->d_name, '.');

    return end != NULL && strcmp(end, CONTAINERS_GONE) == 0;
}

/* What was added since the last look comes with the next cleaner, which waits for this one. */
static int remove_gone(const char *work_dir)
{
    struct dirent **list;
    char path[PATH_MAX];
    int folder, count, rv = 0;

    snprintf(path, sizeof(path), "%s/bundles", work_dir);
    folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0 || flock(folder, LOCK_EX) != 0)
        contain_fail(path);
    count = scandir(path, &list, is_gone, NULL);
    if (count < 0)
        contain_fail(path);
    for (int i = 0; i < count; i++)
        rv |= remove_bundle(work_dir, list[i]->d_name);
    return rv;
}

static int clean(const char *work_dir)
{
    pid_t pid = fork();

    if (pid != 0)
        return pid < 0 ? EXIT_FAILED : 0;
    setsid();
    return remove_gone(work_dir);
}

/* ---- probe ---- */

/* With an image and a bundle of our own; nothing of it stays. */
static void make_sample(const char *work_dir, char *folder, size_t room)
{
    static const char *const names[] = {
        "image", "image/rootfs", "rootfs", "upper", "work"};

    snprintf(folder, room, "%s/probe", work_dir);
    mkdir(folder, 0700);
    if (chdir(folder) != 0)
        contain_fail(folder);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (mkdir(names[i], 0700) != 0 && errno != EEXIST)
            contain_fail(names[i]);
}

static int wait_for(pid_t pid)
{
    int status = -1;

    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
        return EXIT_FAILED;
    return 0;
}

static int probe(const char *work_dir)
{
    char folder[PATH_MAX];
    pid_t pid = fork();
    int rv;

    if (pid == 0) {
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

        make_sample(work_dir, folder, sizeof(folder));
        mount_all();
        dup2(null, STDOUT_FILENO);
        execlp("crun", "crun", "--version", NULL);
        contain_fail("crun");
    }
    rv = wait_for(pid);
    snprintf(folder, sizeof(folder), "%s/probe", work_dir);
    tree_remove(folder);
    return rv;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "bundle") == 0)
        return make_bundle();
    if (argc == 3 && strcmp(argv[1], "probe") == 0)
        return probe(argv[2]);
    if (argc == 4 && strcmp(argv[1], "run") == 0)
        run(argv[0], argv[2], argv[3]);
    if (argc >= 6 && strcmp(argv[1], "exec") == 0)
        contain_exec(argv[0], argv[2], argv[3], argv + 4);
    if (argc >= 3 && strcmp(argv[1], "inside") == 0)
        contain_inside(argv + 2);
    if (argc >= 3 && strcmp(argv[1], "begin") == 0)
        contain_begin(argv + 2);
    if (argc == 4 && strcmp(argv[1], "remove") == 0)
        return remove_bundle(argv[2], argv[3]);
    if (argc == 3 && strcmp(argv[1], "clean") == 0)
        return clean(argv[2]);
    fprintf(stderr, "triarch-contain is started by triarch-agent\n");
    return EXIT_USAGE;
}
