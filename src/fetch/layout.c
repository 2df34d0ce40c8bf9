/* layout.c - see layout.h. */
#include "fetch/layout.h"

#include "base/limits.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#define DIGEST_PREFIX "sha256:"
#define REF_NAME      "org.opencontainers.image.ref.name"
#define INDEX_TYPE    "application/vnd.oci.image.index.v1+json"
#define LIST_TYPE     "application/vnd.docker.distribution.manifest.list.v2+json"

/* ---- files ---- */

static int open_regular(int dir, const char *path, struct error *err)
{
    int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    struct stat st;

    if (fd < 0)
        return error_set(err, ERROR_INVALID, "%s in it: %s", path, strerror(errno));
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        return fd;
    close(fd);
    return error_set(err, ERROR_INVALID, "%s in it is not a file", path);
}

/* sha256: NULL when nothing vouches for it. */
static int
read_json(int fd, const char *sha256, const char *name, json_t **out, struct error *err)
{
    char *text = mem_alloc(LIMIT_IMAGE_JSON_BYTES + 1), sum[DIGEST_TEXT];
    struct digest digest;
    json_error_t why;
    size_t size = 0;
    ssize_t n;

    while ((n = read(fd, text + size, LIMIT_IMAGE_JSON_BYTES + 1 - size)) > 0)
        size += (size_t)n;
    close(fd);
    digest_begin(&digest);
    digest_add(&digest, text, size);
    digest_end(&digest, sum);
    *out = NULL;
    if (n < 0)
        error_set(err, ERROR_IO, "%s in it: %s", name, strerror(errno));
    else if (size > LIMIT_IMAGE_JSON_BYTES)
        error_set(err, ERROR_TOO_LARGE, "%s in it is too large", name);
    else if (sha256 != NULL && strcmp(sum, sha256) != 0)
        error_set(err, ERROR_CORRUPT, "blob %s in it does not have that sum", sha256);
    else if ((*out = json_loadb(text, size, JSON_REJECT_DUPLICATES, &why)) == NULL)
        error_set(err, ERROR_INVALID, "%s in it: %s", name, why.text);
    mem_free(text);
    return *out != NULL ? 0 : -(int)err->code;
}

int layout_blob(int dir, const char *sha256, struct error *err)
{
    char path[sizeof("blobs/sha256/") + DIGEST_TEXT];

    snprintf(path, sizeof(path), "blobs/sha256/%s", sha256);
    return open_regular(dir, path, err);
}

int layout_json(int dir, const char *sha256, json_t **out, struct error *err)
{
    int fd = layout_blob(dir, sha256, err);

    return fd < 0 ? fd : read_json(fd, sha256, sha256, out, err);
}

int layout_digest(const json_t *descriptor, const char **sha256, struct error *err)
{
    const char *text = json_string_value(json_object_get(descriptor, "digest"));

    if (text == NULL || strncmp(text, DIGEST_PREFIX, strlen(DIGEST_PREFIX)) != 0 ||
        !digest_valid(text + strlen(DIGEST_PREFIX)))
        return error_set(err, ERROR_INVALID, "a descriptor in it has no sha256 digest");
    *sha256 = text + strlen(DIGEST_PREFIX);
    return 0;
}

/* ---- which image ---- */

static const char *architecture(void)
{
    static const char *const names[][2] = {
        {"x86_64", "amd64"}, {"aarch64", "arm64"}, {"ppc64le", "ppc64le"}};
    static struct utsname host;

    uname(&host);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(host.machine, names[i][0]) == 0)
            return names[i][1];
    return host.machine;
}

static bool is_text(const json_t *object, const char *key, const char *text)
{
    const char *value = json_string_value(json_object_get(object, key));

    return value != NULL && strcmp(value, text) == 0;
}

static bool fits_here(const json_t *descriptor)
{
    const json_t *platform = json_object_get(descriptor, "platform");

    return platform == NULL || (is_text(platform, "os", "linux") &&
                                is_text(platform, "architecture", architecture()));
}

/* The one descriptor that is meant; NULL with err set when there is none, or more. */
static const json_t *choose(const json_t *index, const char *tag, struct error *err)
{
    const json_t *found = NULL, *one;
    size_t i, count = 0;

    json_array_foreach (json_object_get(index, "manifests"), i, one) {
        if (tag == NULL ? !fits_here(one)
                        : !is_text(json_object_get(one, "annotations"), REF_NAME, tag))
            continue;
        found = one;
        count++;
    }
    if (count == 1)
        return found;
    if (tag != NULL)
        error_set(err,
                  ERROR_INVALID,
                  count == 0 ? "it has no image with the tag \"%.100s\""
                             : "it has several images with the tag \"%.100s\"",
                  tag);
    else
        error_set(err,
                  ERROR_INVALID,
                  count == 0 ? "it has no image for linux/%s"
                             : "it has several images for linux/%s: name a tag",
                  architecture());
    return NULL;
}

/* An index of an index is one image for several platforms. */
static int descend(int dir,
                   json_t *index,
                   const char *tag,
                   unsigned depth,
                   char manifest[DIGEST_TEXT],
                   struct error *err)
{
    const json_t *found = choose(index, tag, err);
    const char *sha256;
    json_t *inner;
    int rv;

    if (found == NULL || layout_digest(found, &sha256, err) != 0)
        return -(int)err->code;
    if (!is_text(found, "mediaType", INDEX_TYPE) &&
        !is_text(found, "mediaType", LIST_TYPE)) {
        memcpy(manifest, sha256, DIGEST_TEXT);
        return 0;
    }
    if (depth == 0)
        return error_set(err, ERROR_INVALID, "its indexes are nested too deep");
    rv = layout_json(dir, sha256, &inner, err);
    if (rv != 0)
        return rv;
    rv = descend(dir, inner, NULL, depth - 1, manifest, err);
    json_decref(inner);
    return rv;
}

int layout_resolve(int dir,
                   const char *tag,
                   char manifest[DIGEST_TEXT],
                   struct error *err)
{
    int fd = open_regular(dir, "index.json", err), rv;
    json_t *index;

    if (fd < 0 || read_json(fd, NULL, "index.json", &index, err) != 0)
        return -(int)err->code;
    rv = descend(dir, index, tag, 2, manifest, err);
    json_decref(index);
    return rv;
}
