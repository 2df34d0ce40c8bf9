/* tree.h - removing whole directories that others may still be changing.
 *
 * What is below is reached by descriptors only: never through a link, nor over a mount, whatever
 * is renamed meanwhile, and however long its paths are.  Only the path that is given is resolved
 * as usual, its last part not through a link.  Directories that their owner may not change are
 * opened up first.
 */
#ifndef BASE_TREE_H
#define BASE_TREE_H

/* Remove it and all below it; that it is not there is fine.  As much goes as can go: 0, or -1 and
 * errno of something that stays. */
int tree_remove(const char *path);
/* The same for what is in a directory; it stays. */
int tree_empty(const char *path);

#endif
