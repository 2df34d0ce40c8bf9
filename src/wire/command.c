/* command.c - commands and entries as bytes. */
#include "wire/command.h"

#include "base/assert.h"
#include "base/limits.h"
#include "base/text.h"
#include "wire/list.h"
#include "wire/role.h"

#include <string.h>

/* The longest elements: a head, then numbers of at most 9 bytes, a text with its head.
 */
_Static_assert(LIMIT_PLACEMENTS *(1 + 9 + 5 + 5 + 9) + 16 <= LIMIT_COMMAND_BYTES,
               "placements at their limit fit a command");
_Static_assert(LIMIT_UPDATES *(1 + 9 + 1 + 1 + 5 + 2 + LIMIT_MESSAGE_BYTES + 1 + 5) +
                       32 <=
                   LIMIT_COMMAND_BYTES,
               "updates at their limit fit a command");
_Static_assert(LIMIT_SPEC_BYTES + LIMIT_KEY_BYTES + 32 <= LIMIT_COMMAND_BYTES,
               "a spec at its limit fits a command");

const char *command_name(enum command_kind kind)
{
    switch (kind) {
#define X(number, name, text) \
    case COMMAND_##name:      \
        return text;
        COMMAND_KINDS(X)
#undef X
    }
    return "unknown";
}

/* ---- elements ---- */

static void pack_placement(const struct placement *p, struct buffer *out)
{
    pack_array(out, 4);
    pack_uint(out, p->job);
    pack_uint(out, p->instance);
    pack_uint(out, p->attempt);
    pack_uint(out, p->agent);
}

static void read_placement(struct unpack *u, void *out)
{
    struct placement *p = out;

    unpack_enter(u);
    p->job = unpack_uint(u);
    p->instance = (uint32_t)unpack_uint_max(u, LIMIT_TASKS_PER_JOB - 1);
    p->attempt = (uint32_t)unpack_uint_max(u, UINT32_MAX);
    p->agent = unpack_uint(u);
    unpack_leave(u);
}

void task_update_pack(const struct task_update *t, struct buffer *out)
{
    struct bytes message = t->message;
    bool is_short = t->health == HEALTH_UNKNOWN && t->restarts == 0;

    if (message.size > LIMIT_MESSAGE_BYTES)
        message.size = LIMIT_MESSAGE_BYTES;
    pack_array(out, is_short ? 5 : 7);
    pack_uint(out, t->attempt);
    pack_uint(out, t->state);
    pack_uint(out, t->reason);
    pack_int(out, t->exit_code);
    pack_text_view(out, message);
    if (is_short)
        return;
    pack_uint(out, t->health);
    pack_uint(out, t->restarts);
}

void task_update_read(struct unpack *u, struct task_update *t)
{
    unpack_enter(u);
    t->attempt = unpack_uint(u);
    t->state = (enum task_state)unpack_uint_max(u, TASK_STATE_COUNT - 1);
    t->reason = (enum task_reason)unpack_uint_max(u, TASK_REASON_COUNT - 1);
    t->exit_code = (int32_t)unpack_int_range(u, INT32_MIN, INT32_MAX);
    /* Not unpack_text(): a text that was cut inside a character must not stop an agent.
     */
    t->message = unpack_bytes(u, LIMIT_MESSAGE_BYTES);
    t->health = (enum task_health)unpack_uint_max(u, TASK_HEALTH_COUNT - 1);
    t->restarts = (uint32_t)unpack_uint_max(u, UINT32_MAX);
    unpack_leave(u);
}

static void read_update(struct unpack *u, void *out)
{
    struct task_update *t = out;

    task_update_read(u, t);
    if (t->state < TASK_STARTING || t->state == TASK_KILLING)
        unpack_fail(u, "a state that no agent reports");
}

static void read_victim(struct unpack *u, void *out)
{
    uint64_t *attempt = out;

    *attempt = unpack_uint(u);
}

/* ---- commands ---- */

static void pack_kind(struct buffer *out, enum command_kind kind, uint32_t fields)
{
    pack_array(out, 1 + fields);
    pack_uint(out, kind);
}

static void pack_place(const struct command *c, struct buffer *out)
{
    ASSERT(c->place.count <= LIMIT_PLACEMENTS);
    pack_array(out, c->place.count);
    for (uint32_t i = 0; i < c->place.count; i++)
        pack_placement(&c->place.placements[i], out);
}

static void pack_task_update(const struct command *c, struct buffer *out)
{
    ASSERT(c->task_update.count <= LIMIT_UPDATES);
    pack_uint(out, c->task_update.agent);
    pack_array(out, c->task_update.count);
    for (uint32_t i = 0; i < c->task_update.count; i++)
        task_update_pack(&c->task_update.updates[i], out);
}

