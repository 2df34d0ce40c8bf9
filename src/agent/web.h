/* web.h - HTTP of an agent: /health, /metrics (Prometheus text), and what tasks wrote.
 *
 *     GET /tasks/ATTEMPT/stdout      and stderr; parameters as net/http.h has them
 *     GET /tasks/ATTEMPT/files/PATH  a file of its sandbox, in the same way, or a directory as
 *                                    JSON (task_files.h; cursor=N); as=list or as=bytes: one of
 *                                    them, also of a file, or an error
 *
 *     GET /tasks/ATTEMPT/usage       what it uses, or used, as JSON
 *     GET /usage?after=ATTEMPT       that of all that run
 *     GET /attempts/JOB.INSTANCE     the attempts of it that have a sandbox here; to=NUMBER
 *
 * They can be read while the sandbox is kept, also after its run was acknowledged and
 * forgotten.  A followed log ends when the run has ended.
 */
#ifndef AGENT_WEB_H
#define AGENT_WEB_H

#include "agent/agent.h"
#include "net/http.h"

#include <jansson.h>

struct web;

int web_start(struct web **out, struct agent *a, struct error *err);
void web_stop(struct web *w); /* NULL is fine */
uint16_t web_port(const struct web *w);

/* web_attempts.c: which attempts of a task are here. */
void web_attempts(struct agent *a, struct http_request *r);
/* web_task.c: answer what is below /tasks/. */
void web_task(struct agent *a, struct http_request *r);
/* web_usage.c: of one run, also of one that has ended; and of all that run, in pages. */
void web_task_usage(struct agent *a, struct http_request *r, uint64_t attempt);
void web_usage(struct agent *a, struct http_request *r);
/* Takes value. */
void web_answer_json(struct http_request *r, json_t *value);

#endif
