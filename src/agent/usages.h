/* usages.h - what runs use: sampled, kept for a while, told.
 *
 * A thread reads each run every USAGE_INTERVAL_MS, not all at once: from its control group, or
 * where there are none from /proc, best effort.  The newest USAGE_SAMPLES are kept, less than a
 * KiB for each run.  What a run used in all is kept in WORK_DIR/times/ATTEMPT.usage when it has
 * ended, as long as its sandbox; but not if it was never sampled and used next to nothing.
 */
#ifndef AGENT_USAGES_H
#define AGENT_USAGES_H

#include "agent/usage_proc.h"
#include "base/error.h"
#include "wire/message_usage.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define USAGE_INTERVAL_MS 5000u
#define USAGE_SAMPLES     20u
#define USAGE_TELL_MS     2500u /* between two words to the leader */

struct usage_sample {
    uint64_t at_us; /* wall clock */
    uint64_t cpu_us;
    uint64_t memory_bytes;
    uint32_t pids;
};

/* One run, copied. */
struct usage_record {
    uint64_t attempt;
    uint64_t ended_us; /* wall clock; 0: it runs */
    uint64_t at_us;    /* of the last sample; 0: there is none */
    struct usage_reading last;
    uint32_t cpu_milli; /* between the last two samples */
    uint32_t sample_count;
    struct usage_sample samples[USAGE_SAMPLES]; /* the oldest first */
};

struct usages;

struct usages_options {
    const char *work_dir;
    unsigned interval_ms; /* 0: USAGE_INTERVAL_MS */
    /* Of the run's control group: 0, or -ENOENT.  NULL: there are none. */
    int (*read_group)(void *context, uint64_t attempt, struct usage_reading *out);
    void *context;
};

int usages_open(struct usages **out,
                const struct usages_options *options,
                struct error *err);
void usages_close(struct usages *u); /* NULL is fine */

/* It runs, under this shim (0: not known); also when it is started again. */
void usages_watch(struct usages *u, uint64_t attempt, pid_t shim);
/* It ended, perhaps for now; used: by this start of it, or NULL. */
void usages_leave(struct usages *u, uint64_t attempt, const struct usage_reading *used);

/* False: nothing is known of it. */
bool usages_find(struct usages *u, uint64_t attempt, struct usage_record *out);
/* Those that run and have a sample, above `after`, ascending, at most `most`; *count of them,
 * which the caller frees. */
struct usage_report *
usages_reports(struct usages *u, uint64_t after, size_t most, size_t *count);

#endif
