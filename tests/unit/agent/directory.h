/* directory.h - a directory of users that may hang.
 *
 * Whoever is asked for is who the test is.  Names that begin with "slow" wait until the test
 * lets them go; "nobody-here" does not exist, and of "unsure" nobody can say
 * whether it does.
 */
#ifndef TESTS_UNIT_AGENT_DIRECTORY_H
#define TESTS_UNIT_AGENT_DIRECTORY_H

#include "agent/lookups.h"

void directory_find(const char *name, struct found_user *out);
void directory_let_go(void); /* those that wait, and all later ones */
/* As soon as so many are waiting. */
void directory_wait_for(unsigned waiting);

#endif
