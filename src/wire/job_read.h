/* job_read.h - reading the values of a job file (private to job_file.c, job_hint.c,
 * job_read*.c and match_read.c).
 *
 * A map is a table of fields: a name and a function that reads the value.  Each read_
 * function returns 0 or the error that it filled; after an error the path stays where the
 * value is. */
#ifndef WIRE_JOB_READ_H
#define WIRE_JOB_READ_H

#include "wire/field_path.h"
#include "wire/job.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* Jobs that are read together. */
struct job_names {
    const char **of; /* NULL where there is none that could be meant */
    size_t count;
};

struct job_reader {
    struct job_spec *spec;
    const struct job_names *names; /* NULL: it is read alone */
    struct field_path path; /* of the value being read, or of the one that was wrong */
    struct error *err;
};

struct job_field {
    const char *name;
    /* `part` is what read_fields() was given: the part of the spec that the map fills. */
    int (*read)(struct job_reader *r, const json_t *value, void *part);
};

/* A field that one of the plain readers below reads into a member of its part. */
#define JOB_FIELD(function, reader, type, member)                              \
    static int function(struct job_reader *r, const json_t *value, void *part) \
    {                                                                          \
        return reader(r, value, &((type *)part)->member);                      \
    }

typedef int job_read_fn(struct job_reader *r, const json_t *value, void *part);

/* Every member of a map by its function; tables end with a NULL name.  `hint` says what to
 * give instead of a value that is no map. */
int job_read_fields(struct job_reader *r,
                    const struct job_field *fields,
                    const json_t *map,
                    const char *hint,
                    void *part);
/* Every element of a list. */
int job_read_list(struct job_reader *r,
                  const json_t *list,
                  const char *hint,
                  job_read_fn *read,
                  void *part);
bool job_field_is_known(const struct job_field *fields, const char *name);

/* The errors of job_hint.c; `hint` says what to give instead: of any value, of one in the
 * place of a number or of a text, and of a field that the map does not have. */
int job_wrong_type(struct job_reader *r, const json_t *value, const char *hint);
int job_wrong_number(struct job_reader *r, const json_t *value, const char *hint);
int job_wrong_text(struct job_reader *r, const json_t *value, const char *hint);
int job_unknown_field(struct job_reader *r,
                      const struct job_field *fields,
                      const char *key);
const char *job_type_name(const json_t *value);

#define JOB_MIB_HINT        "a number of MiB, as 1024"
#define JOB_NUMBER_TEXT_MAX 32
/* A number as people write it: exact for up to 15 digits, with an exponent if it has more. */
bool job_number_text(const json_t *value, char text[JOB_NUMBER_TEXT_MAX]);
/* The same; what is no number, or has so many digits, is the error. */
int job_read_number(struct job_reader *r,
                    const json_t *value,
                    const char *hint,
                    char text[JOB_NUMBER_TEXT_MAX]);

int job_read_integer(struct job_reader *r,
                     const json_t *value,
                     json_int_t min,
                     json_int_t max,
                     json_int_t *out);
int job_read_bool(struct job_reader *r, const json_t *value, bool *out);
/* An owned copy, in place of what was there. */
int job_read_text(struct job_reader *r, const json_t *value, char **out);
/* "5s", or a number of seconds. */
int job_read_time(struct job_reader *r, const json_t *value, uint64_t *ms);
int job_read_mib(struct job_reader *r, const json_t *value, uint64_t *bytes);
/* "31000", "31000-31009" or a number. */
int job_read_range(struct job_reader *r, const json_t *value, struct port_range *range);

/* One of these strings is /bin/sh -c TEXT, or each element of a list; add is called with
 * each. */
typedef void job_add_arg_fn(void *part, const char *arg);
int job_read_command(struct job_reader *r,
                     const json_t *value,
                     job_add_arg_fn *add,
                     void *part);
int job_read_argv(struct job_reader *r,
                  const json_t *value,
                  job_add_arg_fn *add,
                  void *part);
/* Refuses a map that has both. */
int job_read_one_command(struct job_reader *r, const json_t *map);

/* A whole job into r->spec, with every rule.  On failure the spec is finished. */
int job_read_job(struct job_reader *r, const json_t *value);

/* The text of a job file as a value, or NULL with the error. */
json_t *job_file_load(const char *name, struct bytes text, struct error *err);

/* Of job_read_kind.c. */
job_read_fn job_read_kind;
job_read_fn job_read_after;
job_read_fn job_read_schedule;
job_read_fn job_read_parameters;

/* The parts of a job, of job_read_parts.c. */
job_read_fn job_read_image;
job_read_fn job_read_ports;
job_read_fn job_read_custom;
job_read_fn job_read_artifacts;
job_read_fn job_read_volumes;
job_read_fn job_read_retry; /* part: struct job_retry */
job_read_fn job_read_health;
job_read_fn job_read_readiness;
job_read_fn job_read_on_disconnect;
job_read_fn job_read_exclusive;

/* Of match_read.c. */
job_read_fn job_read_constraints;
job_read_fn job_read_affinities;
job_read_fn job_read_spread;
job_read_fn job_read_anti_affinity;

#endif
