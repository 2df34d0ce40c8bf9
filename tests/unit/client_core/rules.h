/* rules.h - a client of three masters, and what the tests of its rules ask of it. */
#ifndef TESTS_UNIT_CLIENT_CORE_RULES_H
#define TESTS_UNIT_CLIENT_CORE_RULES_H

#include "fixture.h"

extern struct fixture f;
/* The master that is asked first, and the others. */
extern uint32_t master_a, master_b, master_c;

/* Finds out which they are, after the first request. */
void name_masters(void);
/* One request under way, nobody connected yet. */
void begin(void);
/* As above, and `master_a` leads and has the request. */
void begin_asked(void);
void end(void);

/* The id of what was sent last. */
uint32_t last_id(void);
/* How often masters were connected to, all together. */
unsigned all_connects(void);
/* The only request has ended so. */
void assert_finished(enum error_code code, const char *text_part);

#endif
