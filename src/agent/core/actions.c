/* actions.c - the list of what is to be done.
 *
 * Frames and texts are appended to one buffer, keys and values of records to another.
 * Both move while they grow; so actions hold offsets and records sizes until the list
 * is complete, then agent_actions_settle() makes them pointers.
 */
#include "agent/core/core_internal.h"
#include "base/mem.h"
#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>

void agent_actions_finish(struct agent_actions *actions)
{
    mem_free(actions->list);
    mem_free(actions->records);
    buffer_finish(&actions->bytes);
    buffer_finish(&actions->record_bytes);
    *actions = (struct agent_actions){0};
}

void agent_actions_clear(struct agent_actions *a)
{
    a->count = 0;
    a->record_count = 0;
    buffer_clear(&a->bytes);
    buffer_clear(&a->record_bytes);
}

struct agent_action *agent_actions_add(struct agent_actions *a,
                                       enum agent_action_kind kind)
{
    struct agent_action *action;

    MEM_GROW(a->list, a->capacity, a->count + 1);
    action = &a->list[a->count++];
    *action = (struct agent_action){.kind = kind};
    return action;
}

void agent_actions_send(struct agent_actions *a, uint64_t session, size_t offset)
{
    struct agent_action *action = agent_actions_add(a, AGENT_SEND);

    action->offset = offset;
    action->send.session = session;
    action->send.bytes.size = a->bytes.size - offset;
}

/* Appends the text, zero-ended, and tells where. */
static size_t add_text(struct agent_actions *a, struct bytes text)
{
    size_t offset = a->bytes.size;

    buffer_append(&a->bytes, text.data, text.size);
    buffer_append_u8(&a->bytes, 0);
    return offset;
}

void agent_actions_dial(struct agent_actions *a, struct bytes address)
{
    agent_actions_add(a, AGENT_DIAL)->offset = add_text(a, address);
}

void agent_actions_log(struct agent_actions *a,
                       enum log_level level,
                       const char *format,
                       ...)
{
    char text[ERROR_TEXT_MAX];
    struct agent_action *action = agent_actions_add(a, AGENT_LOG);
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    action->offset = add_text(a, text_view(text));
    action->log.level = level;
}

void agent_actions_settle(struct agent_actions *a)
{
    for (size_t i = 0; i < a->count; i++) {
        struct agent_action *action = &a->list[i];

        if (action->kind == AGENT_SEND)
            action->send.bytes.data = a->bytes.data + action->offset;
        else if (action->kind == AGENT_DIAL)
            action->dial.address = (const char *)a->bytes.data + action->offset;
        else if (action->kind == AGENT_LOG)
            action->log.text = (const char *)a->bytes.data + action->offset;
        else if (action->kind == AGENT_RECORD)
            action->record.records = a->records;
    }
    for (size_t i = 0, at = 0; i < a->record_count; i++) {
        struct agent_record *record = &a->records[i];

        record->key.data = a->record_bytes.data + at;
        at += record->key.size;
        record->value.data = a->record_bytes.data + at;
        at += record->value.size;
    }
}
