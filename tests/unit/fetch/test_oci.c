/* test_oci.c - what crun is told, from a task and what its image says. */
#include "fetch/oci_config.h"
#include "fetch/oci_user.h"
#include "tests/lib/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static json_t *parse(const char *text)
{
    json_t *value = json_loads(text, JSON_ALLOW_NUL, NULL);

    ck_assert_ptr_nonnull(value);
    return value;
}

/* Of a task with these variables, and this image. */
static json_t *config(const char *env, const char *image_text)
{
    static const char *const files[] = {"/etc/hosts", NULL};
    static const struct oci_volume volumes[] = {
        {.source = "/host", .target = "/data", .read_only = true},
        {.source = "/key", .target = "/key", .read_only = true, .is_file = true},
        {.source = "/other", .target = "/more"},
    };
    json_t *argv = parse("[\"run\", \"it\"]"), *variables = parse(env);
    json_t *image = parse(image_text);
    const struct oci_task task = {
        .argv = argv,
        .env = variables,
        .user = {.uid = 7, .gid = 8, .groups = {9, 10}, .group_count = 2},
        .sandbox = "/work/runs/1",
        .host_files = files,
        .volumes = volumes,
        .volume_count = 3,
    };
    json_t *made = oci_config(&task, image);

    ck_assert_ptr_nonnull(made);
    json_decref(argv);
    json_decref(variables);
    json_decref(image);
    return made;
}

static void
check_process(const char *env, const char *image, const char *key, const char *is)
{
    json_t *made = config(env, image), *wanted = json_loads(is, JSON_DECODE_ANY, NULL);
    json_t *found = json_object_get(json_object_get(made, "process"), key);

    ck_assert_msg(
        json_equal(found, wanted), "%s: %s", key, json_dumps(found, JSON_ENCODE_ANY));
    json_decref(made);
    json_decref(wanted);
}

START_TEST(test_process)
{
    check_process("[]", "{}", "args", "[\"run\", \"it\"]");
    check_process("[]", "{}", "cwd", "\"/sandbox\"");
    check_process("[]", "{}", "noNewPrivileges", "true");
    check_process(
        "[]", "{}", "user", "{\"uid\": 7, \"gid\": 8, \"additionalGids\": [9, 10]}");
    check_process("[]", "{\"config\": {\"WorkingDir\": \"/x\"}}", "cwd", "\"/x\"");
}
END_TEST

#define PATH "\"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\""

START_TEST(test_environment)
{
    check_process("[\"A=1\"]", "{}", "env", "[\"A=1\", " PATH "]");
    check_process("[\"A=1\"]",
                  "{\"config\": {\"Env\": [\"A=2\", \"AB=3\", \"PATH=/p\"]}}",
                  "env",
                  "[\"A=1\", \"AB=3\", \"PATH=/p\"]");
}
END_TEST

/* Whatever an image says, it is not a crash, and what is wrong is not taken. */
START_TEST(test_wrong_types)
{
    static const char *const images[] = {
        "[]",
        "{\"config\": 5}",
        "{\"config\": {\"Env\": {\"A\": 1}, \"WorkingDir\": [\"/\"]}}",
        ("{\"config\": {\"Env\": [1, null, [], {}, \"novalue\"], \"WorkingDir\": "
         "\"x\"}}"),
    };

    for (size_t i = 0; i < sizeof(images) / sizeof(images[0]); i++) {
        check_process("[\"A=1\"]", images[i], "env", "[\"A=1\", " PATH "]");
        check_process("[]", images[i], "cwd", "\"/sandbox\"");
    }
}
END_TEST

static const json_t *mount_of(const json_t *made, const char *target)
{
    json_t *mount, *found = NULL;
    size_t i;

    json_array_foreach (json_object_get(made, "mounts"), i, mount) {
        if (strcmp(json_string_value(json_object_get(mount, "destination")), target) ==
            0)
            found = mount;
    }
    ck_assert_ptr_nonnull(found);
    return found;
}

static void check_mount(const json_t *made,
                        const char *target,
                        const char *source,
                        const char *access)
{
    const json_t *mount = mount_of(made, target);
    char *options = json_dumps(json_object_get(mount, "options"), 0);

    ck_assert_str_eq(json_string_value(json_object_get(mount, "source")), source);
    ck_assert_ptr_nonnull(strstr(options, access));
    ck_assert_ptr_nonnull(strstr(options, "\"nosuid\""));
    free(options);
}

