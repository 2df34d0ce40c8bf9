/* lease_file.h - until when the shims may let runs with a lease go on.
 *
 *     WORK_DIR/lease    u64, boottime in ms, in the machine's byte order: when the last
 *                       heartbeat was sent that the leader confirmed (0: never); then the
 *                       boot id.  Shims read the number alone
 *
 * Nothing is synced: the number is worth something only until the host restarts, and the
 * boot id tells that.
 */
#ifndef AGENT_LEASE_FILE_H
#define AGENT_LEASE_FILE_H

#include "base/error.h"

#include <stdint.h>

struct lease_file {
    int fd;              /* -1: not open */
    uint64_t renewed_ms; /* as it stands there */
};

/* Makes the file when it is not there; forgets a number of another boot. */
int lease_file_open(struct lease_file *f, const char *work_dir, struct error *err);
void lease_file_close(struct lease_file *f);

/* One write of 8 bytes. */
int lease_file_renew(struct lease_file *f, uint64_t renewed_ms, struct error *err);

#endif
