/* settings.h - reads a file of `name = value` lines.
 *
 * Blank lines and lines that begin with # are skipped; spaces around name and value are
 * dropped.  What is often meant otherwise is refused rather than taken as part of a
 * value: sections, quotes, and comments behind a value.  (inih is not used: as packaged
 * it cuts lines at 200 bytes, which a list of five masters can pass, and it cuts values
 * at " ;".)
 */
#ifndef BASE_SETTINGS_H
#define BASE_SETTINGS_H

#include "base/error.h"

/* Called for each setting; where is "FILE:LINE".  Not 0 ends the reading with that
 * code. */
typedef int settings_fn(void *user,
                        const char *where,
                        const char *name,
                        const char *value,
                        struct error *err);

/* 0, ERROR_IO, ERROR_USAGE with "FILE:LINE: …", or what the function returned. */
int settings_read(const char *path,
                  settings_fn *function,
                  void *user,
                  struct error *err);

#endif