START_TEST(test_mounts)
{
    json_t *made = config("[]", "{}");

    check_mount(made, "/sandbox", "/work/runs/1", "\"rw\"");
    check_mount(made, "/data", "/host", "\"rro\"");
    check_mount(made, "/key", "/key", "\"ro\"");
    check_mount(made, "/more", "/other", "\"rw\"");
    check_mount(made, "/etc/hosts", "/etc/hosts", "\"ro\"");
    check_mount(made, "/sys", "/sys", "\"rro\"");
    check_mount(made, "/dev/pts", "devpts", "");
    json_decref(made);
}
END_TEST

static const json_t *rule_of(const json_t *made, const char *name)
{
    const json_t *seccomp = json_object_get(json_object_get(made, "linux"), "seccomp");
    const json_t *found = NULL;
    json_t *rule, *one;
    size_t i, k;

    ck_assert_str_eq(json_string_value(json_object_get(seccomp, "defaultAction")),
                     "SCMP_ACT_ALLOW");
    json_array_foreach (json_object_get(seccomp, "syscalls"), i, rule) {
        json_array_foreach (json_object_get(rule, "names"), k, one) {
            if (strcmp(json_string_value(one), name) == 0) {
                ck_assert_ptr_null(found);
                found = rule;
            }
        }
    }
    return found;
}

/* Each name once; of clone() only what makes a user namespace. */
START_TEST(test_seccomp)
{
    static const char *const refused[] = {
        "mount", "setns", "keyctl", "bpf", "io_uring_setup"};
    json_t *made = config("[]", "{}"), *flag;

    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        ck_assert_ptr_null(json_object_get(rule_of(made, refused[i]), "args"));
    ck_assert_ptr_null(rule_of(made, "ptrace"));
    ck_assert_int_eq(
        json_integer_value(json_object_get(rule_of(made, "clone3"), "errnoRet")),
        ENOSYS);
    flag = json_array_get(json_object_get(rule_of(made, "unshare"), "args"), 0);
    ck_assert_int_eq(json_integer_value(json_object_get(flag, "value")), CLONE_NEWUSER);
    ck_assert_ptr_nonnull(json_object_get(rule_of(made, "clone"), "args"));
    json_decref(made);
}
END_TEST

/* ---- users ---- */

