/* message_failure.h - what clients ask about failures and masters answer. */
#ifndef WIRE_MESSAGE_FAILURE_H
#define WIRE_MESSAGE_FAILURE_H

#include "wire/failure.h"
#include "wire/message_client.h"
#include "wire/pack.h"

#include <stdbool.h>
#include <stdint.h>

/* failures: the newest first.  `after` is not an id: it is given back as `next` was. */
struct failure_info {
    uint64_t id;
    struct failure_type type;
    uint64_t stamp_us, down_us;
    uint64_t retry_us;     /* the task is not placed before; 0: at once */
    uint64_t recovered_us; /* 0: not, or not yet */
    uint64_t job;          /* 0 of an agent */
    uint64_t agent;
    uint64_t next_agent; /* where a task went on; 0: nowhere yet, or of an agent */
    uint32_t instance, attempt;
    uint32_t moved; /* tasks of an agent */
    int32_t exit_code;
    enum task_state task_state; /* of the attempt, when it ended */
    enum failure_deed deed;
    enum failure_state state;
};
void failure_info_pack(struct list_writer *w, const struct failure_info *f);
bool failure_info_next(const struct list_result *l,
                       struct command_cursor *at,
                       struct failure_info *out);

/* failure_sums: of each type of which there was one, of all that ever were. */
struct failure_sum_info {
    struct failure_type type;
    uint64_t count, open, recovered;
    uint64_t recovery_us,
        longest_us; /* of the recovered ones: together, and the longest */
};
void failure_sum_info_pack(struct list_writer *w, const struct failure_sum_info *f);
bool failure_sum_info_next(const struct list_result *l,
                           struct command_cursor *at,
                           struct failure_sum_info *out);

/* For list_result_unpack(). */
void failure_info_read(struct unpack *u, void *out);
void failure_sum_info_read(struct unpack *u, void *out);

#endif
