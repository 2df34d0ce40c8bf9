/* turn.h - whose turn it is, and the rank of a job in its lane, as numbers
 * (docs/spec/12-roles.md: lower comes first).
 *
 * Source of shares: Ghodsi et al., Dominant Resource Fairness, NSDI 2011, section 3.
 */
#ifndef SCHED_TURN_H
#define SCHED_TURN_H

#include "raft_fsm/state.h"
#include "sched/fit_tree.h"

#include <stdint.h>

#define SHARE_ONE  1000000000000ull /* of all there is of a kind */
#define SHARE_BITS 52
#define SHARE_MAX  ((1ull << SHARE_BITS) - 1)

/* Of one task or many, in 10^-12; of custom resources those count that the role bounds, so
 * however many names there are, this looks at a few. */
uint64_t dominant_share(const struct role_spec *spec,
                        const struct use *used,
                        const struct use *total);
/* The same of what is used and planned when that was the share until one more task of this
 * job was planned. */
uint64_t share_with(uint64_t share,
                    const struct role_spec *spec,
                    const struct use *used,
                    const struct use *planned,
                    const struct use *total,
                    const struct job *j);
/* Times 1000, divided by the weight in thousandths; at most SHARE_MAX. */
uint64_t weighted_share(uint64_t share, uint32_t weight);

/* Whether it is owed, then priority, then share. */
uint64_t role_turn(const struct role_spec *spec, bool owed, uint64_t share);

/* The second part is the id. */
struct fit_key job_rank(const struct role_spec *spec, const struct job *j);

#endif
