/* actions.c - the list of what is to be done.
 *
 * Frames, results and texts are appended to one buffer, which moves while it grows; so
 * actions hold offsets until the list is complete, then actions_settle() makes them
 * pointers.
 */
#include "base/mem.h"
#include "client/core/core_internal.h"

#include <string.h>

void client_actions_finish(struct client_actions *actions)
{
    mem_free(actions->list);
    buffer_finish(&actions->bytes);
    *actions = (struct client_actions){0};
}

void actions_clear(struct client_actions *a)
{
    a->count = 0;
    buffer_clear(&a->bytes);
}

struct client_action *
actions_add(struct client_actions *a, enum client_action_kind kind, uint32_t master)
{
    struct client_action *action;

    MEM_GROW(a->list, a->capacity, a->count + 1);
    action = &a->list[a->count++];
    *action =
        (struct client_action){.kind = kind, .master = master, .offset = a->bytes.size};
    return action;
}

void actions_send(struct client_actions *a, uint32_t master, struct bytes frames)
{
    struct client_action *last = a->count > 0 ? &a->list[a->count - 1] : NULL;

    if (last == NULL || last->kind != CLIENT_SEND || last->master != master)
        last = actions_add(a, CLIENT_SEND, master);
    buffer_append(&a->bytes, frames.data, frames.size);
    last->send.bytes.size += frames.size;
}

struct client_action *actions_finished(struct client_actions *a,
                                       uint32_t master,
                                       enum error_code code,
                                       struct bytes result_or_text)
{
    struct client_action *action = actions_add(a, CLIENT_FINISHED, master);

    action->finished.code = code;
    buffer_append(&a->bytes, result_or_text.data, result_or_text.size);
    if (code == ERROR_NONE)
        action->finished.result.size = result_or_text.size;
    else
        buffer_append_u8(&a->bytes, 0);
    return action;
}

void actions_settle(struct client_actions *a)
{
    for (size_t i = 0; i < a->count; i++) {
        struct client_action *action = &a->list[i];

        if (action->kind == CLIENT_SEND)
            action->send.bytes.data = a->bytes.data + action->offset;
        else if (action->kind != CLIENT_FINISHED)
            continue;
        else if (action->finished.code != ERROR_NONE)
            action->finished.text = (const char *)a->bytes.data + action->offset;
        else if (action->finished.result.size > 0)
            action->finished.result.data = a->bytes.data + action->offset;
    }
}
