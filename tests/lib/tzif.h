/* tzif.h - time zones for tests: files of one rule, as RFC 8536 has them. */
#ifndef TESTS_LIB_TZIF_H
#define TESTS_LIB_TZIF_H

#include "base/buffer.h"

/* Berlin, Sydney, and one without summer, by the rules of 2026. */
#define TZ_BERLIN "CET-1CEST,M3.5.0,M10.5.0/3"
#define TZ_SYDNEY "AEST-10AEDT,M10.1.0,M4.1.0/3"
#define TZ_INDIA  "IST-5:30"

/* Without transitions: the rule holds from the beginning. */
void tzif_of_rule(struct buffer *out, const char *rule);

#endif
