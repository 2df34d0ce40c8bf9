/* transfers.h - snapshots on their way to and from other masters (joint 13).
 *
 * A transfer runs beside the control connections.  What arrives is staged as a draft in the
 * store; when it is whole and verified the replica hears of it and says whether to install it.
 */
#ifndef MASTER_TRANSFERS_H
#define MASTER_TRANSFERS_H

#include "master/master.h"
#include "store/snapshots.h"

struct transfers;

struct transfers *transfers_create(struct master *m);
void transfers_destroy(struct transfers *t); /* NULL is fine */

void transfers_send(struct transfers *t, uint64_t peer); /* the current snapshot */
void transfers_promote(struct transfers *t,
                       uint64_t from); /* the staged one, for good */

/* A connection whose hello has the role of a snapshot. */
void transfers_adopt(struct transfers *t, struct conn *c, const struct hello *hello);

/* From the store: about drafts and chunks of transfers; and that it has room again. */
void transfers_event(struct transfers *t, const struct snapshot_event *event);
void transfers_room(struct transfers *t);

#endif
