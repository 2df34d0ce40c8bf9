/* fsm_workload.h - entries of commands that make sense often enough to get somewhere, and
 * are wrong often enough to find what nobody thought of.
 *
 * Choices come from a seed, or from the bytes of a fuzzer until they are used up.  Each
 * seed favours other commands (swarm testing), so some runs are full of lost agents and
 * others never lose one.
 */
#ifndef TESTS_LIB_FSM_WORKLOAD_H
#define TESTS_LIB_FSM_WORKLOAD_H

#include "base/buffer.h"
#include "base/rng.h"
#include "raft_fsm/state.h"

#include <stdbool.h>
#include <stdint.h>

#define WORKLOAD_KINDS 24 /* command kinds, by number; 0: broken bytes */

struct workload {
    struct rng rng;
    struct bytes data; /* of a fuzzer; else empty and not used */
    bool fuzzed;
    uint64_t now_us;
    unsigned weights[WORKLOAD_KINDS];
    struct buffer packed;
};

void workload_init(struct workload *w, uint64_t seed);
void workload_init_fuzzed(struct workload *w, struct bytes data);
void workload_finish(struct workload *w);

/* True when a fuzzer's bytes are used up. */
bool workload_is_over(const struct workload *w);

/* A number below n > 0. */
uint64_t workload_choose(struct workload *w, uint64_t n);

/* Replace *entry by a new one.  `s` is the state it will meet. */
void workload_entry(struct workload *w, const struct state *s, struct buffer *entry);

#endif
