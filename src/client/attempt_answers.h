/* attempt_answers.h - what agents say when they are asked for an attempt of a task.
 *
 * Zeroed with `number` set is a question that nobody has answered yet.
 */
#ifndef CLIENT_ATTEMPT_ANSWERS_H
#define CLIENT_ATTEMPT_ANSWERS_H

#include "base/buffer.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct attempt_answers {
    uint32_t number; /* of the attempt that is looked for */
    uint64_t id;     /* of it; 0: nobody has it yet */

    uint32_t *others; /* numbers that are there, in no order */
    size_t count, capacity;
    uint64_t silent;       /* agents that did not answer; the first of them, and why: */
    uint64_t silent_agent; /* 0: none */
    char silent_why[ERROR_TEXT_MAX];
    uint64_t gone; /* agents that were not asked */
};

void attempt_answers_finish(struct attempt_answers *a);

/* An agent's body of GET /attempts/…; ERROR_INVALID if it is none. */
int attempt_answers_take(struct attempt_answers *a,
                         struct bytes body,
                         struct error *err);
void attempt_answers_silent(struct attempt_answers *a, uint64_t agent, const char *why);

/* Nobody has it: why, and what there is. */
int attempt_answers_refuse(const struct attempt_answers *a,
                           uint64_t job,
                           uint32_t instance,
                           struct error *err);

#endif
