/* containers.h - what an agent does about containers itself, by triarch-contain. */
#ifndef AGENT_CONTAINERS_H
#define AGENT_CONTAINERS_H

#include "base/error.h"
#include "base/limits.h"

#include <stdbool.h>
#include <stdint.h>

/* Do they work here?  err: why not, or ERROR_NONE.  contain: its path, or NULL. */
void containers_probe(const char *contain, const char *work_dir, struct error *err);

/* The last word of the first line that `PROGRAM --version` says; false if it is not there. */
#define CONTAINERS_VERSION 32
bool containers_version(const char *program, char out[CONTAINERS_VERSION]);

/* The end of the names of bundles that are to be removed. */
#define CONTAINERS_GONE ".gone"

/* Remove, in the background and one after the other, bundles of attempts that are not alive. */
void containers_clean(const char *contain,
                      const char *work_dir,
                      bool (*is_alive)(void *user, uint64_t attempt),
                      void *user);

#endif
