/* sandboxes.h - how long the files of ended runs stay.
 *
 * A sandbox outlives its run, so that its log can be read.  A thread removes those that ended
 * longest ago, one by one and only as far as needed: beyond LIMIT_SANDBOXES_KEPT, older than
 * keep_for_ms, or while less than keep_free_percent of the disk is free.  For the sake of the
 * disk none goes that is younger than LIMIT_SANDBOX_YOUNG_MS, until hardly anything is free:
 * somebody else may have filled it, and then removing helps nobody.  What cannot be removed is
 * tried again now and then.
 */
#ifndef AGENT_SANDBOXES_H
#define AGENT_SANDBOXES_H

#include "agent/attempt_names.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sandboxes;

struct sandboxes_options {
    const char *work_dir;
    size_t keep;          /* 0: LIMIT_SANDBOXES_KEPT */
    uint64_t keep_for_ms; /* after the end of the run; 0: for ever */
    unsigned keep_free_percent;
    uint64_t again_ms; /* until what could not be removed is tried again; 0: a minute */
    /* NULL: of the file system that work_dir is on. */
    unsigned (*disk_free_percent)(const char *work_dir);
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

/* The id of an attempt whose sandbox is here, also while it runs; or 0. */
uint64_t sandboxes_find(const struct sandboxes *s, const struct attempt_name *name);

/* Those of which something could not be removed. */
size_t sandboxes_stuck(struct sandboxes *s);

#endif
