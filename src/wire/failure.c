/* failure.c - the words of failure records. */
#include "wire/failure.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>

static const char UNKNOWN[] = "unknown"; /* a number of a newer version, too */

const char *failure_deed_name(enum failure_deed deed)
{
    switch (deed) {
#define X(number, name, text) \
    case FAILURE_##name:      \
        return text;
        FAILURE_DEEDS(X)
#undef X
    case FAILURE_DEED_COUNT:
        break;
    }
    return UNKNOWN;
}

const char *failure_state_name(enum failure_state state)
{
    switch (state) {
#define X(number, name, text) \
    case FAILURE_IS_##name:   \
        return text;
        FAILURE_STATES(X)
#undef X
    case FAILURE_STATE_COUNT:
        break;
    }
    return UNKNOWN;
}

static const char *without(const char *text, const char *prefix)
{
    size_t size = strlen(prefix);

    return strncmp(text, prefix, size) == 0 ? text + size : text;
}

/* The name of the reason, without what all types of its kind have in common. */
void failure_type_name(char out[FAILURE_TYPE_MAX], struct failure_type type)
{
    const char *name = without(task_reason_name(type.reason), "REASON_");
    size_t size = 0;

    name = without(name, type.of_agent ? "AGENT_" : "COMMAND_");
    if (!type.of_agent)
        name = without(name, "TASK_");
    if (type.reason == TASK_REASON_NONE)
        name = UNKNOWN;
    for (; name[size] != '\0' && size + 1 < FAILURE_TYPE_MAX; size++)
        out[size] = name[size] == '_' ? '-' : (char)tolower((unsigned char)name[size]);
    out[size] = '\0';
}

static bool is_named(struct failure_type type, const char *name)
{
    char text[FAILURE_TYPE_MAX];

    failure_type_name(text, type);
    return strcmp(text, name) == 0;
}

bool failure_type_parse(struct failure_type *type, const char *name)
{
    static const enum task_reason OF_AGENTS[] = {TASK_REASON_AGENT_UNREACHABLE,
                                                 TASK_REASON_AGENT_GONE};

    for (int r = 0; r < TASK_REASON_COUNT; r++) {
        *type = (struct failure_type){false, (enum task_reason)r};
        if (is_named(*type, name))
            return true;
    }
    for (size_t i = 0; i < sizeof(OF_AGENTS) / sizeof(OF_AGENTS[0]); i++) {
        *type = (struct failure_type){true, OF_AGENTS[i]};
        if (is_named(*type, name))
            return true;
    }
    return false;
}
