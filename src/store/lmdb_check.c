/* lmdb_check.c - verify the page structure of an LMDB file before LMDB maps it. */
#include "store/lmdb_check.h"

#include "base/assert.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(
    __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ && sizeof(size_t) == 8,
    "LMDB files are in the machine's order: Triarch's are 64-bit little-endian");

enum {
    MAGIC = 0xBEEFC0DE,
    FORMAT = 1,
    METAS = 2,
    PAGE_HEADER = 16,
    NODE_HEADER = 8,
    TREE_BYTES = 48,
    META_BYTES = 136,
    DEPTH_MAX = 32,
    PAGE_BYTES_MIN = 512,
    PAGE_BYTES_MAX = 65536,
};

enum { PAGE_BRANCH = 1, PAGE_LEAF = 2, PAGE_OVERFLOW = 4, PAGE_META = 8 };
enum { NODE_OVERFLOW = 1, NODE_TREE = 2 };

#define NO_PAGE UINT64_MAX

/* MDB_db: what the root of a tree says of it. */
struct tree {
    uint32_t pad; /* of the free list: the page size */
    uint16_t flags;
    uint16_t depth;
    uint64_t branch_pages;
    uint64_t leaf_pages;
    uint64_t overflow_pages;
    uint64_t entries;
    uint64_t root;
};

struct meta {
    struct tree free_list;
    struct tree names;
    uint64_t last_page;
    uint64_t transaction;
};

enum tree_kind { TREE_FREE_LIST, TREE_NAMES, TREE_RECORDS };

struct check {
    int fd;
    const char *path;
    const struct lmdb_schema *schema;
    struct error *err;
    uint64_t file_bytes;
    uint32_t page_bytes;
    struct meta meta;
    uint8_t *used; /* one bit for each page up to the last */
    uint64_t used_count;
    unsigned databases_seen; /* one bit for each of the schema */
};

/* One tree on its way down: one page buffer for each level. */
struct walk {
    struct check *check;
    const char *name;
    enum tree_kind kind;
    struct tree said;
    struct tree found;
    struct bytes last_key;
    uint8_t last_key_bytes[PAGE_BYTES_MIN]; /* LMDB's keys have at most 511 */
    uint8_t *pages[DEPTH_MAX];
};

struct node {
    struct bytes key;
    uint16_t flags;
    uint32_t size;       /* of a leaf's data */
    uint64_t child;      /* of a branch */
    const uint8_t *data; /* of a leaf: the data, or the number of its overflow page */
};

