/* disk.c - what a disk may hold after a crash, for a recorded sequence of file operations. */
#include "tests/crash/disk.h"

#include "base/assert.h"
#include "base/mem.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR 512

/* A file or a directory; number 0 is the root. */
struct node {
    bool directory;
    uint8_t *data;
    size_t size;
};

struct name {
    size_t parent; /* a node */
    char *text;
    size_t node;
};

struct names {
    struct name *all;
    size_t count, capacity;
};

enum change_kind { CHANGE_BYTES, CHANGE_LINK, CHANGE_UNLINK, CHANGE_RENAME };

struct change {
    enum change_kind kind;
    size_t node;
    size_t parent, to_parent; /* of names */
    char *text, *to_text;
    uint64_t offset; /* of bytes */
    size_t size;
    uint8_t *data;
};

struct disk {
    char *root;
    struct node *nodes;
    size_t node_count, node_capacity;
    struct names durable;
    struct names shown; /* what a running program sees */
    struct change *waiting;
    size_t waiting_count, waiting_capacity;
};

/* ---- names ---- */

static struct name *find_name(const struct names *n, size_t parent, const char *text)
{
    for (size_t i = 0; i < n->count; i++) {
        if (n->all[i].parent == parent && strcmp(n->all[i].text, text) == 0)
            return &n->all[i];
    }
    return NULL;
}

static void unlink_name(struct names *n, size_t parent, const char *text)
{
    struct name *found = find_name(n, parent, text);

    if (found == NULL)
        return;
    mem_free(found->text);
    *found = n->all[--n->count];
}

static void link_name(struct names *n, size_t parent, const char *text, size_t node)
{
    unlink_name(n, parent, text);
    MEM_GROW(n->all, n->capacity, n->count + 1);
    n->all[n->count++] = (struct name){parent, mem_strdup(text), node};
}

static void change_names(struct names *n, const struct change *c)
{
    switch (c->kind) {
    case CHANGE_LINK:
        link_name(n, c->parent, c->text, c->node);
        break;
    case CHANGE_UNLINK:
        unlink_name(n, c->parent, c->text);
        break;
    case CHANGE_RENAME:
        unlink_name(n, c->parent, c->text);
        link_name(n, c->to_parent, c->to_text, c->node);
        break;
    case CHANGE_BYTES:
        break;
    }
}

/* The path below the root, or NULL when it lies elsewhere. */
static const char *below_root(const struct disk *d, const char *path)
{
    size_t n = strlen(d->root);

    if (strncmp(path, d->root, n) != 0)
        return NULL;
    path += n;
    while (*path == '/')
        path++;
    return path;
}

/* The node of a path as it is shown; its parent and last name too.  False: not in the tree. */
static bool resolve(const struct disk *d,
                    const char *path,
                    size_t *parent,
                    const char **text,
                    size_t *node)
{
    const char *at = below_root(d, path);
    char part[NAME_MAX + 1];

    *parent = *node = 0;
    *text = at;
    while (at != NULL && *at != '\0') {
        size_t n = strcspn(at, "/");
        struct name *found;

        snprintf(part, sizeof(part), "%.*s", (int)n, at);
        *parent = *node;
        *text = at;
        found = find_name(&d->shown, *parent, part);
        *node = found != NULL ? found->node : SIZE_MAX;
        at += n;
        while (*at == '/')
            at++;
        if (found == NULL && *at != '\0')
            return false;
    }
    return at != NULL;
}

/* ---- changes ---- */

static size_t new_node(struct disk *d, bool directory)
{
    MEM_GROW(d->nodes, d->node_capacity, d->node_count + 1);
    d->nodes[d->node_count] = (struct node){.directory = directory};
    return d->node_count++;
}

static void write_node(struct node *n, const struct change *c)
{
    size_t end = c->offset + c->size;

    if (end > n->size) {
        n->data = mem_realloc(n->data, end);
        memset(n->data + n->size, 0, end - n->size);
        n->size = end;
    }
    memcpy(n->data + c->offset, c->data, c->size);
}

static void make_durable(struct disk *d, const struct change *c)
{
    if (c->kind == CHANGE_BYTES)
        write_node(&d->nodes[c->node], c);
    else
        change_names(&d->durable, c);
}

static void free_change(struct change *c)
{
    mem_free(c->text);
    mem_free(c->to_text);
    mem_free(c->data);
}

static void add_change(struct disk *d, struct change c)
{
    MEM_GROW(d->waiting, d->waiting_capacity, d->waiting_count + 1);
    d->waiting[d->waiting_count++] = c;
}

static void add_name_change(struct disk *d, struct change c)
{
    c.text = mem_strdup(c.text);
    c.to_text = c.to_text != NULL ? mem_strdup(c.to_text) : NULL;
    change_names(&d->shown, &c);
    add_change(d, c);
}

static void add_bytes(struct disk *d, size_t node, const struct file_op *op)
{
    const uint8_t *data = op->data;
    uint64_t at = op->offset, end = op->offset + op->size;

    while (at < end) {
        uint64_t next = (at / SECTOR + 1) * SECTOR;
        size_t size = (size_t)((next < end ? next : end) - at);

        add_change(d,
                   (struct change){.kind = CHANGE_BYTES,
                                   .node = node,
                                   .offset = at,
                                   .size = size,
                                   .data = mem_dup(data, size)});
        data += size;
        at += size;
    }
}

static bool is_lock(const char *text)
{
    return strcmp(text, "lock") == 0 || strcmp(text, "lock.mdb") == 0;
}

