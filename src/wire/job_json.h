/* job_json.h - a job spec as a job file's JSON: read again (job_file.h) it gives the same spec.
 *
 * What is as it is where a file says nothing is left out, but for resources.  Amounts of memory
 * and disk are to a thousandth of a MiB; bytes that are not UTF-8 are replaced. */
#ifndef WIRE_JOB_JSON_H
#define WIRE_JOB_JSON_H

#include "wire/job.h"

#include <jansson.h>

/* A new reference. */
json_t *job_spec_to_json(const struct job_spec *spec);

#endif
