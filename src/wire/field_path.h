/* field_path.h - where in a document a value stands: "resources.cpus", "argv[2]".
 *
 * For errors.  A long path loses its end, always at the same byte, so that equal places
 * have equal paths.  A zeroed struct is the root. */
#ifndef WIRE_FIELD_PATH_H
#define WIRE_FIELD_PATH_H

#include <stddef.h>

#define FIELD_PATH_MAX 128

struct field_path {
    char text[FIELD_PATH_MAX];
    size_t size;
};

/* Go down to a member or an element; returns what field_path_leave() wants to go back up.
 * What is not printable in a key becomes U+FFFD. */
size_t field_path_enter_key(struct field_path *p, const char *key);
size_t field_path_enter_element(struct field_path *p, size_t index);
void field_path_leave(struct field_path *p, size_t before);

#endif
