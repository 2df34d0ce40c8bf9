/* looker.h - the agent's end of the process that looks at open files (look.h). */
#ifndef AGENT_LOOKER_H
#define AGENT_LOOKER_H

#include "agent/cgroup.h"
#include "agent/look.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

struct looker_options {
    const char *shim; /* path of triarch-shim */
    const char *work_dir;
    const struct cgroups *groups; /* of the runs */
    bool (*stopping)(void *arg);  /* asked now and then: give up */
    /* Of the request with that index, while the others are still looked at. */
    void (*answered)(void *arg, size_t index, const struct look_answer *answer);
    void *arg;
};

/* Ask for `count` of them, at most LOOK_REQUESTS, and wait.  Returns how many were answered; the
 * last one of them, if it took too long, by what was found until then.  An error, and 0: nobody
 * can be asked. */
size_t looker_ask(const struct looker_options *options,
                  const struct look_request *requests,
                  size_t count,
                  struct error *err);

#endif