static int make_rootfs(char folder[])
{
    char path[64];
    FILE *f;

    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/etc", folder);
    ck_assert_int_eq(mkdir(path, 0755), 0);
    snprintf(path, sizeof(path), "%s/etc/passwd", folder);
    f = fopen(path, "we");
    ck_assert_ptr_nonnull(f);
    fputs("root:x:0:0::/:/sh\nbroken\nbad:x:no:1\nweb:x:33:34:::\nweb2:x:35:36", f);
    fclose(f);
    snprintf(path, sizeof(path), "%s/etc/group", folder);
    ck_assert_int_eq(symlink("/etc/passwd", path), 0); /* inside: "web" is 33 */
    return open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static void write_group(int rootfs, const char *text)
{
    int fd;

    unlinkat(rootfs, "etc/group", 0);
    fd = openat(rootfs, "etc/group", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void remove_rootfs(int rootfs, const char *folder)
{
    unlinkat(rootfs, "etc/group", 0);
    unlinkat(rootfs, "etc/passwd", 0);
    unlinkat(rootfs, "etc", AT_REMOVEDIR);
    close(rootfs);
    rmdir(folder);
}

START_TEST(test_users)
{
    static const struct {
        const char *text;
        uint32_t uid, gid;
    } good[] = {
        {"", 0, 0},
        {"web", 33, 34},
        {"web2", 35, 36},
        {"33", 33, 34},
        {"1000", 1000, 0},
        {"1000:5", 1000, 5},
        {"web:web2", 33, 35},
        {"5:web", 5, 33},
    };
    static const char *const bad[] = {
        "nobody", "bad", "broken", "web:none", "4294967295", "-1", "1x", "web:", ":1"};
    char folder[] = "/tmp/triarch-oci-XXXXXX";
    int rootfs = make_rootfs(folder);
    struct oci_user user;
    struct error err;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        ck_assert_msg(
            oci_user_find(rootfs, good[i].text, &user, &err) == 0, "%s", good[i].text);
        ck_assert_uint_eq(user.uid, good[i].uid);
        ck_assert_uint_eq(user.gid, good[i].gid);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_msg(oci_user_find(rootfs, bad[i], &user, &err) != 0, "%s", bad[i]);
    unlinkat(rootfs, "etc/group", 0);
    unlinkat(rootfs, "etc/passwd", 0);
    unlinkat(rootfs, "etc", AT_REMOVEDIR);
    ck_assert_int_eq(oci_user_find(rootfs, "12", &user, &err), 0);
    close(rootfs);
    rmdir(folder);
}
END_TEST

/* As they are members by name; whoever names a group is in that alone. */
START_TEST(test_groups)
{
    static const struct {
        const char *text;
        uint32_t count, first, last;
    } good[] = {
        {"web", 2, 50, 52},
        {"33", 2, 50, 52},
        {"web2", 1, 51, 51},
        {"web:web", 0, 0, 0},
        {"web:50", 0, 0, 0},
        {"999", 0, 0, 0},
        {"", 1, 53, 53},
    };
    char folder[] = "/tmp/triarch-oci-XXXXXX";
    int rootfs = make_rootfs(folder);
    struct oci_user user;
    struct error err;

    write_group(rootfs,
                "web:x:33:\none:x:50:x,web\ntwo:x:51:web2,webx\nbad:x:y:web\n"
                "three:x:52:web\nfour:x:53:root");
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        ck_assert_int_eq(oci_user_find(rootfs, good[i].text, &user, &err), 0);
        ck_assert_msg(user.group_count == good[i].count, "%s", good[i].text);
        if (user.group_count > 0) {
            ck_assert_uint_eq(user.groups[0], good[i].first);
            ck_assert_uint_eq(user.groups[user.group_count - 1], good[i].last);
        }
    }
    remove_rootfs(rootfs, folder);
}
END_TEST

START_TEST(test_who_it_may_be)
{
    static const struct {
        const char *users;
        struct oci_user user;
        int groups; /* left, or -1 */
    } rows[] = {
        {"{\"from\": 1000, \"listed\": []}", {.uid = 1000, .gid = 1001}, 0},
        {"{\"from\": 1000, \"listed\": []}", {.uid = 999, .gid = 1001}, -1},
        {"{\"from\": 1000, \"listed\": []}", {.uid = 1000, .gid = 0}, -1},
        {"{\"from\": 1000, \"listed\": []}", {.uid = 0, .gid = 1000}, -1},
        {"{\"from\": 1000, \"listed\": [[33, 34]]}", {.uid = 33, .gid = 34}, 0},
        {"{\"from\": 0, \"listed\": [[33, 34]]}", {.uid = 33, .gid = 33}, -1},
        {"{\"from\": 0, \"listed\": [[33, 34]]}", {.uid = 1000, .gid = 34}, -1},
        {"{\"from\": 0, \"listed\": []}", {.uid = 0}, -1},
        {"{\"from\": 0, \"listed\": []}", {.uid = 1000, .gid = 1000}, -1},
        {"{\"from\": 1000, \"listed\": [[1, 2]]}",
         {.uid = 1000, .gid = 1000, .groups = {0, 2, 1, 2000}, .group_count = 4},
         2},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct oci_user user = rows[i].user;
        json_t *users = parse(rows[i].users);
        struct error err;
        int rv = oci_user_restrict(&user, users, &err);

        ck_assert_msg((rv == 0) == (rows[i].groups >= 0), "%zu", i);
        ck_assert(rv != 0 || user.group_count == (uint32_t)rows[i].groups);
        ck_assert(user.group_count < 2 || user.groups[1] == 2000);
        json_decref(users);
    }
}
END_TEST

START_TEST(test_too_many_groups)
{
    char folder[] = "/tmp/triarch-oci-XXXXXX", text[64 * LIMIT_USER_GROUPS];
    int rootfs = make_rootfs(folder), size = 0;
    struct oci_user user;
    struct error err;

    for (unsigned i = 0; i <= LIMIT_USER_GROUPS; i++)
        size +=
            snprintf(text + size, sizeof(text) - (size_t)size, "g%u:x:%u:web\n", i, i);
    write_group(rootfs, text);
    ck_assert_int_eq(oci_user_find(rootfs, "web", &user, &err), -ERROR_TOO_LARGE);
    remove_rootfs(rootfs, folder);
}
END_TEST

int main(void)
{
    TCase *c = unit_case("oci",
                         test_process,
                         test_environment,
                         test_wrong_types,
                         test_mounts,
                         test_seccomp,
                         test_users,
                         test_groups,
                         test_who_it_may_be,
                         test_too_many_groups);

    return unit_run("oci", &c, 1);
}
