/* finding.c - nobody says that he leads: who does?
 *
 * A leader says so on every session, and elections are short.  So after a while without
 * one --masters may be incomplete: every master that is connected is asked, by the
 * registration that its leader would get.  One that follows answers with the leader's
 * address, as it does to clients, and the shell connects there as well.
 */
#include "agent/core/core_internal.h"

static uint32_t greeted(const struct agent_core *core)
{
    uint32_t n = 0;

    for (uint32_t m = 0; m < core->masters; m++)
        n += core->sessions[m].greeted ? 1 : 0;
    return n;
}

void finding_look(struct agent_core *core)
{
    struct finding *f = &core->finding;

    if (core->leader.phase != LEADER_NONE || core->gone) {
        f->on = false;
    } else if (!f->on) {
        *f = (struct finding){
            .on = true,
            .ask_ms = core->now_ms + FIND_MS,
            .wait_ms = FIND_MS,
            .warn_ms = core->now_ms + FIND_WARN_MS,
        };
    }
}

/* The others are probably on their way, too. */
void finding_greeted(struct agent_core *core)
{
    struct finding *f = &core->finding;

    if (greeted(core) == 1 && f->ask_ms < core->now_ms + FIND_MS)
        f->ask_ms = core->now_ms + FIND_MS;
}

static void ask(struct agent_core *core)
{
    struct finding *f = &core->finding;

    for (uint32_t m = 0; m < core->masters; m++)
        if (core->sessions[m].greeted)
            leading_ask(core, &core->sessions[m]);
    f->wait_ms = 2 * f->wait_ms < FIND_MAX_MS ? 2 * f->wait_ms : FIND_MAX_MS;
    f->ask_ms = core->now_ms + rng_between(&core->rng, f->wait_ms / 2, f->wait_ms);
}

static void warn(struct agent_core *core)
{
    core->finding.warn_ms = NEVER;
    agent_actions_log(
        core->out,
        LOG_LEVEL_WARNING,
        "connected to %u of %u masters, and none of them leads or knows who "
        "does: do most masters run, and does --masters name all of them?",
        greeted(core),
        core->masters);
}

/* The key must be durable before it is told. */
static bool may_ask(const struct agent_core *core)
{
    return core->finding.on && greeted(core) > 0 &&
           (core->sequence == 0 || core->durable > 0);
}

void finding_tick(struct agent_core *core)
{
    if (!may_ask(core))
        return;
    if (core->now_ms >= core->finding.ask_ms)
        ask(core);
    if (core->now_ms >= core->finding.warn_ms)
        warn(core);
}

void finding_answered(struct agent_core *core, const struct rpc *rpc)
{
    if (core->finding.on && rpc->code == ERROR_NOT_LEADER && rpc->hint.size > 0)
        agent_actions_dial(core->out, rpc->hint);
}

uint64_t finding_deadline(const struct agent_core *core)
{
    const struct finding *f = &core->finding;

    if (!may_ask(core))
        return NEVER;
    return f->ask_ms < f->warn_ms ? f->ask_ms : f->warn_ms;
}
