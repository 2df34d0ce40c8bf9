/* script.h - what the crashed program does, and what its log and snapshot are after each step.
 *
 * A script is made from a seed.  It obeys the rules of the replica: nothing in a snapshot is
 * dropped from the log's end, our own snapshots hold what is durable, and installed ones are
 * newer than what is there.
 */
#ifndef TESTS_CRASH_SCRIPT_H
#define TESTS_CRASH_SCRIPT_H

#include "base/buffer.h"
#include "base/rng.h"
#include "wire/log.h"

#include <stdbool.h>
#include <stdint.h>

#define SCRIPT_CONFIGURATION "1 2 3"

enum step_kind {
    STEP_LOG,      /* submit operation `number` */
    STEP_SNAPSHOT, /* write snapshot `number` and make it current */
};

struct step {
    enum step_kind kind;
    uint64_t number; /* from 1 */
    bool wait;       /* first wait until all operations before are durable */
};

/* The log after an operation; `digest` is of its entries. */
struct log_image {
    uint64_t term, vote, base, last;
    uint32_t digest;
};

struct snapshot_image {
    uint64_t index, term;
    bool reset;
    uint32_t chunks;
    uint32_t crc; /* of its bytes */
};

struct script {
    struct step *steps;
    size_t step_count, step_capacity;
    struct log_op **ops;    /* [1 … op_count]; copied when submitted */
    struct log_image *logs; /* [0 … op_count]: after that operation; 0: founded */
    size_t op_count, op_capacity, log_capacity;
    struct snapshot_image *snapshots; /* [0 … snapshot_count]; 0: none */
    size_t snapshot_count, snapshot_capacity;
};

void script_make(struct script *s, struct rng *rng, unsigned steps);
void script_finish(struct script *s);

struct log_op *script_copy_op(const struct script *s, uint64_t number);
struct blob *script_chunk(uint64_t snapshot, uint32_t number);

uint32_t script_digest(uint32_t digest,
                       uint64_t index,
                       uint64_t term,
                       enum entry_kind kind,
                       struct bytes payload);

/* What recovery is to make of a log beside a snapshot. */
struct log_image script_settle(struct log_image log,
                               const struct snapshot_image *snapshot);

#endif
