/* input.h - standard input on a loop, whatever it is: terminal, pipe, socket or file.
 *
 * It stays as it was given to us: the loop would make it non-blocking, for the shell that
 * shares it too.
 */
#ifndef CLIENT_INPUT_H
#define CLIENT_INPUT_H

#include "base/buffer.h"
#include "net/loop.h"

struct input;

/* `read` gets what came, at most as many bytes as were asked for in all; empty: its end,
 * once, and nothing follows. */
struct input *
input_create(struct loop *l, void (*read)(void *user, struct bytes bytes), void *user);
/* So many bytes more are wanted; none at first. */
void input_want(struct input *in, size_t bytes);
void input_destroy(struct input *in); /* NULL is fine */

#endif
