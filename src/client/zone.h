/* zone.h - time zones, as this host knows them. */
#ifndef CLIENT_ZONE_H
#define CLIENT_ZONE_H

#include "base/buffer.h"
#include "base/error.h"

#include <stdbool.h>

/* ERROR_INVALID if there is a tz database here and the zone is not in it. */
int zone_check(const char *zone, struct error *err);

/* A schedule says when its next slot is. */
bool zone_has_slot(struct bytes why);
/* What it says, and when that is in its own zone: "next at 2026-03-28T01:30:00Z (Sat 02:30 in
 * Europe/Berlin)".  As it is where the zone is not known, or none (NULL). */
void zone_append_slot(struct buffer *out, struct bytes why, const char *zone);

#endif
