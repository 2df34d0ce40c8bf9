/* job_diff.h - what one job says otherwise than another one, for people. */
#ifndef WIRE_JOB_DIFF_H
#define WIRE_JOB_DIFF_H

#include "base/buffer.h"
#include "wire/job.h"

/* Appends the fields of a job file that differ, in the order of their names, as
 * "instances 3 -> 5, resources.cpus 1.0 -> 2.0, env"; nothing when both say the same.  Values that are
 * long or have parts of their own are only named. */
void job_spec_differences(const struct job_spec *from,
                          const struct job_spec *to,
                          struct buffer *out);

#endif
