/* log.c - ownership of log operations and snapshot headers. */
#include "wire/log.h"

#include "base/mem.h"

void log_entries_finish(struct log_entries *e)
{
    for (uint32_t i = 0; i < e->count; i++)
        blob_unref(e->entries[i].payload);
    mem_free(e->entries);
    *e = (struct log_entries){0};
}

void log_op_destroy(struct log_op *op)
{
    if (op == NULL)
        return;
    if (op->kind == LOG_APPEND)
        log_entries_finish(&op->append);
    mem_free(op);
}

void snapshot_meta_finish(struct snapshot_meta *m)
{
    blob_unref(m->configuration);
    *m = (struct snapshot_meta){0};
}

void snapshot_meta_copy(struct snapshot_meta *to, const struct snapshot_meta *from)
{
    struct blob *configuration = blob_ref(from->configuration);

    snapshot_meta_finish(to);
    *to = *from;
    to->configuration = configuration;
}