static void pack_victims(const struct command *c, struct buffer *out)
{
    ASSERT(c->preempt.count <= LIMIT_VICTIMS);
    pack_array(out, c->preempt.count);
    for (uint32_t i = 0; i < c->preempt.count; i++)
        pack_uint(out, c->preempt.victims[i]);
}

void command_pack(const struct command *c, struct buffer *out)
{
    switch (c->kind) {
    case COMMAND_FOUND:
        pack_kind(out, c->kind, 1);
        pack_bytes(out, (struct bytes){c->found.cluster_id, CLUSTER_ID_BYTES});
        return;
    case COMMAND_SUBMIT:
    case COMMAND_SUBMIT_ALL:
        pack_kind(out,
                  c->kind,
                  c->submit.check > 0        ? 4
                  : c->submit.owner.size > 0 ? 3
                                             : 2);
        pack_bytes(out, c->submit.key);
        pack_bytes(out, c->submit.spec);
        if (c->submit.owner.size > 0 || c->submit.check > 0)
            pack_text_view(out, c->submit.owner);
        if (c->submit.check > 0)
            pack_uint(out, c->submit.check);
        return;
    case COMMAND_KILL:
        pack_kind(out, c->kind, 1);
        pack_uint(out, c->kill.job);
        return;
    case COMMAND_AGENT_REGISTER:
        pack_kind(out, c->kind, 1);
        pack_bytes(out, c->agent_register.spec);
        return;
    case COMMAND_AGENT_REREGISTER:
        pack_kind(out, c->kind, 2);
        pack_uint(out, c->agent_reregister.agent);
        pack_bytes(out, c->agent_reregister.spec);
        return;
    case COMMAND_AGENT_UNREACHABLE:
        pack_kind(out, c->kind, 1);
        pack_uint(out, c->agent_unreachable.agent);
        return;
    case COMMAND_AGENT_GONE:
        pack_kind(out, c->kind, 1);
        pack_uint(out, c->agent_gone.agent);
        return;
    case COMMAND_AGENT_MODE:
        pack_kind(out, c->kind, 3);
        pack_uint(out, c->agent_mode.agent);
        pack_uint(out, c->agent_mode.mode);
        pack_uint(out, c->agent_mode.deadline_ms);
        return;
    case COMMAND_DRAIN_DUE:
        pack_kind(out, c->kind, 1);
        pack_uint(out, c->drain_due.agent);
        return;
    case COMMAND_RETRY:
        pack_kind(out, c->kind, 3);
        pack_uint(out, c->retry.job);
        pack_uint(out, c->retry.instance);
        pack_uint(out, c->retry.attempt);
        return;
    case COMMAND_LAPSE:
        pack_kind(out, c->kind, 1);
        pack_uint(out, c->lapse.attempt);
        return;
    case COMMAND_PLACE:
        pack_kind(out, c->kind, 1);
        pack_place(c, out);
        return;
    case COMMAND_TASK_UPDATE:
        pack_kind(out, c->kind, 2);
        pack_task_update(c, out);
        return;
    case COMMAND_PURGE:
        pack_kind(out, c->kind, 1);
        pack_uint(out, c->purge.job);
        return;
    case COMMAND_EXPIRE_KEYS:
        pack_kind(out, c->kind, 1);
        pack_uint(out, c->expire_keys.before_us);
        return;
    case COMMAND_ROLE_SET:
        pack_kind(out, c->kind, 1);
        pack_bytes(out, c->role_set.change);
        return;
    case COMMAND_ROLE_REMOVE:
        pack_kind(out, c->kind, 1);
        pack_text_view(out, c->role_remove.name);
        return;
    case COMMAND_RELEASE:
        pack_kind(out, c->kind, 0);
        return;
    case COMMAND_DISPATCH:
        pack_kind(out, c->kind, 4);
        pack_bytes(out, c->dispatch.key);
        pack_uint(out, c->dispatch.job);
        pack_bytes(out, c->dispatch.values);
        pack_text_view(out, c->dispatch.owner);
        return;
    case COMMAND_FIRE:
        pack_kind(out, c->kind, 4);
        pack_uint(out, c->fire.job);
        pack_uint(out, c->fire.slot_us);
        pack_uint(out, c->fire.missed);
        pack_bool(out, c->fire.make);
        return;
    case COMMAND_PREEMPT:
        pack_kind(out, c->kind, 3);
        pack_uint(out, c->preempt.job);
        pack_uint(out, c->preempt.agent);
        pack_victims(c, out);
        return;
    case COMMAND_MOVE:
        pack_kind(out, c->kind, 2);
        pack_uint(out, c->move.attempt);
        pack_uint(out, c->move.agent);
        return;
    }
    assert_failed("the kind is known", __FILE__, __LINE__, __func__);
}