void disk_begin(struct disk *d, const struct file_op *op)
{
    size_t parent, node, to_parent, to_node;
    const char *text, *to_text;

    if (!resolve(d, op->path, &parent, &text, &node) || is_lock(text))
        return;
    struct change c = {.parent = parent,
                       .to_parent = parent,
                       .text = (char *)(uintptr_t)text,
                       .node = node};

    switch (op->kind) {
    case FILE_OP_WRITE:
        add_bytes(d, node, op);
        break;
    case FILE_OP_CREATE:
    case FILE_OP_MKDIR:
        c.kind = CHANGE_LINK;
        c.node = new_node(d, op->kind == FILE_OP_MKDIR);
        add_name_change(d, c);
        break;
    case FILE_OP_REMOVE:
        c.kind = CHANGE_UNLINK;
        add_name_change(d, c);
        break;
    case FILE_OP_RENAME:
        ASSERT(resolve(d, op->to, &to_parent, &to_text, &to_node));
        c.kind = CHANGE_RENAME;
        c.to_parent = to_parent;
        c.to_text = (char *)(uintptr_t)to_text;
        add_name_change(d, c);
        break;
    case FILE_OP_SYNC:
    case FILE_OP_TRUNCATE: /* of lock files only */
        break;
    }
}

static bool is_synced(const struct change *c, const struct file_op *op, size_t node)
{
    if (c->kind != CHANGE_BYTES)
        return op->kind == FILE_OP_SYNC && (c->parent == node || c->to_parent == node);
    if (c->node != node)
        return false;
    return op->kind == FILE_OP_SYNC ||
           (c->offset >= op->offset && c->offset < op->offset + op->size);
}

void disk_complete(struct disk *d, const struct file_op *op)
{
    size_t parent, node, kept = 0;
    const char *text;

    if (op->kind != FILE_OP_SYNC && !(op->kind == FILE_OP_WRITE && op->synced))
        return;
    if (!resolve(d, op->path, &parent, &text, &node) || is_lock(text))
        return;
    for (size_t i = 0; i < d->waiting_count; i++) {
        struct change *c = &d->waiting[i];

        if (!is_synced(c, op, node)) {
            d->waiting[kept++] = *c;
            continue;
        }
        make_durable(d, c);
        free_change(c);
    }
    d->waiting_count = kept;
}

size_t disk_waiting(const struct disk *d)
{
    return d->waiting_count;
}

static void copy_names(struct names *to, const struct names *from)
{
    while (to->count > 0)
        mem_free(to->all[--to->count].text);
    for (size_t i = 0; i < from->count; i++)
        link_name(to, from->all[i].parent, from->all[i].text, from->all[i].node);
}

void disk_crash(struct disk *d, const bool *keep)
{
    for (size_t i = 0; i < d->waiting_count; i++) {
        if (keep[i])
            make_durable(d, &d->waiting[i]);
        free_change(&d->waiting[i]);
    }
    d->waiting_count = 0;
    copy_names(&d->shown, &d->durable);
}

/* ---- images ---- */

static void
write_file(const struct disk *d, size_t node, const bool *keep, const char *path)
{
    struct node n = {.size = d->nodes[node].size};
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    ASSERT(fd >= 0);
    n.data = mem_dup(d->nodes[node].data, n.size);
    for (size_t i = 0; i < d->waiting_count; i++) {
        const struct change *c = &d->waiting[i];

        if (keep[i] && c->kind == CHANGE_BYTES && c->node == node)
            write_node(&n, c);
    }
    ASSERT(pwrite(fd, n.data, n.size, 0) == (ssize_t)n.size);
    close(fd);
    mem_free(n.data);
}

static void write_names(const struct disk *d,
                        const struct names *names,
                        size_t parent,
                        const bool *keep,
                        const char *directory)
{
    char path[PATH_MAX];

    for (size_t i = 0; i < names->count; i++) {
        const struct name *n = &names->all[i];

        if (n->parent != parent)
            continue;
        ASSERT(snprintf(path, sizeof(path), "%s/%s", directory, n->text) < PATH_MAX);
        if (d->nodes[n->node].directory) {
            ASSERT(mkdir(path, 0700) == 0);
            write_names(d, names, n->node, keep, path);
        } else {
            write_file(d, n->node, keep, path);
        }
    }
}

void disk_write(const struct disk *d, const bool *keep, const char *directory)
{
    struct names names = {0};

    copy_names(&names, &d->durable);
    for (size_t i = 0; i < d->waiting_count; i++) {
        if (keep[i])
            change_names(&names, &d->waiting[i]);
    }
    write_names(d, &names, 0, keep, directory);
    copy_names(&names, &(struct names){0});
    mem_free(names.all);
}

struct disk *disk_create(const char *root)
{
    struct disk *d = mem_zalloc(sizeof(*d));

    d->root = mem_strdup(root);
    new_node(d, true);
    return d;
}

void disk_move(struct disk *d, const char *root)
{
    mem_free(d->root);
    d->root = mem_strdup(root);
}

void disk_destroy(struct disk *d)
{
    if (d == NULL)
        return;
    for (size_t i = 0; i < d->waiting_count; i++)
        free_change(&d->waiting[i]);
    for (size_t i = 0; i < d->node_count; i++)
        mem_free(d->nodes[i].data);
    copy_names(&d->durable, &(struct names){0});
    copy_names(&d->shown, &(struct names){0});
    mem_free(d->durable.all);
    mem_free(d->shown.all);
    mem_free(d->waiting);
    mem_free(d->nodes);
    mem_free(d->root);
    mem_free(d);
}
