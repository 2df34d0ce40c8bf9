/* job_set.h - job files of one job, or of several that wait for each other (spec 14).
 *
 *     jobs:
 *       - {name: extract, command: ./extract}
 *       - {name: load, command: ./load, after: [extract]}
 *
 * Names of `after` become positions, and the jobs get an order in which each waits only for
 * those before it: as they are submitted together. */
#ifndef WIRE_JOB_SET_H
#define WIRE_JOB_SET_H

#include "base/buffer.h"
#include "base/error.h"
#include "wire/job.h"

#include <stdbool.h>

struct job_set {
    struct job_spec *specs; /* owned, in the order of submission */
    uint32_t *place;        /* of each of them in the file, from 0 */
    size_t count;           /* 1 to LIMIT_SET_JOBS */
    bool is_list;           /* the file has a list, if of one */
};

/* As job_file_parse() (job_file.h).  A cycle is ERROR_INVALID and names its jobs. */
int job_set_parse(struct job_set *set,
                  const char *name,
                  struct bytes text,
                  struct error *err);
void job_set_finish(struct job_set *set); /* zeroed is fine */

#endif