static struct bytes unpack_not_empty(struct unpack *u, size_t max, const char *problem)
{
    struct bytes value = unpack_bytes(u, max);

    if (value.size == 0)
        unpack_fail(u, problem);
    return value;
}

bool key_is_of_masters(struct bytes key)
{
    return key.size >= MASTERS_KEY_BYTES &&
           memcmp(key.data, MASTERS_KEY, MASTERS_KEY_BYTES) == 0;
}

static struct bytes unpack_key(struct unpack *u)
{
    struct bytes key = unpack_not_empty(u, LIMIT_KEY_BYTES, "the key is missing");

    if (key_is_of_masters(key))
        unpack_fail(u, "the key is one of the masters'");
    return key;
}

static struct bytes unpack_spec(struct unpack *u)
{
    return unpack_not_empty(u, LIMIT_SPEC_BYTES, "the spec is missing");
}

static struct bytes unpack_owner(struct unpack *u)
{
    struct bytes owner = unpack_text(u, LIMIT_OWNER_BYTES);

    if (!text_is_printable(owner))
        unpack_fail(u, "an owner that is no printable text");
    return owner;
}

/* The fields behind the kind.  False if the kind is not known. */
static bool unpack_fields(struct command *c, struct unpack *u)
{
    struct placement placement;
    struct task_update update;
    uint64_t victim;

    switch (c->kind) {
    case COMMAND_FOUND:
        unpack_fixed(u, c->found.cluster_id, CLUSTER_ID_BYTES);
        return true;
    case COMMAND_SUBMIT:
    case COMMAND_SUBMIT_ALL:
        c->submit.key = unpack_key(u);
        c->submit.spec = unpack_spec(u);
        c->submit.owner = unpack_owner(u);
        c->submit.check = unpack_uint(u);
        return true;
    case COMMAND_KILL:
        c->kill.job = unpack_uint(u);
        return true;
    case COMMAND_AGENT_REGISTER:
        c->agent_register.spec = unpack_spec(u);
        return true;
    case COMMAND_AGENT_REREGISTER:
        c->agent_reregister.agent = unpack_uint(u);
        c->agent_reregister.spec = unpack_spec(u);
        return true;
    case COMMAND_AGENT_UNREACHABLE:
        c->agent_unreachable.agent = unpack_uint(u);
        return true;
    case COMMAND_AGENT_GONE:
        c->agent_gone.agent = unpack_uint(u);
        return true;
    case COMMAND_AGENT_MODE:
        c->agent_mode.agent = unpack_uint(u);
        c->agent_mode.mode = (enum agent_mode)unpack_uint_max(u, AGENT_MODE_COUNT - 1);
        c->agent_mode.deadline_ms = unpack_uint_max(u, LIMIT_DRAIN_MS);
        return true;
    case COMMAND_DRAIN_DUE:
        c->drain_due.agent = unpack_uint(u);
        return true;
    case COMMAND_RETRY:
        c->retry.job = unpack_uint(u);
        c->retry.instance = (uint32_t)unpack_uint_max(u, LIMIT_TASKS_PER_JOB - 1);
        c->retry.attempt = (uint32_t)unpack_uint_max(u, UINT32_MAX);
        return true;
    case COMMAND_LAPSE:
        c->lapse.attempt = unpack_uint(u);
        return true;
    case COMMAND_PLACE:
        c->place.packed = list_check(
            u, LIMIT_PLACEMENTS, read_placement, &placement, &c->place.count);
        return true;
    case COMMAND_TASK_UPDATE:
        c->task_update.agent = unpack_uint(u);
        c->task_update.packed =
            list_check(u, LIMIT_UPDATES, read_update, &update, &c->task_update.count);
        return true;
    case COMMAND_PURGE:
        c->purge.job = unpack_uint(u);
        return true;
    case COMMAND_EXPIRE_KEYS:
        c->expire_keys.before_us = unpack_uint(u);
        return true;
    case COMMAND_ROLE_SET:
        c->role_set.change = unpack_spec(u);
        return true;
    case COMMAND_ROLE_REMOVE:
        c->role_remove.name = unpack_text(u, LIMIT_ROLE_BYTES);
        if (!role_name_valid(c->role_remove.name))
            unpack_fail(u, "no name of a role");
        return true;
    case COMMAND_RELEASE:
        return true;
    case COMMAND_DISPATCH:
        c->dispatch.key = unpack_key(u);
        c->dispatch.job = unpack_uint(u);
        c->dispatch.values = unpack_not_empty(u, LIMIT_SPEC_BYTES, "no values");
        c->dispatch.owner = unpack_owner(u);
        return true;
    case COMMAND_FIRE:
        c->fire.job = unpack_uint(u);
        c->fire.slot_us = unpack_uint_max(u, INT64_MAX);
        c->fire.missed = unpack_uint_max(u, UINT32_MAX);
        c->fire.make = unpack_bool(u);
        return true;
    case COMMAND_PREEMPT:
        c->preempt.job = unpack_uint(u);
        c->preempt.agent = unpack_uint(u);
        c->preempt.packed =
            list_check(u, LIMIT_VICTIMS, read_victim, &victim, &c->preempt.count);
        if (c->preempt.count == 0)
            unpack_fail(u, "nobody to preempt");
        return true;
    case COMMAND_MOVE:
        c->move.attempt = unpack_uint(u);
        c->move.agent = unpack_uint(u);
        return true;
    }
    return false;
}

