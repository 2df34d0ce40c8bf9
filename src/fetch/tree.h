/* tree.h - whole directories. */
#ifndef FETCH_TREE_H
#define FETCH_TREE_H

/* Remove it and all below it, never through a link; that it is not there is fine.
 * 0, or -1 and errno. */
int tree_remove(const char *path);
/* The same for what is in a directory; it stays. */
int tree_empty(const char *path);

#endif
