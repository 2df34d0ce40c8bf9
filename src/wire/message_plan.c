/* message_plan.c - what clients ask of a plan and masters answer, as bytes. */
#include "wire/message_plan.h"

#include "base/limits.h"
#include "base/text.h"
#include "wire/list.h"

void plan_pack(const struct plan_request *r, uint32_t id, struct buffer *out)
{
    size_t begin = rpc_begin_request(out, id, METHOD_PLAN);

    pack_array(out, 3);
    pack_text_view(out, r->owner);
    pack_bytes(out, r->specs);
    pack_array(out, r->removal_count);
    for (uint32_t i = 0; i < r->removal_count; i++) {
        pack_array(out, 3);
        pack_text_view(out, r->removals[i].attribute);
        pack_text_view(out, r->removals[i].value);
        pack_bool(out, r->removals[i].is_drain);
    }
    rpc_end(out, begin);
}

static void read_removal(struct unpack *u, void *out)
{
    struct plan_removal *r = out;

    unpack_enter(u);
    r->attribute = unpack_text(u, LIMIT_ATTRIBUTE_BYTES);
    r->value = unpack_text(u, LIMIT_ATTRIBUTE_BYTES);
    r->is_drain = unpack_bool(u);
    unpack_leave(u);
    if (r->attribute.size == 0)
        unpack_fail(u, "an attribute without a name");
}

int plan_unpack(struct plan_request *out, struct bytes params, struct error *err)
{
    struct plan_removal one;
    struct unpack u;

    *out = (struct plan_request){0};
    unpack_init(&u, params);
    unpack_enter(&u);
    out->owner = unpack_text(&u, LIMIT_OWNER_BYTES);
    out->specs = unpack_bytes(&u, LIMIT_SPEC_BYTES);
    out->packed =
        list_check(&u, LIMIT_PLAN_REMOVALS, read_removal, &one, &out->removal_count);
    if (!text_is_printable(out->owner))
        unpack_fail(&u, "the owner is no printable text");
    if (out->specs.size == 0 && out->removal_count == 0)
        unpack_fail(&u, "neither jobs nor agents");
    unpack_leave(&u);
    return unpack_finish(&u, "plan", err);
}

bool plan_removal_next(const struct plan_request *r,
                       struct command_cursor *at,
                       struct plan_removal *out)
{
    return list_next(r->packed, r->removal_count, at, read_removal, out);
}

/* Perhaps inside a character: it is for people. */
static struct bytes cut_why(struct bytes why)
{
    if (why.size > LIMIT_PLAN_WHY_BYTES)
        why.size = LIMIT_PLAN_WHY_BYTES;
    return why;
}

void plan_row_pack(struct list_writer *w, const struct plan_row *r)
{
    struct buffer *out = list_begin_element(w, 9);

    pack_uint(out, r->kind);
    pack_uint(out, r->job);
    pack_uint(out, r->count);
    pack_uint(out, r->other);
    pack_uint(out, r->from);
    pack_uint(out, r->agent);
    pack_text_view(out, r->name);
    pack_text_view(out, r->host);
    pack_bytes(out, cut_why(r->why));
}

void plan_row_read(struct unpack *u, void *out)
{
    struct plan_row *r = out;

    unpack_enter(u);
    r->kind = (enum plan_row_kind)unpack_uint_max(u, PLAN_ROW_COUNT - 1);
    r->job = (uint32_t)unpack_uint_max(u, UINT32_MAX);
    r->count = (uint32_t)unpack_uint_max(u, UINT32_MAX);
    r->other = unpack_uint(u);
    r->from = unpack_uint(u);
    r->agent = unpack_uint(u);
    r->name = unpack_text(u, LIMIT_NAME_BYTES);
    r->host = unpack_text(u, LIMIT_NAME_BYTES);
    r->why = unpack_bytes(u, LIMIT_PLAN_WHY_BYTES);
    unpack_leave(u);
}

bool plan_row_next(const struct list_result *l,
                   struct command_cursor *at,
                   struct plan_row *out)
{
    return list_next(l->packed, l->count, at, plan_row_read, out);
}
