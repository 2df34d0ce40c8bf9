/* bundle.c - see bundle.h. */
#include "fetch/bundle.h"

#include "base/limits.h"
#include "base/tree.h"
#include "fetch/digest.h"
#include "fetch/image_find.h"
#include "fetch/oci_config.h"
#include "fetch/oci_user.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct container {
    const json_t *image_request, *argv, *env, *users, *volumes, *allowed;
    const char *bundle, *sandbox, *user, *fetch;
    const char *cache;
    char key[DIGEST_TEXT];
    struct oci_task task;
    struct oci_volume list[LIMIT_VOLUMES];
};

static int read_request(struct container *c, const json_t *request, struct error *err)
{
    json_error_t why;

    if (json_unpack_ex((json_t *)(uintptr_t)request,
                       &why,
                       JSON_STRICT,
                       "{s:o, s:s, s:s, s:o, s:o, s?s, s?o, s:o, s:o, s:s}",
                       "image",
                       &c->image_request,
                       "bundle",
                       &c->bundle,
                       "sandbox",
                       &c->sandbox,
                       "argv",
                       &c->argv,
                       "env",
                       &c->env,
                       "user",
                       &c->user,
                       "users",
                       &c->users,
                       "volumes",
                       &c->volumes,
                       "allowed",
                       &c->allowed,
                       "fetch",
                       &c->fetch) != 0)
        return error_set(err, ERROR_INVALID, "request: %s", why.text);
    c->cache = json_string_value(json_object_get(c->image_request, "cache"));
    if (json_array_size(c->volumes) > LIMIT_VOLUMES)
        return error_set(err, ERROR_INVALID, "request: too many volumes");
    return 0;
}

/* ---- its image ---- */

static int request_file(const json_t *request)
{
    int fd = memfd_create("request", MFD_CLOEXEC);

    if (fd >= 0 &&
        (json_dumpfd(request, fd, JSON_COMPACT) != 0 || lseek(fd, 0, SEEK_SET) != 0)) {
        close(fd);
        return -1;
    }
    return fd;
}

static int start_fetch(const struct container *c, int in, int out, pid_t *pid)
{
    char *argv[] = {(char *)(uintptr_t)c->fetch, "image", NULL};
    posix_spawn_file_actions_t actions;
    int rv;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    rv = posix_spawn(pid, c->fetch, &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    return rv;
}

/* By a program that has what it takes; its own words are the reason when it fails. */
static int fetch_image(struct container *c, struct error *err)
{
    int in = request_file(c->image_request), out = memfd_create("key", MFD_CLOEXEC);
    int status = -1, rv = in < 0 || out < 0 ? errno : 0;
    pid_t pid;

    if (rv == 0)
        rv = start_fetch(c, in, out, &pid);
    if (rv != 0)
        error_set(err, ERROR_IO, "cannot start %s: %s", c->fetch, strerror(rv));
    else if (waitpid(pid, &status, 0) != pid || status != 0)
        error_set(err, ERROR_IO, "%s", "");
    else if (pread(out, c->key, DIGEST_TEXT - 1, 0) != DIGEST_TEXT - 1)
        status = error_set(err, ERROR_IO, "%s told no image", c->fetch);
    if (in >= 0)
        close(in);
    if (out >= 0)
        close(out);
    return status == 0 ? 0 : -(int)err->code;
}

static int find_image(struct container *c, struct error *err)
{
    int rv = image_cached(c->image_request, c->key, err);

    return rv == 0 ? fetch_image(c, err) : rv < 0 ? rv : 0;
}

/* ---- volumes ---- */

/* path is resolved; folder may be a link. */
static bool is_below(const char *path, const char *folder)
{
    char *real = realpath(folder, NULL);
    size_t size = real == NULL ? 0 : strlen(real);
    bool below = real != NULL && strncmp(path, real, size) == 0 &&
                 (path[size] == 0 || path[size] == '/' || size == 1);

    free(real);
    return below;
}

/* Where the links of its source lead counts, not its name. */
static int add_volume(struct container *c, const json_t *value, struct error *err)
{
    struct oci_volume *v = &c->list[c->task.volume_count];
    const char *source;
    json_error_t why;
    json_t *folder;
    int read_only;
    struct stat st;
    size_t i;

    if (json_unpack_ex((json_t *)(uintptr_t)value,
                       &why,
                       JSON_STRICT,
                       "{s:s, s:s, s:b}",
                       "source",
                       &source,
                       "target",
                       &v->target,
                       "read_only",
                       &read_only) != 0)
        return error_set(err, ERROR_INVALID, "request: %s", why.text);
    v->read_only = read_only != 0;
    v->is_file = stat(source, &st) == 0 && !S_ISDIR(st.st_mode);
    v->source = realpath(source, NULL);
    if (v->source == NULL)
        return error_set(
            err, ERROR_NOT_FOUND, "volume %.100s: %s", source, strerror(errno));
    c->task.volume_count++;
    json_array_foreach (c->allowed, i, folder) {
        if (is_below(v->source, json_string_value(folder)))
            return 0;
    }
    return error_set(err,
                     ERROR_INVALID,
                     "volume %.100s is not in a directory of this agent's --volumes",
                     source);
}

static int add_volumes(struct container *c, struct error *err)
{
    json_t *value;
    size_t i;

    json_array_foreach (c->volumes, i, value) {
        if (add_volume(c, value, err) != 0)
            return -(int)err->code;
    }
    return 0;
}

static void free_volumes(struct container *c)
{
    for (size_t i = 0; i < c->task.volume_count; i++)
        free((char *)(uintptr_t)c->list[i].source);
}

/* ---- its files ---- */

static int make_folder(const char *parent, const char *name, struct error *err)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/%s", parent, name);
    if (mkdir(path, 0755) != 0)
        return error_set(err, ERROR_IO, "cannot make %s: %s", path, strerror(errno));
    return 0;
}

