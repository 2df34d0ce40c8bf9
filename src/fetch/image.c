/* image.c - see image.h. */
#include "fetch/image.h"

#include "base/limits.h"
#include "base/tree.h"
#include "fetch/cache.h"
#include "fetch/deadline.h"
#include "fetch/download.h"
#include "fetch/image_find.h"
#include "fetch/layers.h"
#include "fetch/layout.h"
#include "fetch/registry.h"
#include "fetch/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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
    return registry_copy(image->pinned, path, err) != 0
               ? -(int)err->code
               : image_open_layout(image, path, err);
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
    return rv != 0 ? rv : image_open_layout(image, path, err);
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

static int find_key(struct image *image, struct error *err)
{
    if (image->kind == LAYOUT_REGISTRY)
        return registry_resolve(image->source, image->pinned, image->key, err);
    return image_key(image, err);
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

int image_fetch(const json_t *request, struct error *err)
{
    struct image image;
    int rv = image_read(&image, request, err);

    if (rv == 0) {
        deadline_begin(LIMIT_IMAGE_MS, "image");
        rv = fetch(&image, err);
        if (rv != 0)
            image_blame(&image, err);
    }
    image_finish(&image);
    if (rv != 0)
        return rv;
    cache_trim((uint64_t)image.limit_bytes);
    deadline_end();
    puts(image.key);
    return 0;
}
