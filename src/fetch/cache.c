/* cache.c - see cache.h. */
#include "fetch/cache.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOCK_SUFFIX ".lock"
#define NAME_BYTES  (DIGEST_TEXT + 16)

static int open_lock(const char *key)
{
    char name[NAME_BYTES];

    snprintf(name, sizeof(name), "%s" LOCK_SUFFIX, key);
    return open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

/* 0 or errno.  Containers share the lock of an image that is there; to make one it is held alone. */
static int find(struct cache_place *place)
{
    struct stat st;

    place->lock = open_lock(place->name);
    for (int how = LOCK_SH;; how = LOCK_EX) {
        if (place->lock < 0 || flock(place->lock, how) != 0)
            return errno;
        futimens(place->lock, NULL);
        place->there = stat(place->name, &st) == 0;
        if (place->there || how == LOCK_EX)
            return 0;
    }
}

int cache_take(struct cache_place *place, const char *key, struct error *err)
{
    int reason;

    snprintf(place->name, sizeof(place->name), "%s", key);
    snprintf(place->temporary, sizeof(place->temporary), "%s.tmp", key);
    reason = find(place);
    if (reason != 0)
        return error_set(
            err, ERROR_IO, "cannot lock the cache of images: %s", strerror(reason));
    if (place->there)
        return 0;
    if (tree_remove(place->temporary) == 0 && mkdir(place->temporary, 0755) == 0)
        return 0;
    error_set(err, ERROR_IO, "cannot make %s: %s", place->temporary, strerror(errno));
    close(place->lock);
    return -(int)err->code;
}

bool cache_has(const char *key)
{
    int lock = open_lock(key);
    struct stat st;
    bool there;

    if (lock < 0)
        return false;
    there = flock(lock, LOCK_SH) == 0 && stat(key, &st) == 0;
    if (there)
        futimens(lock, NULL);
    close(lock);
    return there;
}

static int write_bytes(const char *folder, uint64_t bytes)
{
    char name[NAME_BYTES + 8];
    FILE *f;

    snprintf(name, sizeof(name), "%s/bytes", folder);
    f = fopen(name, "we");
    if (f == NULL)
        return -1;
    fprintf(f, "%llu\n", (unsigned long long)bytes);
    return fclose(f);
}

int cache_keep(struct cache_place *place, uint64_t bytes, struct error *err)
{
    if (write_bytes(place->temporary, bytes) != 0 ||
        rename(place->temporary, place->name) != 0)
        return error_set(
            err, ERROR_IO, "cannot keep it in the cache: %s", strerror(errno));
    place->there = true;
    return 0;
}

void cache_give(struct cache_place *place)
{
    if (!place->there)
        tree_remove(place->temporary);
    close(place->lock);
}

/* ---- room ---- */

struct image {
    char key[DIGEST_TEXT];
    struct timespec wanted;
    uint64_t bytes;
};

struct images {
    struct image *list;
    size_t count, capacity;
};

static uint64_t read_bytes(const char *key)
{
    char name[NAME_BYTES + 8];
    unsigned long long bytes = 0;
    FILE *f;

    snprintf(name, sizeof(name), "%s/bytes", key);
    f = fopen(name, "re");
    if (f == NULL)
        return 0;
    if (fscanf(f, "%llu", &bytes) != 1)
        bytes = 0;
    fclose(f);
    return bytes;
}

static void list_image(struct images *images, const char *lock_name)
{
    size_t size = strlen(lock_name);
    struct image *image;
    struct stat st;

    if (size != DIGEST_TEXT - 1 + strlen(LOCK_SUFFIX) ||
        strcmp(lock_name + DIGEST_TEXT - 1, LOCK_SUFFIX) != 0 ||
        stat(lock_name, &st) != 0)
        return;
    MEM_GROW(images->list, images->capacity, images->count + 1);
    image = &images->list[images->count++];
    snprintf(image->key, sizeof(image->key), "%.*s", DIGEST_TEXT - 1, lock_name);
    image->wanted = st.st_mtim;
    image->bytes = read_bytes(image->key);
}

static int older(const void *a, const void *b)
{
    const struct timespec *x = &((const struct image *)a)->wanted;
    const struct timespec *y = &((const struct image *)b)->wanted;

    if (x->tv_sec != y->tv_sec)
        return x->tv_sec < y->tv_sec ? -1 : 1;
    return (x->tv_nsec > y->tv_nsec) - (x->tv_nsec < y->tv_nsec);
}

/* The file of the lock stays: who waits for it would get one that has no name. */
static bool remove_image(const struct image *image, bool whole)
{
    char temporary[NAME_BYTES];
    int lock = open_lock(image->key);
    bool removed = false;

    if (lock < 0)
        return false;
    snprintf(temporary, sizeof(temporary), "%s.tmp", image->key);
    if (flock(lock, LOCK_EX | LOCK_NB) == 0) {
        tree_remove(temporary);
        /* Under its other name at once: half an image is none. */
        removed =
            whole && rename(image->key, temporary) == 0 && tree_remove(temporary) == 0;
    }
    close(lock);
    return removed;
}

static bool is_young(const struct image *image)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (now.tv_sec - image->wanted.tv_sec) * 1000 < LIMIT_IMAGE_YOUNG_MS;
}

void cache_trim(uint64_t limit)
{
    DIR *folder = opendir(".");
    struct images images = {0};
    struct dirent *entry;
    uint64_t total = 0;

    if (folder == NULL)
        return;
    while ((entry = readdir(folder)) != NULL)
        list_image(&images, entry->d_name);
    closedir(folder);
    qsort(images.list, images.count, sizeof(*images.list), older);
    for (size_t i = 0; i < images.count; i++)
        total += images.list[i].bytes;
    for (size_t i = 0; i < images.count; i++) {
        const struct image *image = &images.list[i];
        bool whole = total > limit && image->bytes > 0 && !is_young(image);

        if (remove_image(image, whole))
            total -= image->bytes;
    }
    mem_free(images.list);
}
