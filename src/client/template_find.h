/* template_find.h - the job to dispatch that a user means by an id or a name. */
#ifndef CLIENT_TEMPLATE_FIND_H
#define CLIENT_TEMPLATE_FIND_H

#include "client/session.h"

/* By id, which need not be there, or by name if one job alone has it of those of which jobs are
 * made.  ERROR_NOT_FOUND or ERROR_CONFLICT says what to type instead. */
int template_find(struct session *s,
                  const char *text,
                  uint64_t *job,
                  struct error *err);

#endif
