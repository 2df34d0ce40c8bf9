/* net_test.h - a loop for one test, waiting for what happens on it, and raw sockets. */
#ifndef UNIT_NET_TEST_H
#define UNIT_NET_TEST_H

#include "tests/lib/unit.h"

#include "base/buffer.h"
#include "net/address.h"
#include "net/loop.h"

#include <stdbool.h>

/* A check of what the loop does may need longer than the 4 s of check's default when
 * the machine is busy. */
#define net_case(name, ...) patient(unit_case(name, __VA_ARGS__))

static inline TCase *patient(TCase *c)
{
    tcase_set_timeout(c, 60);
    return c;
}

/* Turn the loop until the condition holds; the test's time limit ends it otherwise. */
#define wait_until(l, condition) \
    do {                         \
        while (!(condition))     \
            loop_turn(l);        \
    } while (0)

void loop_turn(struct loop *l);

/* Turn the loop for a while in which something must not happen. */
void let_pass(struct loop *l, uint64_t ms);

struct address local_address(uint16_t port); /* 127.0.0.1 */

/* A blocking socket, connected to 127.0.0.1:port. */
int raw_connect(uint16_t port);
void raw_send(int fd, const void *bytes, size_t size);
/* Read what is there without waiting; false when the other side has closed. */
bool raw_read(int fd, struct buffer *in);
/* Turn the loop and read until the other side closes, or `size` bytes are there. */
void raw_read_all(struct loop *l, int fd, struct buffer *in);
void raw_read_size(struct loop *l, int fd, struct buffer *in, size_t size);
/* A port on which nobody listens. */
uint16_t unused_port(void);

#endif
