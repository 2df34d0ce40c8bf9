/* message_failure.c - what clients ask about failures and masters answer, as bytes. */
#include "wire/message_failure.h"

#include "base/limits.h"
#include "wire/list.h"

static void pack_type(struct buffer *out, struct failure_type type)
{
    pack_bool(out, type.of_agent);
    pack_uint(out, type.reason);
}

static struct failure_type unpack_type(struct unpack *u)
{
    struct failure_type type = {.of_agent = unpack_bool(u)};

    type.reason = (enum task_reason)unpack_uint_max(u, TASK_REASON_COUNT - 1);
    return type;
}

void failure_info_pack(struct list_writer *w, const struct failure_info *f)
{
    struct buffer *out = list_begin_element(w, 17);

    pack_uint(out, f->id);
    pack_type(out, f->type);
    pack_uint(out, f->stamp_us);
    pack_uint(out, f->down_us);
    pack_uint(out, f->retry_us);
    pack_uint(out, f->recovered_us);
    pack_uint(out, f->job);
    pack_uint(out, f->agent);
    pack_uint(out, f->next_agent);
    pack_uint(out, f->instance);
    pack_uint(out, f->attempt);
    pack_uint(out, f->moved);
    pack_int(out, f->exit_code);
    pack_uint(out, f->task_state);
    pack_uint(out, f->deed);
    pack_uint(out, f->state);
}

void failure_info_read(struct unpack *u, void *out)
{
    struct failure_info *f = out;

    unpack_enter(u);
    f->id = unpack_uint(u);
    f->type = unpack_type(u);
    f->stamp_us = unpack_uint(u);
    f->down_us = unpack_uint(u);
    f->retry_us = unpack_uint(u);
    f->recovered_us = unpack_uint(u);
    f->job = unpack_uint(u);
    f->agent = unpack_uint(u);
    f->next_agent = unpack_uint(u);
    f->instance = (uint32_t)unpack_uint_max(u, UINT32_MAX);
    f->attempt = (uint32_t)unpack_uint_max(u, UINT32_MAX);
    f->moved = (uint32_t)unpack_uint_max(u, UINT32_MAX);
    f->exit_code = (int32_t)unpack_int_range(u, INT32_MIN, INT32_MAX);
    f->task_state = (enum task_state)unpack_uint_max(u, TASK_STATE_COUNT - 1);
    f->deed = (enum failure_deed)unpack_uint_max(u, FAILURE_DEED_COUNT - 1);
    f->state = (enum failure_state)unpack_uint_max(u, FAILURE_STATE_COUNT - 1);
    unpack_leave(u);
}

bool failure_info_next(const struct list_result *l,
                       struct command_cursor *at,
                       struct failure_info *out)
{
    return list_next(l->packed, l->count, at, failure_info_read, out);
}

void failure_sum_info_pack(struct list_writer *w, const struct failure_sum_info *f)
{
    struct buffer *out = list_begin_element(w, 7);

    pack_type(out, f->type);
    pack_uint(out, f->count);
    pack_uint(out, f->open);
    pack_uint(out, f->recovered);
    pack_uint(out, f->recovery_us);
    pack_uint(out, f->longest_us);
}

void failure_sum_info_read(struct unpack *u, void *out)
{
    struct failure_sum_info *f = out;

    unpack_enter(u);
    f->type = unpack_type(u);
    f->count = unpack_uint(u);
    f->open = unpack_uint(u);
    f->recovered = unpack_uint(u);
    f->recovery_us = unpack_uint(u);
    f->longest_us = unpack_uint(u);
    unpack_leave(u);
}

bool failure_sum_info_next(const struct list_result *l,
                           struct command_cursor *at,
                           struct failure_sum_info *out)
{
    return list_next(l->packed, l->count, at, failure_sum_info_read, out);
}
