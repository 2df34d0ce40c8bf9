/* image.c - see image.h.
 *
 *   oci:DIR[:TAG]            a layout; key: sum of the manifest
 *   oci:FILE[:TAG]           a tar of one; key: sum of file and tag
 *   http://, https://, file:// a tar of one; key: its sha256, so one that is there is not fetched
 *   docker://NAME[:TAG]      of a registry; key: sum of the manifest that it is now
 */
#include "fetch/image.h"

#include "base/limits.h"
#include "base/tree.h"
#include "fetch/cache.h"
#include "fetch/deadline.h"
#include "fetch/download.h"
#include "fetch/layers.h"
#include "fetch/layout.h"
#include "fetch/registry.h"
#include "fetch/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OCI_PREFIX "oci:"

enum kind { LAYOUT_FOLDER, LAYOUT_TAR, LAYOUT_URL, LAYOUT_REGISTRY };

struct image {
    const char *source, *sha256; /* of the request */
    enum kind kind;
    char path[PATH_MAX]; /* of folder or tar */
    char *tag;           /* in path, or NULL */
    char pinned[REGISTRY_NAME];
    char key[DIGEST_TEXT];
    int layout; /* a directory, or -1 */
    uint64_t bytes;
};

/* ---- what it is ---- */

/* "PATH:TAG", where a path that is there with its colon is one. */
static int find_path(struct image *image, const char *text, struct error *err)
{
    struct stat st;

    if (snprintf(image->path, sizeof(image->path), "%s", text) >=
        (int)sizeof(image->path))
        return error_set(err, ERROR_TOO_LARGE, "its path is too long");
    image->tag = NULL;
    if (stat(image->path, &st) != 0 && strrchr(image->path, ':') != NULL) {
        image->tag = strrchr(image->path, ':');
        *image->tag++ = 0;
    }
    if (image->path[0] != '/')
        return error_set(err, ERROR_INVALID, "\"%s\" is not absolute", image->path);
    if (stat(image->path, &st) != 0)
        return error_set(err, ERROR_NOT_FOUND, "%s: %s", image->path, strerror(errno));
    if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
        return error_set(
            err, ERROR_INVALID, "%s is no directory and no file", image->path);
    image->kind = S_ISDIR(st.st_mode) ? LAYOUT_FOLDER : LAYOUT_TAR;
    return 0;
}

static int open_layout(struct image *image, const char *path, struct error *err)
{
    image->layout = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return image->layout >= 0
               ? 0
               : error_set(err, ERROR_IO, "cannot open %s: %s", path, strerror(errno));
}

static int sum_file(struct image *image, struct error *err)
{
    int fd = open(image->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    char block[64 * KIB];
    struct digest digest;
    ssize_t n;

    if (fd < 0)
        return error_set(err, ERROR_IO, "%s: %s", image->path, strerror(errno));
    digest_begin(&digest);
    while ((n = read(fd, block, sizeof(block))) > 0)
        digest_add(&digest, block, (size_t)n);
    close(fd);
    if (image->tag != NULL)
        digest_add(&digest, image->tag, strlen(image->tag));
    digest_end(&digest, image->key);
    return n == 0 ? 0
                  : error_set(err, ERROR_IO, "%s: %s", image->path, strerror(errno));
}

static int find_key(struct image *image, struct error *err)
{
    switch (image->kind) {
    case LAYOUT_FOLDER:
        if (open_layout(image, image->path, err) != 0)
            return -(int)err->code;
        return layout_resolve(image->layout, image->tag, image->key, err);
    case LAYOUT_TAR:
        return sum_file(image, err);
    case LAYOUT_URL:
        memcpy(image->key, image->sha256, DIGEST_TEXT);
        return 0;
    case LAYOUT_REGISTRY:
        return registry_resolve(image->source, image->pinned, image->key, err);
    }
    return 0;
}

/* ---- get it ---- */

static int open_tar(struct image *image, const char *temporary, struct error *err)
{
    char path[PATH_MAX];
    struct download wish = {
        .source = image->source,
        .sha256 = image->sha256,
        .max_bytes = LIMIT_IMAGE_BYTES,
    };

    if (image->kind == LAYOUT_TAR) {
        wish.to = open(image->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    } else {
        snprintf(path, sizeof(path), "%s/tar", temporary);
        wish.to = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    }
    if (wish.to < 0)
        return error_set(err, ERROR_IO, "cannot open it: %s", strerror(errno));
    if (image->kind == LAYOUT_TAR ||
        (download(&wish, err) == 0 && lseek(wish.to, 0, SEEK_SET) == 0))
        return wish.to;
    close(wish.to);
    return -(int)err->code;
}

/* Leaves the layout in temporary/layout. */
static int copy_layout(struct image *image, const char *temporary, struct error *err)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/layout", temporary);
    return registry_copy(image->pinned, path, err) != 0 ? -(int)err->code
                                                        : open_layout(image, path, err);
}

/* Likewise. */
static int unpack_tar(struct image *image, const char *temporary, struct error *err)
{
    const struct unpack_limits limits = {LIMIT_IMAGE_BYTES, LIMIT_IMAGE_ENTRIES};
    int here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int fd = open_tar(image, temporary, err), rv;
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/layout", temporary);
    if (fd < 0)
        rv = fd;
    else if (here < 0 || mkdir(path, 0700) != 0 || chdir(path) != 0)
        rv = error_set(err, ERROR_IO, "cannot make %s: %s", path, strerror(errno));
    else
        rv = unpack_archive(fd, &limits, err);
    if (here >= 0 && fchdir(here) != 0 && rv == 0)
        rv = error_set(err, ERROR_IO, "cannot go back: %s", strerror(errno));
    if (here >= 0)
        close(here);
    if (fd >= 0)
        close(fd);
    return rv != 0 ? rv : open_layout(image, path, err);
}

/* ---- unpack it ---- */

static int write_config(const char *temporary, const json_t *config, struct error *err)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/config.json", temporary);
    return json_dump_file(config, path, JSON_COMPACT) == 0
               ? 0
               : error_set(err, ERROR_IO, "cannot write %s: %s", path, strerror(errno));
}

