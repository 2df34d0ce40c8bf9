/* usage.c - tell the leader what runs use: outside of the log, so nothing is repeated. */
#include "agent/core/core_internal.h"
#include "base/limits.h"

void usage_tell(struct agent_core *core,
                const struct usage_report *reports,
                size_t count)
{
    uint32_t parts =
        (uint32_t)((count + LIMIT_USAGE_REPORTS - 1) / LIMIT_USAGE_REPORTS);

    if (core->leader.phase != LEADER_REGISTERED)
        return;
    for (uint32_t part = 0; part == 0 || part < parts; part++) {
        size_t from = (size_t)part * LIMIT_USAGE_REPORTS;
        size_t rest = count - from;
        size_t offset = core->out->bytes.size;

        usage_pack(core->agent,
                   part,
                   parts > 0 ? parts : 1,
                   count == 0 ? NULL : reports + from,
                   rest < LIMIT_USAGE_REPORTS ? (uint32_t)rest : LIMIT_USAGE_REPORTS,
                   &core->out->bytes);
        agent_actions_send(core->out, core->leader.session, offset);
    }
}
