/* image_find.c - see image_find.h.
 *
 *   oci:DIR[:TAG]            a layout; key: sum of the manifest
 *   oci:FILE[:TAG]           a tar of one; key: sum of file and tag
 *   http://, https://, file:// a tar of one; key: its sha256, so one that is there is not fetched
 *   docker://NAME[:TAG]      of a registry; key: sum of the manifest that it is now
 */
#include "fetch/image_find.h"

#include "base/assert.h"
#include "base/limits.h"
#include "base/text.h"
#include "fetch/cache.h"
#include "fetch/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

int image_open_layout(struct image *image, const char *path, struct error *err)
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

int image_key(struct image *image, struct error *err)
{
    switch (image->kind) {
    case LAYOUT_FOLDER:
        if (image_open_layout(image, image->path, err) != 0)
            return -(int)err->code;
        return layout_resolve(image->layout, image->tag, image->key, err);
    case LAYOUT_TAR:
        return sum_file(image, err);
    case LAYOUT_URL:
        memcpy(image->key, image->sha256, DIGEST_TEXT);
        return 0;
    case LAYOUT_REGISTRY:
        break;
    }
    ASSERT(image->kind != LAYOUT_REGISTRY);
    return 0;
}

static bool is_url(const char *source)
{
    return strncmp(source, "http://", 7) == 0 || strncmp(source, "https://", 8) == 0 ||
           strncmp(source, "file://", 7) == 0;
}

/* ---- requests ---- */

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

int image_blame(const struct image *image, struct error *err)
{
    char source[TEXT_SOURCE_MAX];

    return error_wrap(err, "image %s", text_source(source, image->source));
}

int image_read(struct image *image, const json_t *request, struct error *err)
{
    const char *cache;
    json_error_t why;

    *image = (struct image){.layout = -1};
    if (json_unpack_ex((json_t *)(uintptr_t)request,
                       &why,
                       JSON_STRICT,
                       "{s:s, s?s, s:s, s:I}",
                       "source",
                       &image->source,
                       "sha256",
                       &image->sha256,
                       "cache",
                       &cache,
                       "limit_bytes",
                       &image->limit_bytes) != 0)
        return error_set(err, ERROR_INVALID, "request: %s", why.text);
    if (enter_cache(cache, err) != 0)
        return -(int)err->code;
    return find_kind(image, err) == 0 ? 0 : image_blame(image, err);
}

void image_finish(struct image *image)
{
    if (image->layout >= 0)
        close(image->layout);
    image->layout = -1;
}

int image_cached(const json_t *request, char key[DIGEST_TEXT], struct error *err)
{
    struct image image;
    int rv = image_read(&image, request, err);

    if (rv == 0 && image.kind != LAYOUT_REGISTRY) {
        rv = image_key(&image, err);
        if (rv != 0)
            image_blame(&image, err);
        else
            rv = cache_has(image.key) ? 1 : 0;
    }
    image_finish(&image);
    memcpy(key, image.key, DIGEST_TEXT);
    return rv;
}
