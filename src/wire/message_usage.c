/* message_usage.c - what runs use, as bytes. */
#include "wire/message_usage.h"

#include "base/assert.h"
#include "base/limits.h"
#include "wire/list.h"
#include "wire/pack.h"

#define REPORT_BYTES_MAX (1 + 6 * 9 + 2 * 5)

_Static_assert(LIMIT_USAGE_REPORTS *REPORT_BYTES_MAX + 64 <= LIMIT_FRAME_BYTES,
               "reports of usage at their limit fit a frame");

static void pack_report(const struct usage_report *r, struct buffer *out)
{
    pack_array(out, 8);
    pack_uint(out, r->attempt);
    pack_uint(out, r->cpu_milli);
    pack_uint(out, r->cpu_us);
    pack_uint(out, r->memory_bytes);
    pack_uint(out, r->memory_peak_bytes);
    pack_uint(out, r->read_bytes);
    pack_uint(out, r->written_bytes);
    pack_uint(out, r->pids);
}

static void read_report(struct unpack *u, void *out)
{
    struct usage_report *r = out;

    unpack_enter(u);
    r->attempt = unpack_uint(u);
    r->cpu_milli = (uint32_t)unpack_uint_max(u, UINT32_MAX);
    r->cpu_us = unpack_uint(u);
    r->memory_bytes = unpack_uint(u);
    r->memory_peak_bytes = unpack_uint(u);
    r->read_bytes = unpack_uint(u);
    r->written_bytes = unpack_uint(u);
    r->pids = (uint32_t)unpack_uint_max(u, UINT32_MAX);
    unpack_leave(u);
}

void usage_pack(uint64_t agent,
                uint32_t part,
                uint32_t parts,
                const struct usage_report *reports,
                uint32_t count,
                struct buffer *out)
{
    size_t begin = rpc_begin_notify(out, METHOD_USAGE);

    ASSERT(part < parts && count <= LIMIT_USAGE_REPORTS);
    pack_array(out, 4);
    pack_uint(out, agent);
    pack_uint(out, part);
    pack_uint(out, parts);
    pack_array(out, count);
    for (uint32_t i = 0; i < count; i++)
        pack_report(&reports[i], out);
    rpc_end(out, begin);
}

int usage_unpack(struct usage_list *out, struct bytes params, struct error *err)
{
    struct usage_report report;
    struct unpack u;

    unpack_init(&u, params);
    unpack_enter(&u);
    out->agent = unpack_uint(&u);
    out->part = (uint32_t)unpack_uint_max(&u, UINT32_MAX);
    out->parts = (uint32_t)unpack_uint_max(&u, UINT32_MAX);
    if (out->part >= out->parts)
        unpack_fail(&u, "a part beyond the last");
    out->packed =
        list_check(&u, LIMIT_USAGE_REPORTS, read_report, &report, &out->count);
    unpack_leave(&u);
    return unpack_finish(&u, "usage", err);
}

bool usage_next(const struct usage_list *list,
                struct command_cursor *at,
                struct usage_report *out)
{
    return list_next(list->packed, list->count, at, read_report, out);
}

void usage_info_pack(struct list_writer *w, const struct usage_info *i)
{
    struct buffer *out = list_begin_element(w, 9);

    pack_report(&i->report, out);
    pack_bool(out, i->known);
    pack_uint(out, i->job);
    pack_uint(out, i->instance);
    pack_uint(out, i->agent);
    pack_text_view(out, i->name);
    pack_uint(out, i->placed_us);
    pack_uint(out, i->cpus_milli);
    pack_uint(out, i->limit_bytes);
}

void usage_info_read(struct unpack *u, void *out)
{
    struct usage_info *i = out;

    unpack_enter(u);
    read_report(u, &i->report);
    i->known = unpack_bool(u);
    i->job = unpack_uint(u);
    i->instance = (uint32_t)unpack_uint_max(u, LIMIT_TASKS_PER_JOB - 1);
    i->agent = unpack_uint(u);
    i->name = unpack_text(u, LIMIT_NAME_BYTES);
    i->placed_us = unpack_uint(u);
    i->cpus_milli = (uint32_t)unpack_uint_max(u, UINT32_MAX);
    i->limit_bytes = unpack_uint(u);
    unpack_leave(u);
}

bool usage_info_next(const struct list_result *l,
                     struct command_cursor *at,
                     struct usage_info *out)
{
    return list_next(l->packed, l->count, at, usage_info_read, out);
}
