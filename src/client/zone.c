/* zone.c - time zones, as this host knows them. */
#include "client/zone.h"

#include "base/text.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define ZONES "/usr/share/zoneinfo"
#define NEXT  "next at " /* as masters say it */
#define SLOT  "2026-03-28T01:30:00Z"

static bool is_known(const char *zone)
{
    char path[PATH_MAX];
    struct stat file;

    snprintf(path, sizeof(path), ZONES "/%s", zone);
    return stat(path, &file) == 0 && S_ISREG(file.st_mode);
}

/* Masters accept any name, and cannot start what they do not know: a wrong one is most likely
 * seen here, where the tz database is the same or none. */
int zone_check(const char *zone, struct error *err)
{
    if (access(ZONES, F_OK) != 0 || is_known(zone))
        return 0;
    return error_set(err,
                     ERROR_INVALID,
                     "there is no '%s' in " ZONES
                     "; give a file of it, as Europe/Berlin",
                     zone);
}

/* The C library knows one zone at a time. */
static void to_local(struct tm *local, uint64_t stamp_us, const char *zone)
{
    time_t seconds = (time_t)(stamp_us / 1000000);
    const char *before = getenv("TZ");
    char kept[PATH_MAX], name[PATH_MAX];

    snprintf(kept, sizeof(kept), "%s", before == NULL ? "" : before);
    snprintf(name, sizeof(name), ":%s", zone);
    setenv("TZ", name, 1);
    tzset();
    localtime_r(&seconds, local);
    if (before == NULL)
        unsetenv("TZ");
    else
        setenv("TZ", kept, 1);
    tzset();
}

bool zone_has_slot(struct bytes why)
{
    return why.size >= strlen(NEXT SLOT) && memcmp(why.data, NEXT, strlen(NEXT)) == 0;
}

void zone_append_slot(struct buffer *out, struct bytes why, const char *zone)
{
    char slot[sizeof(SLOT)], text[TEXT_TIME_MAX];
    uint64_t stamp_us;
    struct tm local;

    if (!zone_has_slot(why) || zone == NULL || !is_known(zone)) {
        buffer_append(out, why.data, why.size);
        return;
    }
    memcpy(slot, why.data + strlen(NEXT), strlen(SLOT));
    slot[strlen(SLOT)] = '\0';
    buffer_append(out, why.data, strlen(NEXT SLOT));
    if (text_parse_time(&stamp_us, slot, NULL) == 0) {
        to_local(&local, stamp_us, zone);
        strftime(text, sizeof(text), "%a %H:%M", &local);
        buffer_printf(out, " (%s in %s)", text, zone);
    }
    buffer_append(out, why.data + strlen(NEXT SLOT), why.size - strlen(NEXT SLOT));
}
