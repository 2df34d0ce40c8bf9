/* actions.c - the list of what the shell is to do, filled while a step runs. */
#include "raft/internal.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct replica_action *replica_act(struct replica *r, enum replica_action_kind kind)
{
    struct replica_actions *a = r->actions;
    struct replica_action *action;

    MEM_GROW(a->items, a->capacity, a->count + 1);
    action = &a->items[a->count++];
    memset(action, 0, sizeof(*action));
    action->kind = kind;
    return action;
}

void replica_fatal(struct replica *r, const char *format, ...)
{
    struct error *error = &replica_act(r, REPLICA_FATAL)->fatal;
    va_list args;

    error->code = ERROR_INTERNAL;
    va_start(args, format);
    vsnprintf(error->text, sizeof(error->text), format, args);
    va_end(args);
}

static void action_clear(struct replica_action *action)
{
    switch (action->kind) {
    case REPLICA_SEND:
        buffer_finish(&action->send.bytes);
        break;
    case REPLICA_PERSIST:
        log_op_destroy(action->op);
        break;
    case REPLICA_SNAPSHOT_BEGIN:
        snapshot_meta_finish(&action->snapshot_begin);
        break;
    case REPLICA_SNAPSHOT_CHUNK:
        blob_unref(action->snapshot_chunk);
        break;
    default:
        break;
    }
}

void replica_actions_clear(struct replica_actions *actions)
{
    for (size_t i = 0; i < actions->count; i++)
        action_clear(&actions->items[i]);
    actions->count = 0;
    actions->submitted = 0;
    actions->again = false;
}

void replica_actions_finish(struct replica_actions *actions)
{
    replica_actions_clear(actions);
    mem_free(actions->items);
    *actions = (struct replica_actions){0};
}
