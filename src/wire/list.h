/* list.h - lists of packed elements: checked once, walked later without a copy.
 *
 * Of the many elements in a command or a frame the decoded struct keeps a view.
 * list_check() reads each of them with the reader that the walk will use, so the walk
 * cannot fail. Only for the codecs of this folder. */
#ifndef WIRE_LIST_H
#define WIRE_LIST_H

#include "wire/command.h"
#include "wire/pack.h"

#include <stdbool.h>
#include <stdint.h>

/* Reads one element, an array, into the struct at `out`; breaks of its rules are
 * unpack_fail(). */
typedef void list_read(struct unpack *u, void *out);

/* Read the array at *u, at most `max` elements.  `scratch` has room for one.  Returns
 * the bytes of the elements without the array's head. */
struct bytes list_check(
    struct unpack *u, uint32_t max, list_read *read, void *scratch, uint32_t *count);

/* The next of `count` elements; false at the end. */
bool list_next(struct bytes elements,
               uint32_t count,
               struct command_cursor *at,
               list_read *read,
               void *out);

/* What a task_update command and the reports of an agent have in common. */
void task_update_pack(const struct task_update *t, struct buffer *out);
void task_update_read(struct unpack *u, struct task_update *out);

#endif
