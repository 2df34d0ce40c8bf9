/* task.c - names of states and reasons. */
#include "wire/task.h"

#include "base/limits.h"
#include "base/text.h"

static const char UNKNOWN[] = "UNKNOWN"; /* a number of a newer version */

const char *task_state_name(enum task_state state)
{
    switch (state) {
#define X(number, name, text) \
    case TASK_##name:         \
        return text;
        TASK_STATES(X)
#undef X
    case TASK_STATE_COUNT:
        break;
    }
    return UNKNOWN;
}

const char *task_reason_name(enum task_reason reason)
{
    switch (reason) {
#define X(number, name, text) \
    case TASK_REASON_##name:  \
        return text;
        TASK_REASONS(X)
#undef X
    case TASK_REASON_COUNT:
        break;
    }
    return UNKNOWN;
}

const char *task_health_name(enum task_health health)
{
    switch (health) {
#define X(number, name, text) \
    case HEALTH_##name:       \
        return text;
        TASK_HEALTHS(X)
#undef X
    case TASK_HEALTH_COUNT:
        break;
    }
    return UNKNOWN;
}

const char *job_state_name(enum job_state state)
{
    switch (state) {
#define X(number, name, text) \
    case JOB_##name:          \
        return text;
        JOB_STATES(X)
#undef X
    case JOB_STATE_COUNT:
        break;
    }
    return UNKNOWN;
}

const char *expectation_name(enum expectation from)
{
    switch (from) {
#define X(number, name, text) \
    case EXPECTED_OF_##name:  \
        return text;
        EXPECTATIONS(X)
#undef X
    case EXPECTATION_COUNT:
        break;
    }
    return UNKNOWN;
}

bool task_name_parse(const char *text, uint64_t *job, uint32_t *instance)
{
    uint64_t j, i = 0;

    if (!text_take_uint(&text, UINT64_MAX, &j) || j == 0)
        return false;
    if (*text == '.') {
        text++;
        if (!text_take_uint(&text, LIMIT_TASKS_PER_JOB - 1, &i))
            return false;
    }
    if (*text != '\0')
        return false;
    *job = j;
    *instance = (uint32_t)i;
    return true;
}
