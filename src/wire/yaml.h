/* yaml.h - YAML text as the JSON value that it says.
 *
 * One document, plain data: maps with text keys, lists, scalars.  A plain scalar that is a
 * JSON literal (number, true, false, null) is that value, an empty one or ~ is null, and all
 * else is text, so `no` and `1:30` are what they look like.  Anchors, aliases and tags are
 * refused (a few bytes of them make gigabytes), duplicate keys too, and more than
 * LIMIT_JOB_FILE_DEPTH levels.  The caller bounds the size of the text. */
#ifndef WIRE_YAML_H
#define WIRE_YAML_H

#include "base/buffer.h"
#include "base/error.h"

#include <jansson.h>

/* A new reference, or NULL with an error "name:line: what".  `name` is for people. */
json_t *yaml_load(const char *name, struct bytes text, struct error *err);

/* The line, from 1, of the value at this path (field_path.h), or of its key if it has one;
 * 0 if there is none.  For errors: it reads the text again. */
unsigned yaml_line(struct bytes text, const char *path);

#endif
