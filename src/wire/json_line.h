/* json_line.h - on which line of a JSON text a value stands; for errors. */
#ifndef WIRE_JSON_LINE_H
#define WIRE_JSON_LINE_H

#include "base/buffer.h"

/* The line, from 1, of the value at this path (field_path.h), or of its key if it has one;
 * 0 if there is none.  The text is well-formed JSON: it was read before. */
unsigned json_line(struct bytes text, const char *path);

#endif
