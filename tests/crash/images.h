/* images.h - from a recorded run to the disks that a crash may leave, each put to the test.
 *
 * Before every sync of the run some subsets of what waits are tried: all, nothing, one sector
 * missing, one sector only, and random ones; all of them when there are few.  Every image is
 * opened by the real recovery in a process of its own.  Recovery writes too: for some images
 * it is recorded in turn, and crashed.
 */
#ifndef TESTS_CRASH_IMAGES_H
#define TESTS_CRASH_IMAGES_H

#include "base/rng.h"
#include "tests/crash/disk.h"

#include <stdint.h>

/* What the program had been promised, or had asked for, at one moment of the run. */
struct progress {
    bool found_asked, founded;
    uint64_t submitted, durable; /* operations of the log */
    uint64_t promoted, current;  /* snapshots, counted */
};

struct trace; /* file operations and moments of progress, in order */

struct trace *trace_create(void);
void trace_destroy(struct trace *t);
void trace_start(struct trace *t); /* record this process's file operations */
void trace_stop(void);

/* From any thread, between operations: this holds from here on. */
void trace_mark(struct trace *t, const struct progress *p);

/* Is what lies in `directory` all right?  In a process of its own; false fills `why`. */
typedef bool
images_check(void *arg, const char *directory, const struct progress *p, char why[512]);

struct images {
    const char *scratch; /* a directory for images, best in memory */
    images_check *check;
    void *arg;
    struct rng rng;
    bool lying;      /* a disk whose syncs do nothing: for the negative control */
    unsigned budget; /* about how many images */
    /* Results: */
    unsigned count;
    unsigned again; /* images of crashed recoveries */
    unsigned violations;
    char why[512]; /* of the first violation */
};

/* root: where the operations of the trace took place. */
void images_run(struct images *i, const struct trace *t, const char *root);

#endif
