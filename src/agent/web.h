/* web.h - HTTP of an agent: /health, /metrics (Prometheus text), and the log files of tasks.
 *
 *     GET /tasks/ATTEMPT/stdout      and stderr; parameters as net/http.h has them
 *
 * A log can be read while its sandbox is kept, also after its run was acknowledged and
 * forgotten.  A followed one ends when the run has ended.
 */
#ifndef AGENT_WEB_H
#define AGENT_WEB_H

#include "agent/agent.h"

struct web;

int web_start(struct web **out, struct agent *a, struct error *err);
void web_stop(struct web *w); /* NULL is fine */
uint16_t web_port(const struct web *w);

#endif
