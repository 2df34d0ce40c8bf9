/* look.h - what tasks hold open that has no name any more: the process that looks.
 *
 * A task can make a look into /proc at it wait for ever (execve() holds a lock while it closes
 * files of a file system that does not answer), or make it long.  So a process of its own
 * looks, `triarch-shim --look WORK_DIR PLACE...`, and is killed when it takes too long.  It
 * reads requests from its input until that ends, then answers each in turn.
 */
#ifndef AGENT_LOOK_H
#define AGENT_LOOK_H

#include <stdint.h>

#define LOOK_OPTION   "--look"
#define LOOK_REQUESTS 128 /* of one process: they fit into any pipe */

struct look_request {
    uint64_t attempt;
    uint64_t shim_start; /* process.h */
    int64_t shim;        /* the process that stands over the run; 0: not known */
};

/* Told again with each file that is found, so that what was found counts when it is killed. */
struct look_answer {
    uint64_t attempt;
    uint64_t bytes; /* on disk */
    uint64_t files;
    uint64_t done; /* 1: this is the last one for the attempt */
};

int look_main(int argc, char **argv);

#endif