int command_unpack(struct command *c, struct bytes bytes, struct error *err)
{
    struct unpack u;

    memset(c, 0, sizeof(*c));
    if (bytes.size > LIMIT_COMMAND_BYTES)
        return error_set(err,
                         ERROR_TOO_LARGE,
                         "command: %zu bytes; the most is %lu",
                         bytes.size,
                         LIMIT_COMMAND_BYTES);
    unpack_init(&u, bytes);
    unpack_enter(&u);
    c->kind = (enum command_kind)unpack_uint_max(&u, UINT8_MAX);
    if (!unpack_fields(c, &u) && unpack_ok(&u))
        return error_set(err,
                         ERROR_VERSION,
                         "command: kind %d is not known to this version",
                         (int)c->kind);
    unpack_leave(&u);
    return unpack_finish(&u, "command", err);
}

bool command_next_placement(const struct command *c,
                            struct command_cursor *at,
                            struct placement *out)
{
    ASSERT(c->kind == COMMAND_PLACE);
    return list_next(c->place.packed, c->place.count, at, read_placement, out);
}

bool command_next_update(const struct command *c,
                         struct command_cursor *at,
                         struct task_update *out)
{
    ASSERT(c->kind == COMMAND_TASK_UPDATE);
    return list_next(c->task_update.packed, c->task_update.count, at, read_update, out);
}

bool command_next_victim(const struct command *c,
                         struct command_cursor *at,
                         uint64_t *attempt)
{
    ASSERT(c->kind == COMMAND_PREEMPT);
    return list_next(c->preempt.packed, c->preempt.count, at, read_victim, attempt);
}

/* ---- entries ---- */

void entry_begin(struct buffer *out, uint64_t stamp_us)
{
    buffer_append_u8(out, ENTRY_VERSION);
    buffer_append_u64(out, stamp_us);
}

void entry_append(struct buffer *out, struct bytes command)
{
    ASSERT(command.size > 0 && command.size <= LIMIT_COMMAND_BYTES);
    buffer_append_u32(out, (uint32_t)command.size);
    buffer_append(out, command.data, command.size);
}

/* True if the commands behind the header fill the entry exactly. */
static bool sizes_are_right(const uint8_t *at, const uint8_t *end)
{
    while (end - at >= 4) {
        uint32_t size = load_u32(at);

        at += 4;
        if (size == 0 || size > LIMIT_COMMAND_BYTES || size > (size_t)(end - at))
            return false;
        at += size;
    }
    return at == end;
}

int entry_open(struct entry_reader *r, struct bytes entry, struct error *err)
{
    *r = (struct entry_reader){0};
    if (entry.size < ENTRY_HEADER_BYTES)
        return error_set(
            err, ERROR_INVALID, "entry: %zu bytes are too few", entry.size);
    if (entry.data[0] == 0 || entry.data[0] > ENTRY_VERSION)
        return error_set(err,
                         ERROR_VERSION,
                         "entry: format version %d, this version reads up to %d",
                         entry.data[0],
                         ENTRY_VERSION);
    if (!sizes_are_right(entry.data + ENTRY_HEADER_BYTES, entry.data + entry.size))
        return error_set(
            err, ERROR_INVALID, "entry: the sizes of its commands are wrong");
    r->version = entry.data[0];
    r->stamp_us = load_u64(entry.data + 1);
    r->at = entry.data + ENTRY_HEADER_BYTES;
    r->end = entry.data + entry.size;
    return 0;
}

bool entry_next(struct entry_reader *r, struct bytes *command)
{
    if (r->at == r->end)
        return false;
    *command = (struct bytes){r->at + 4, load_u32(r->at)};
    r->at = command->data + command->size;
    return true;
}
