/* message_role.c - what clients ask about roles and masters answer, as bytes. */
#include "wire/message_role.h"

#include "base/limits.h"
#include "base/text.h"
#include "wire/list.h"
#include "wire/pack.h"

void role_set_pack(const struct role_change *c, uint32_t id, struct buffer *out)
{
    size_t begin = rpc_begin_request(out, id, METHOD_ROLE_SET);
    struct buffer packed = {0};

    role_change_pack(c, &packed);
    pack_array(out, 1);
    pack_bytes(out, buffer_view(&packed));
    rpc_end(out, begin);
    buffer_finish(&packed);
}

int role_set_unpack(struct bytes *change, struct bytes params, struct error *err)
{
    struct role_change c;
    struct unpack u;
    int rc;

    unpack_init(&u, params);
    unpack_enter(&u);
    *change = unpack_bytes(&u, LIMIT_SPEC_BYTES);
    unpack_leave(&u);
    rc = unpack_finish(&u, "role_set", err);
    if (rc == 0)
        rc = role_change_unpack(&c, *change, err);
    if (rc == 0)
        role_change_finish(&c);
    return rc;
}

void role_remove_pack(const char *name, uint32_t id, struct buffer *out)
{
    size_t begin = rpc_begin_request(out, id, METHOD_ROLE_REMOVE);

    pack_array(out, 1);
    pack_text(out, name);
    rpc_end(out, begin);
}

int role_remove_unpack(struct bytes *name, struct bytes params, struct error *err)
{
    struct unpack u;

    unpack_init(&u, params);
    unpack_enter(&u);
    *name = unpack_text(&u, LIMIT_ROLE_BYTES);
    if (!role_name_valid(*name))
        unpack_fail(&u, "this is no name of a role");
    unpack_leave(&u);
    return unpack_finish(&u, "role_remove", err);
}

void role_info_pack(struct list_writer *w, const struct role_info *r)
{
    struct buffer *out = list_begin_element(w, 6);

    pack_uint(out, r->number);
    pack_bytes(out, r->spec);
    pack_uint(out, r->jobs);
    resources_pack(&r->used, out);
    pack_array(out, (uint32_t)r->custom_count);
    for (size_t i = 0; i < r->custom_count; i++) {
        pack_array(out, 2);
        pack_text_view(out, r->custom[i].name);
        pack_uint(out, r->custom[i].amount);
    }
    pack_uint(out, r->share);
}

void role_info_read(struct unpack *u, void *out)
{
    struct role_info *r = out;
    uint32_t n;

    unpack_enter(u);
    r->number = (uint32_t)unpack_uint_max(u, UINT32_MAX);
    r->spec = unpack_bytes(u, LIMIT_SPEC_BYTES);
    r->jobs = unpack_uint(u);
    resources_unpack(&r->used, u);
    n = unpack_enter(u);
    if (n > LIMIT_LISTED_CUSTOM)
        unpack_fail(u, "more custom resources than the limit");
    r->custom_count = 0;
    for (uint32_t i = 0; i < n && unpack_ok(u); i++) {
        unpack_enter(u);
        r->custom[i].name = unpack_text(u, LIMIT_CUSTOM_BYTES);
        r->custom[i].amount = unpack_uint(u);
        r->custom_count++;
        unpack_leave(u);
    }
    unpack_leave(u);
    r->share = unpack_uint(u);
    unpack_leave(u);
}

bool role_info_next(const struct list_result *l,
                    struct command_cursor *at,
                    struct role_info *out)
{
    return list_next(l->packed, l->count, at, role_info_read, out);
}