/* Its parent is the agent's alone: tasks of other users must not reach what is in layers. */
static int make_folders(const struct container *c, struct error *err)
{
    static const char *const names[] = {"rootfs", "upper", "work", "state"};
    char path[PATH_MAX], to[PATH_MAX], *slash;

    snprintf(path, sizeof(path), "%s", c->bundle);
    slash = strrchr(path, '/');
    *slash = 0;
    if (access(path, F_OK) != 0 && mkdir(path, 0700) != 0 && errno != EEXIST)
        return error_set(err, ERROR_IO, "cannot make %s: %s", path, strerror(errno));
    if (tree_remove(c->bundle) != 0 || mkdir(c->bundle, 0700) != 0)
        return error_set(
            err, ERROR_IO, "cannot make %s: %s", c->bundle, strerror(errno));
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (make_folder(c->bundle, names[i], err) != 0)
            return -(int)err->code;
    snprintf(path, sizeof(path), "%s/image", c->bundle);
    snprintf(to, sizeof(to), "../../images/%s", c->key);
    if (symlink(to, path) != 0)
        return error_set(err, ERROR_IO, "cannot make %s: %s", path, strerror(errno));
    return 0;
}

static json_t *read_image_config(const struct container *c, struct error *err)
{
    char path[PATH_MAX];
    json_error_t why;
    json_t *config;

    snprintf(path, sizeof(path), "%s/%s/config.json", c->cache, c->key);
    config = json_load_file(path, 0, &why);
    if (config == NULL)
        error_set(err, ERROR_INVALID, "its configuration: %s", why.text);
    return config;
}

static int find_user(struct container *c, const json_t *image, struct error *err)
{
    const char *user =
        json_string_value(json_object_get(json_object_get(image, "config"), "User"));
    char path[PATH_MAX];
    int rootfs, rv;

    if (c->user != NULL)
        user = c->user;
    snprintf(path, sizeof(path), "%s/%s/rootfs", c->cache, c->key);
    rootfs = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (rootfs < 0)
        return error_set(err, ERROR_IO, "cannot open %s: %s", path, strerror(errno));
    rv = oci_user_find(rootfs, user != NULL ? user : "", &c->task.user, err);
    close(rootfs);
    if (rv == 0 && c->users != NULL)
        rv = oci_user_restrict(&c->task.user, c->users, err);
    if (geteuid() != 0)
        c->task.user.group_count = 0; /* the kernel lets it have no others */
    if (rv == 0 && geteuid() != 0 && c->task.user.uid != 0)
        return error_set(
            err,
            ERROR_INVALID,
            "its user is \"%.50s\"; the agent runs as an ordinary user and "
            "can make containers only for root of the image: set user: \"0\"",
            user);
    return rv;
}

static int write_config(struct container *c, const json_t *image, struct error *err)
{
    static const char *const files[] = {"/etc/resolv.conf", "/etc/hosts"};
    const char *there[3] = {0};
    char path[PATH_MAX];
    json_t *config;
    size_t count = 0;
    int rv;

    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        if (access(files[i], R_OK) == 0)
            there[count++] = files[i];
    c->task.argv = c->argv;
    c->task.env = c->env;
    c->task.sandbox = c->sandbox;
    c->task.host_files = there;
    c->task.volumes = c->list;
    config = oci_config(&c->task, image);
    snprintf(path, sizeof(path), "%s/config.json", c->bundle);
    rv = config != NULL && json_dump_file(config, path, JSON_COMPACT) == 0
             ? 0
             : error_set(err, ERROR_IO, "cannot write %s: %s", path, strerror(errno));
    json_decref(config);
    return rv;
}

static int make(struct container *c, struct error *err)
{
    json_t *image = read_image_config(c, err);
    int rv = image == NULL ? -(int)err->code : find_user(c, image, err);

    if (rv == 0)
        rv = add_volumes(c, err);
    if (rv == 0)
        rv = make_folders(c, err);
    if (rv == 0)
        rv = write_config(c, image, err);
    json_decref(image);
    return rv;
}

int container_make(const json_t *request, struct error *err)
{
    struct container c = {0};
    int rv;

    if (read_request(&c, request, err) != 0 || find_image(&c, err) != 0)
        return -(int)err->code;
    rv = make(&c, err);
    free_volumes(&c);
    if (rv == 0)
        printf("%u %u\n", c.task.user.uid, c.task.user.gid);
    return rv;
}
