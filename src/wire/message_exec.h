/* message_exec.h - what a client and an agent say while a command runs inside a task
 * (docs/spec/11-exec.md).
 *
 * One connection is one session: the request `exec`, its answer [], then notifies.
 * Packers append whole frames.  Unpackers take the params of one; views point into them.
 */
#ifndef WIRE_MESSAGE_EXEC_H
#define WIRE_MESSAGE_EXEC_H

#include "base/buffer.h"
#include "base/error.h"
#include "wire/rpc.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum exec_flag {
    EXEC_TERMINAL = 1, /* the command has one */
    EXEC_INPUT = 2,    /* data for its input will come */
};

struct exec_size {
    uint16_t rows, columns; /* of a terminal; 0: not known */
};

struct exec_request {
    uint64_t attempt;
    unsigned flags; /* enum exec_flag */
    struct exec_size size;
    const struct bytes *argv; /* at least 1 */
    size_t argc;
    const struct bytes *env; /* NAME=VALUE */
    size_t envc;
};
void exec_pack(const struct exec_request *r, uint32_t id, struct buffer *out);
/* The lists of an unpacked request are for exec_request_finish(); after an error there are
 * none. */
int exec_unpack(struct exec_request *out, struct bytes params, struct error *err);
void exec_request_finish(struct exec_request *r);

/* The answer: the session is there. */
void exec_result_pack(uint32_t id, struct buffer *out);

enum exec_stream { EXEC_STDIN = 0, EXEC_STDOUT = 1, EXEC_STDERR = 2 };

struct exec_data {
    enum exec_stream stream;
    struct bytes bytes; /* at most LIMIT_EXEC_CHUNK_BYTES */
};
void exec_data_pack(const struct exec_data *d, struct buffer *out);
int exec_data_unpack(struct exec_data *out, struct bytes params, struct error *err);

/* So many bytes that the other side sent have left us; at most LIMIT_EXEC_WINDOW_BYTES. */
void exec_credit_pack(uint32_t bytes, struct buffer *out);
int exec_credit_unpack(uint32_t *bytes, struct bytes params, struct error *err);

void exec_resize_pack(const struct exec_size *size, struct buffer *out);
int exec_resize_unpack(struct exec_size *out, struct bytes params, struct error *err);

/* No more input.  It has no params. */
void exec_close_input_pack(struct buffer *out);

/* Are you there?  And the answer, I am.  It has no params. */
void exec_ping_pack(struct buffer *out);

enum exec_end {
    EXEC_EXITED = 1,
    EXEC_SIGNALED = 2,
    EXEC_NOT_STARTED = 3,
};

struct exec_exit {
    enum exec_end how;
    uint32_t code; /* exit status (not started: 126 or 127), or signal; below 256 */
    struct bytes
        text; /* not started: why, at most LIMIT_MESSAGE_BYTES; not always UTF-8 */
};
void exec_exit_pack(const struct exec_exit *e, struct buffer *out);
int exec_exit_unpack(struct exec_exit *out, struct bytes params, struct error *err);

#endif