static uint16_t load_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static int damaged(struct check *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static int damaged(struct check *c, const char *format, ...)
{
    char what[256];
    va_list args;

    va_start(args, format);
    vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    return error_set(c->err, ERROR_CORRUPT, "%s is damaged: %s", c->path, what);
}

static int read_at(struct check *c, uint64_t offset, void *to, size_t size)
{
    uint8_t *at = to;

    while (size > 0) {
        ssize_t n = pread(c->fd, at, size, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_set(c->err, ERROR_IO, "read %s: %s", c->path, strerror(errno));
        if (n == 0)
            return damaged(
                c, "it ends before byte %" PRIu64 ", which it names", offset + size);
        at += n;
        offset += (uint64_t)n;
        size -= (size_t)n;
    }
    return 0;
}

static struct tree load_tree(const uint8_t *p)
{
    return (struct tree){
        .pad = load_u32(p),
        .flags = load_u16(p + 4),
        .depth = load_u16(p + 6),
        .branch_pages = load_u64(p + 8),
        .leaf_pages = load_u64(p + 16),
        .overflow_pages = load_u64(p + 24),
        .entries = load_u64(p + 32),
        .root = load_u64(p + 40),
    };
}

static int read_meta(struct check *c, unsigned slot, struct meta *m)
{
    uint8_t page[PAGE_HEADER + META_BYTES];
    const uint8_t *p = page + PAGE_HEADER;
    int rv = read_at(c, (uint64_t)slot * c->page_bytes, page, sizeof(page));

    if (rv != 0)
        return rv;
    if (load_u16(page + 10) != PAGE_META || load_u64(page) != slot ||
        load_u32(p) != MAGIC)
        return damaged(c, "meta page %u is not one", slot);
    if (load_u32(p + 4) != FORMAT)
        return error_set(c->err,
                         ERROR_VERSION,
                         "%s has LMDB format %" PRIu32 ", this program reads %d",
                         c->path,
                         load_u32(p + 4),
                         FORMAT);
    m->free_list = load_tree(p + 24);
    m->names = load_tree(p + 24 + TREE_BYTES);
    m->last_page = load_u64(p + 24 + 2 * TREE_BYTES);
    m->transaction = load_u64(p + 32 + 2 * TREE_BYTES);
    return 0;
}

/* The newest transaction.  Transaction n is in slot n mod 2, and n - 1 stays in the
 * other one: a torn write or a flipped bit cannot make LMDB take the older one
 * unnoticed. */
static int read_metas(struct check *c, size_t map_bytes)
{
    struct meta metas[METAS];
    uint8_t head[PAGE_HEADER + META_BYTES];
    int rv = read_at(c, 0, head, sizeof(head));

    if (rv != 0)
        return rv;
    c->page_bytes = load_u32(head + PAGE_HEADER + 24);
    if (c->page_bytes < PAGE_BYTES_MIN || c->page_bytes > PAGE_BYTES_MAX ||
        (c->page_bytes & (c->page_bytes - 1)) != 0)
        return damaged(c, "a page size of %" PRIu32, c->page_bytes);
    for (unsigned slot = 0; slot < METAS; slot++) {
        rv = read_meta(c, slot, &metas[slot]);
        if (rv != 0)
            return rv;
    }
    uint64_t zero = metas[0].transaction, one = metas[1].transaction;

    c->meta = metas[zero < one];
    if (c->meta.transaction != 0 && ((zero & 1) != 0 || (one & 1) != 1 ||
                                     (zero > one ? zero - one : one - zero) != 1))
        return damaged(
            c, "its meta pages name transactions %" PRIu64 " and %" PRIu64, zero, one);
    if (c->meta.free_list.pad != c->page_bytes)
        return damaged(c, "its meta pages name two page sizes");
    if (c->meta.last_page < METAS - 1 || c->meta.last_page >= map_bytes / c->page_bytes)
        return damaged(c,
                       "its last page is %" PRIu64 ", the limit %zu",
                       c->meta.last_page,
                       map_bytes / c->page_bytes);
    return 0;
}

/* Each page has one owner. */
static int claim(struct check *c, const char *who, uint64_t page, uint64_t count)
{
    if (page < METAS || page > c->meta.last_page ||
        count > c->meta.last_page - page + 1)
        return damaged(c, "%s names page %" PRIu64, who, page);
    for (uint64_t p = page; p < page + count; p++) {
        if ((c->used[p / 8] >> p % 8 & 1) != 0)
            return damaged(c, "page %" PRIu64 " is used twice, by %s too", p, who);
        c->used[p / 8] |= (uint8_t)(1 << p % 8);
    }
    c->used_count += count;
    return 0;
}

static int compare_keys(const struct walk *w, struct bytes a, struct bytes b)
{
    size_t shorter = a.size < b.size ? a.size : b.size;
    int order;

    if ((w->said.flags & MDB_INTEGERKEY) != 0) {
        uint64_t x = load_u64(a.data), y = load_u64(b.data);
        return x < y ? -1 : x > y;
    }
    order = memcmp(a.data, b.data, shorter);
    return order != 0 ? order : a.size < b.size ? -1 : a.size > b.size;
}

/* Node i of a page; its bytes lie within the page.  *used grows by what it takes there.
 */
static int load_node(struct walk *w,
                     uint64_t number,
                     const uint8_t *page,
                     unsigned i,
                     struct node *n,
                     size_t *used)
{
    struct check *c = w->check;
    bool leaf = load_u16(page + 10) == PAGE_LEAF;
    size_t at = load_u16(page + PAGE_HEADER + 2 * i);
    size_t room, size;

    if (at < load_u16(page + 14) || at + NODE_HEADER > c->page_bytes)
        return damaged(
            c, "%s: node %u of page %" PRIu64 " lies outside", w->name, i, number);
    room = c->page_bytes - at - NODE_HEADER;
    n->size = load_u32(page + at);
    n->flags = load_u16(page + at + 4);
    n->key = (struct bytes){page + at + NODE_HEADER, load_u16(page + at + 6)};
    n->child = n->size | (uint64_t)n->flags << 32;
    n->data = n->key.data + n->key.size;
    size = n->key.size;
    if (leaf)
        size += (n->flags & NODE_OVERFLOW) != 0 ? sizeof(uint64_t) : n->size;
    if (size > room)
        return damaged(
            c, "%s: node %u of page %" PRIu64 " is too large", w->name, i, number);
    if (n->key.size >= PAGE_BYTES_MIN || (n->key.size == 0 && (leaf || i > 0)) ||
        ((w->said.flags & MDB_INTEGERKEY) != 0 && n->key.size != 8 && (leaf || i > 0)))
        return damaged(
            c, "%s: a key of %zu bytes on page %" PRIu64, w->name, n->key.size, number);
    *used += (NODE_HEADER + size + 1) & ~(size_t)1;
    return 0;
}

static int read_page(struct walk *w, uint64_t number, unsigned level, uint8_t **out)
{
    struct check *c = w->check;
    unsigned expected = level + 1 == w->said.depth ? PAGE_LEAF : PAGE_BRANCH;
    uint8_t *page;
    int rv = claim(c, w->name, number, 1);

    if (rv != 0)
        return rv;
    if (w->pages[level] == NULL)
        w->pages[level] = mem_alloc(c->page_bytes);
    page = *out = w->pages[level];
    rv = read_at(c, number * c->page_bytes, page, c->page_bytes);
    if (rv != 0)
        return rv;
    unsigned lower = load_u16(page + 12), upper = load_u16(page + 14);

    if (load_u64(page) != number || load_u16(page + 10) != expected)
        return damaged(c,
                       "%s: page %" PRIu64 " says it is page %" PRIu64 " of kind %u",
                       w->name,
                       number,
                       load_u64(page),
                       load_u16(page + 10));
    if (lower < PAGE_HEADER + 2 || lower % 2 != 0 || lower > upper ||
        upper > c->page_bytes)
        return damaged(
            c, "%s: page %" PRIu64 " has bounds %u, %u", w->name, number, lower, upper);
    return 0;
}

static int check_overflow(struct walk *w, const struct node *n)
{
    struct check *c = w->check;
    uint8_t header[PAGE_HEADER];
    uint64_t page = load_u64(n->data);
    uint64_t count = (PAGE_HEADER - 1 + (uint64_t)n->size) / c->page_bytes + 1;
    int rv = claim(c, w->name, page, count);

    if (rv == 0)
        rv = read_at(c, page * c->page_bytes, header, sizeof(header));
    if (rv != 0)
        return rv;
    if (load_u64(header) != page || load_u16(header + 10) != PAGE_OVERFLOW ||
        load_u32(header + 12) != count)
        return damaged(
            c, "%s: page %" PRIu64 " is not the value it is to be", w->name, page);
    if (c->file_bytes < (page + count) * c->page_bytes)
        return damaged(
            c, "it ends before page %" PRIu64 ", which it names", page + count - 1);
    w->found.overflow_pages += count;
    return 0;
}

/* A record of the free list: a transaction, and the pages that it freed, falling. */
static int check_free_pages(struct walk *w, const struct node *n)
{
    struct check *c = w->check;
    uint8_t *copy = mem_alloc(n->size);
    uint64_t count, previous = NO_PAGE;
    int rv = 0;

    if ((n->flags & NODE_OVERFLOW) != 0)
        rv = read_at(c, load_u64(n->data) * c->page_bytes + PAGE_HEADER, copy, n->size);
    else
        memcpy(copy, n->data, n->size);
    if (rv != 0)
        goto out;
    count = n->size >= 8 ? load_u64(copy) : NO_PAGE;
    if (count > n->size / 8 - 1 || load_u64(n->key.data) > c->meta.transaction) {
        rv = damaged(c, "a record of the %s does not add up", w->name);
        goto out;
    }
    for (uint64_t i = 1; i <= count && rv == 0; i++) {
        uint64_t page = load_u64(copy + 8 * i);

        rv = page < previous ? claim(c, w->name, page, 1)
                             : damaged(c, "the %s is out of order", w->name);
        previous = page;
    }
out:
    mem_free(copy);
    return rv;
}

static int
walk_tree(struct check *c, const char *name, enum tree_kind kind, struct tree said);

/* A record of the tree of names: the root of a database. */
static int check_database(struct walk *w, const struct node *n)
{
    struct check *c = w->check;
    const struct lmdb_schema *schema = c->schema;
    struct tree tree;

    if (n->flags != NODE_TREE || n->size != TREE_BYTES)
        return damaged(c, "a record of the %s is not a database", w->name);
    tree = load_tree(n->data);
    for (unsigned i = 0; i < schema->count; i++) {
        const struct lmdb_database *d = &schema->databases[i];

        if (n->key.size != strlen(d->name) ||
            memcmp(n->key.data, d->name, n->key.size) != 0)
            continue;
        if (tree.flags != d->flags)
            return damaged(c, "database %s has flags %u", d->name, tree.flags);
        c->databases_seen |= 1u << i;
        return walk_tree(c, d->name, TREE_RECORDS, tree);
    }
    return damaged(c, "it holds an unknown database");
}

static int check_leaf_node(struct walk *w, const struct node *n)
{
    int rv = 0;

    w->found.entries++;
    if ((n->flags & NODE_OVERFLOW) != 0)
        rv = check_overflow(w, n);
    if (rv != 0)
        return rv;
    switch (w->kind) {
    case TREE_FREE_LIST:
        if ((n->flags & ~NODE_OVERFLOW) != 0)
            break;
        return check_free_pages(w, n);
    case TREE_NAMES:
        return check_database(w, n);
    case TREE_RECORDS:
        if ((n->flags & ~NODE_OVERFLOW) != 0)
            break;
        return 0;
    }
    return damaged(w->check, "%s: a record has flags %u", w->name, n->flags);
}

/* Leaves come in order of their keys: each key is above the one before, and those of a
 * branch lie between the last key on their left and the first on their right. */
static int step_key(struct walk *w, uint64_t number, struct bytes key, bool may_equal)
{
    int order = w->last_key.data == NULL ? -1 : compare_keys(w, w->last_key, key);

    if (order > 0 || (order == 0 && !may_equal))
        return damaged(
            w->check, "%s: the keys of page %" PRIu64 " do not rise", w->name, number);
    memcpy(w->last_key_bytes, key.data, key.size);
    w->last_key = (struct bytes){w->last_key_bytes, key.size};
    return 0;
}

static int
walk_page(struct walk *w, uint64_t number, unsigned level, bool after_separator)
{
    uint8_t *page;
    size_t used = 0;
    int rv = read_page(w, number, level, &page);

    if (rv != 0)
        return rv;
    bool leaf = load_u16(page + 10) == PAGE_LEAF;
    unsigned count = (load_u16(page + 12) - PAGE_HEADER) / 2u;

    *(leaf ? &w->found.leaf_pages : &w->found.branch_pages) += 1;
    for (unsigned i = 0; i < count && rv == 0; i++) {
        struct node n = {0};

        rv = load_node(w, number, page, i, &n, &used);
        /* A separator may be the first key on its right, or lie below it. */
        if (rv == 0 && (leaf || i > 0))
            rv = step_key(w, number, n.key, leaf && i == 0 && after_separator);
        if (rv == 0)
            rv = leaf ? check_leaf_node(w, &n)
                      : walk_page(w, n.child, level + 1, i > 0 || after_separator);
    }
    if (rv == 0 && used != w->check->page_bytes - load_u16(page + 14))
        rv = damaged(
            w->check, "%s: the nodes of page %" PRIu64 " overlap", w->name, number);
    return rv;
}

static int
walk_tree(struct check *c, const char *name, enum tree_kind kind, struct tree said)
{
    struct walk w = {.check = c, .name = name, .kind = kind, .said = said};
    int rv = 0;

    if (said.root == NO_PAGE ? said.depth != 0
                             : said.depth == 0 || said.depth > DEPTH_MAX)
        return damaged(c, "%s has depth %u", name, said.depth);
    if (said.root != NO_PAGE)
        rv = walk_page(&w, said.root, 0, false);
    for (unsigned i = 0; i < DEPTH_MAX; i++)
        mem_free(w.pages[i]);
    if (rv != 0)
        return rv;
    if (w.found.branch_pages != said.branch_pages ||
        w.found.leaf_pages != said.leaf_pages ||
        w.found.overflow_pages != said.overflow_pages ||
        w.found.entries != said.entries)
        return damaged(c,
                       "%s holds %" PRIu64 " records on %" PRIu64 " + %" PRIu64
                       " + %" PRIu64 " pages and names %" PRIu64 " on %" PRIu64
                       " + %" PRIu64 " + %" PRIu64,
                       name,
                       w.found.entries,
                       w.found.branch_pages,
                       w.found.leaf_pages,
                       w.found.overflow_pages,
                       said.entries,
                       said.branch_pages,
                       said.leaf_pages,
                       said.overflow_pages);
    return 0;
}

static int check_trees(struct check *c)
{
    unsigned all = (1u << c->schema->count) - 1;
    int rv;

    if (c->meta.free_list.flags != MDB_INTEGERKEY || c->meta.names.flags != 0)
        return damaged(c, "its trees have unknown flags");
    rv = walk_tree(c, "free list", TREE_FREE_LIST, c->meta.free_list);
    if (rv == 0)
        rv = walk_tree(c, "list of databases", TREE_NAMES, c->meta.names);
    if (rv != 0)
        return rv;
    if (c->databases_seen != all)
        return damaged(c, "a database is missing");
    if (c->used_count != c->meta.last_page - METAS + 1)
        return damaged(c,
                       "%" PRIu64 " of its %" PRIu64 " pages are neither used nor free",
                       c->meta.last_page - METAS + 1 - c->used_count,
                       c->meta.last_page + 1);
    return 0;
}

int lmdb_check(const char *path,
               const struct lmdb_schema *schema,
               size_t map_bytes,
               struct error *err)
{
    struct check c = {.path = path, .schema = schema, .err = err};
    struct stat st;
    int rv;

    c.fd = open(path, O_RDONLY | O_CLOEXEC);
    if (c.fd < 0 || fstat(c.fd, &st) != 0)
        return error_set(err,
                         errno == ENOENT ? ERROR_CORRUPT : ERROR_IO,
                         "open %s: %s",
                         path,
                         strerror(errno));
    c.file_bytes = (uint64_t)st.st_size;
    rv = read_metas(&c, map_bytes);
    if (rv == 0) {
        c.used = mem_zalloc(c.meta.last_page / 8 + 1);
        rv = check_trees(&c);
    }
    mem_free(c.used);
    close(c.fd);
    return rv;
}
