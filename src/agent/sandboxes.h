/* sandboxes.h - how long the files of ended runs stay.
 *
 * A sandbox outlives its run, so that its log can be read.  The newest LIMIT_SANDBOXES_KEPT stay,
 * fewer when the disk gets full; a thread removes the oldest, because that can take long.
 */
#ifndef AGENT_SANDBOXES_H
#define AGENT_SANDBOXES_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sandboxes;

struct sandboxes_options {
    const char *work_dir;
    size_t keep; /* 0: LIMIT_SANDBOXES_KEPT */
    /* True for a run that has not ended: its sandbox is not to be removed. */
    bool (*is_live)(void *context, uint64_t attempt);
    void *context;
};

/* Takes what earlier agents left in WORK_DIR/runs. */
int sandboxes_open(struct sandboxes **out,
                   const struct sandboxes_options *options,
                   struct error *err);
void sandboxes_close(struct sandboxes *s); /* NULL is fine */

/* The run ended and is acknowledged. */
void sandboxes_add(struct sandboxes *s, uint64_t attempt);

#endif
