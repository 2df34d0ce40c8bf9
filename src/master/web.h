/* web.h - HTTP of a master: /health and /metrics (Prometheus text).
 *
 * The Mesos API will stand on the same listener.
 */
#ifndef MASTER_WEB_H
#define MASTER_WEB_H

#include "master/master.h"

struct web;

int web_start(struct web **out, struct master *m, struct error *err);
void web_stop(struct web *w); /* NULL is fine */

#endif
