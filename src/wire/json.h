/* json.h - what people and programs are shown of jobs, tasks, agents and masters, as JSON.
 *
 * The names of the fields are stable: scripts read them.  cpus are numbers with at most three
 * decimals, mem and disk are MiB; times are RFC 3339 in UTC or null; ids of jobs, attempts and
 * agents are numbers, a task's is the text "JOB.INSTANCE".  What does not apply is null.
 * Texts that came from outside are made printable.  Each function gives a new reference. */
#ifndef WIRE_JSON_H
#define WIRE_JSON_H

#include "base/buffer.h"
#include "base/error.h"
#include "wire/message_client.h"
#include "wire/message_failure.h"
#include "wire/message_role.h"

#include <jansson.h>

/* One element of `status --json`; "tasks" counts by state, without zeroes. */
json_t *json_job_summary(const struct job_summary *j);

/* `status JOB --json`: as above, but "tasks" is the list given, and "spec" is that of the job as
 * a job file has it (the references are taken). */
json_t *json_job(const struct job_summary *j, json_t *tasks, json_t *spec);
json_t *json_task(uint64_t job, const struct task_info *t);

/* One element of `agents --json`.  NULL with an error if the spec in it does not decode. */
json_t *json_agent(const struct agent_info *a, struct error *err);

/* One element of `masters --json`.  A master whose role is "unreachable" has an id and an
 * address; the rest is null. */
json_t *json_master(const struct master_info *m);

/* One element of `roles --json`.  NULL with an error if the spec in it does not decode. */
json_t *json_role(const struct role_info *r, struct error *err);

/* One element of `failures --json`, and of `failures --sum --json`.  Times to recover are seconds.
 */
json_t *json_failure(const struct failure_info *f);
json_t *json_failure_sum(const struct failure_sum_info *f);

/* Amounts, for other writers: cpus and the like, MiB, and a map of cpus, mem, disk and gpus. */
json_t *json_thousandths(uint64_t value);
json_t *json_mib(uint64_t bytes);
json_t *json_resources(const struct resources *r);

/* One document, indented, with a newline at its end. */
void json_write(const json_t *value, struct buffer *out);

#endif
