/* plain.h - output of tasks on a terminal, without what could take the terminal over.
 *
 * A task may be anybody's.  Colours (ESC [ … m), newlines, tabs and, if wished, carriage returns
 * pass; every other control character, of C1 and of C0, is shown (as ^[) and does nothing, and
 * so does a sequence that it would have begun.  Bytes that are not UTF-8 become U+FFFD.
 */
#ifndef CLIENT_PLAIN_H
#define CLIENT_PLAIN_H

#include "base/buffer.h"

#include <stdbool.h>
#include <stdint.h>

#define PLAIN_HELD_MAX 32 /* bytes of one colour sequence */

struct plain {        /* zeroed is ready; it goes on where the bytes before ended */
    bool keep_return; /* carriage returns pass: for output that nothing stands before */
    bool coloured;    /* a colour was set and not taken back */
    uint8_t held[PLAIN_HELD_MAX]; /* a character or sequence that is not whole yet */
    size_t held_size;
};

void plain_append(struct plain *p, struct bytes bytes, struct buffer *out);
/* Nothing follows: what is held is shown, and colours end. */
void plain_end(struct plain *p, struct buffer *out);

#endif
