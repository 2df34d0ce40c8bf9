/* job_file.h - job files, YAML or JSON, as job specs.
 *
 *     name: hash-headers          # 1 to 255 bytes
 *     instances: 300              # 1
 *     priority: 0                 # -1000 to 1000, higher first
 *     command: sha256sum "$FILE"  # run by /bin/sh -c; or argv: [sha256sum, /etc/hosts]
 *     env: {FILE: /etc/hosts}
 *     resources: {cpus: 0.5, mem: 64, disk: 0, gpus: 0}   # mem and disk in MiB
 *     kill_grace: 5s              # a number is seconds; also 500ms, 2m
 *
 * and more: docs/spec/9-jobs.md has every field.
 *
 * Both formats become one JSON value, and one validator reads that: HTTP bodies and tests
 * use it too.  What is not given has its default (job.h).  Errors name the place and what to
 * give instead: "job.yaml:7: instnces: unknown field; did you mean instances?". */
#ifndef WIRE_JOB_FILE_H
#define WIRE_JOB_FILE_H

#include "base/buffer.h"
#include "base/error.h"
#include "wire/field_path.h"
#include "wire/job.h"

#include <jansson.h>

/* Fill and check *spec.  On failure it is finished, and *path (NULL is fine) says where in
 * the value the error is. */
int job_spec_from_json(struct job_spec *spec,
                       const json_t *value,
                       struct field_path *path,
                       struct error *err);

/* Read the text of a job file.  A name that ends in .json is JSON, .yaml or .yml YAML; else a
 * text that begins with '{' is JSON.  On failure *spec is finished. */
int job_file_parse(struct job_spec *spec,
                   const char *name,
                   struct bytes text,
                   struct error *err);

/* Puts the name of the file, and the line of `path` in it if there is one, before an error. */
int job_file_locate(const char *name,
                    struct bytes text,
                    const struct field_path *path,
                    struct error *err);

#endif