static int unpack_manifest(struct image *image,
                           const json_t *manifest,
                           const char *temporary,
                           struct error *err)
{
    const json_t *layers = json_object_get(manifest, "layers");
    json_t *config;
    const char *sha256;
    char path[PATH_MAX];
    int rv;

    if (!json_is_array(layers) || json_array_size(layers) > LIMIT_IMAGE_LAYERS)
        return error_set(err, ERROR_INVALID, "its manifest has no layers, or too many");
    if (layout_digest(json_object_get(manifest, "config"), &sha256, err) != 0 ||
        layout_json(image->layout, sha256, &config, err) != 0)
        return -(int)err->code;
    rv = write_config(temporary, config, err);
    json_decref(config);
    snprintf(path, sizeof(path), "%s/rootfs", temporary);
    if (rv == 0 && mkdir(path, 0755) != 0)
        rv = error_set(err, ERROR_IO, "cannot make %s: %s", path, strerror(errno));
    return rv != 0 ? rv
                   : layers_unpack(image->layout, layers, path, &image->bytes, err);
}

static int make(struct image *image, const char *temporary, struct error *err)
{
    char sha256[DIGEST_TEXT], path[PATH_MAX];
    json_t *manifest;
    int rv;

    rv = 0;
    if (image->kind == LAYOUT_REGISTRY)
        rv = copy_layout(image, temporary, err);
    else if (image->layout < 0)
        rv = unpack_tar(image, temporary, err);
    if (rv != 0)
        return rv;
    if (layout_resolve(image->layout, image->tag, sha256, err) != 0 ||
        layout_json(image->layout, sha256, &manifest, err) != 0)
        return -(int)err->code;
    rv = unpack_manifest(image, manifest, temporary, err);
    json_decref(manifest);
    snprintf(path, sizeof(path), "%s/layout", temporary);
    tree_remove(path);
    snprintf(path, sizeof(path), "%s/tar", temporary);
    unlink(path);
    return rv;
}

static int fetch(struct image *image, struct error *err)
{
    struct cache_place place;
    int rv;

    if (find_key(image, err) != 0 || cache_take(&place, image->key, err) != 0)
        return -(int)err->code;
    rv = place.there ? 0 : make(image, place.temporary, err);
    if (rv == 0 && !place.there)
        rv = cache_keep(&place, image->bytes, err);
    cache_give(&place);
    return rv;
}

static bool is_url(const char *source)
{
    return strncmp(source, "http://", 7) == 0 || strncmp(source, "https://", 8) == 0 ||
           strncmp(source, "file://", 7) == 0;
}

static int find_kind(struct image *image, struct error *err)
{
    if (strncmp(image->source, OCI_PREFIX, strlen(OCI_PREFIX)) == 0)
        return find_path(image, image->source + strlen(OCI_PREFIX), err);
    if (strncmp(image->source, REGISTRY_PREFIX, strlen(REGISTRY_PREFIX)) == 0) {
        image->kind = LAYOUT_REGISTRY;
        return 0;
    }
    image->kind = LAYOUT_URL;
    if (!is_url(image->source))
        return error_set(err,
                         ERROR_INVALID,
                         "give oci:PATH, a URL, or " REGISTRY_PREFIX
                         "NAME of a registry");
    if (image->sha256 == NULL || !digest_valid(image->sha256))
        return error_set(err, ERROR_INVALID, "an image from a URL needs its sha256");
    return 0;
}

static int fetch_image(struct image *image, struct error *err)
{
    return find_kind(image, err) != 0 ? -(int)err->code : fetch(image, err);
}

/* Images have set-user-id programs and files of all users, which are none of the host's: so no
 * other user may enter.  Earlier versions made it open. */
static int enter_cache(const char *cache, struct error *err)
{
    struct stat st;

    if ((mkdir(cache, 0700) != 0 && errno != EEXIST) || chdir(cache) != 0 ||
        stat(".", &st) != 0 || ((st.st_mode & 07777) != 0700 && chmod(".", 0700) != 0))
        return error_set(err, ERROR_IO, "cannot enter %s: %s", cache, strerror(errno));
    return 0;
}

int image_get(const json_t *request, char key[DIGEST_TEXT], struct error *err)
{
    struct image image = {.layout = -1};
    const char *cache;
    json_int_t limit;
    json_error_t why;
    int rv;

    if (json_unpack_ex((json_t *)(uintptr_t)request,
                       &why,
                       JSON_STRICT,
                       "{s:s, s?s, s:s, s:I}",
                       "source",
                       &image.source,
                       "sha256",
                       &image.sha256,
                       "cache",
                       &cache,
                       "limit_bytes",
                       &limit) != 0)
        return error_set(err, ERROR_INVALID, "request: %s", why.text);
    if (enter_cache(cache, err) != 0)
        return -(int)err->code;
    deadline_begin(LIMIT_IMAGE_MS, "image");
    rv = fetch_image(&image, err);
    if (image.layout >= 0)
        close(image.layout);
    if (rv != 0)
        return error_wrap(err, "image %.150s", image.source);
    cache_trim((uint64_t)limit);
    deadline_end();
    memcpy(key, image.key, DIGEST_TEXT);
    return 0;
}

int image_fetch(const json_t *request, struct error *err)
{
    char key[DIGEST_TEXT];
    int rv = image_get(request, key, err);

    if (rv == 0)
        puts(key);
    return rv;
}
