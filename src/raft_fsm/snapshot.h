/* snapshot.h - what the walk of a snapshot needs to hear of a change. */
#ifndef RAFT_FSM_SNAPSHOT_H
#define RAFT_FSM_SNAPSHOT_H

#include "raft_fsm/image.h"

#include <stdbool.h>

struct snapshot_walk;

#define SNAPSHOT_MAGIC        0x4e535254u /* "TRSN" in the bytes */
#define SNAPSHOT_VERSION      1
#define SNAPSHOT_HEADER_BYTES 21 /* magic, version, index, term */

/* True if the walk still has to emit the object as it is now. */
bool snapshot_wants(const struct snapshot_walk *walk, const struct object *o);
/* Keep this image until the walk comes by. */
void snapshot_save(struct snapshot_walk *walk,
                   const struct object *o,
                   const struct image *image);

#endif
