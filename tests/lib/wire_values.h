/* wire_values.h - values of src/wire for tests: fixed ones, and random ones from a
 * seed.
 *
 * Random values keep the rules of their type and touch its limits now and then. Strings
 * in them are owned; finish specs with their own finish function. */
#ifndef TESTS_LIB_WIRE_VALUES_H
#define TESTS_LIB_WIRE_VALUES_H

#include "base/buffer.h"
#include "base/rng.h"
#include "wire/agent.h"
#include "wire/command.h"
#include "wire/job.h"

#include <stdbool.h>

/* sample_ values are the same for ever: tests/golden has their bytes. */
void sample_job_spec(struct job_spec *spec);
/* The same with every field that may be left out; exclusive. */
void full_job_spec(struct job_spec *spec);
/* And with what came after that. */
void newest_job_spec(struct job_spec *spec);
/* And one that does not take any agent. */
void choosy_job_spec(struct job_spec *spec);
/* And one whose tasks begin all at once. */
void gang_job_spec(struct job_spec *spec);
void sample_agent_spec(struct agent_spec *spec);
/* Likewise with what the first version did not have. */
void full_agent_spec(struct agent_spec *spec);

void random_job_spec(struct rng *r, struct job_spec *spec);
void random_agent_spec(struct rng *r, struct agent_spec *spec);

bool job_specs_equal(const struct job_spec *a, const struct job_spec *b);
bool agent_specs_equal(const struct agent_spec *a, const struct agent_spec *b);

/* A number of any size: each count of bits is as likely as another. */
uint64_t random_number(struct rng *r);
/* Up to `max` bytes, any byte but zero; in a ring of static buffers. */
struct bytes random_bytes(struct rng *r, size_t max);

/* Room for the elements of one place or task_update. */
struct command_elements {
    struct placement placements[64];
    struct task_update updates[64];
};
/* A command of this kind.  Specs in it are packed into *spec; elements lie in
 * *elements. */
void sample_command(enum command_kind kind,
                    struct command *c,
                    struct command_elements *elements,
                    struct buffer *spec);
void random_command(struct rng *r,
                    enum command_kind kind,
                    struct command *c,
                    struct command_elements *elements,
                    struct buffer *spec);
/* True if `decoded` says what `c` said when it was packed. */
bool commands_equal(const struct command *c, const struct command *decoded);

#endif
