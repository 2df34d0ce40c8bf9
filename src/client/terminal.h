/* terminal.h - the user's terminal in raw mode, and back on every way out.
 *
 * There is one: standard input.  Its modes are restored by terminal_restore(), at exit, and
 * by the handlers of all signals that end a program, before it ends by them.  One that
 * stops it (kill -TSTP) restores them too, until it goes on.
 */
#ifndef CLIENT_TERMINAL_H
#define CLIENT_TERMINAL_H

#include "base/error.h"
#include "wire/message_exec.h"

#include <stdbool.h>

bool terminal_is(void); /* standard input is one */
struct exec_size terminal_size(void);

/* Every key becomes a byte, Ctrl-C too. */
int terminal_raw(struct error *err);
void terminal_restore(void); /* nothing happens unless it is raw */

#endif
