/* effects.c - what one entry leaves for the leader: results and effects. */
#include "raft_fsm/effects.h"

#include "base/mem.h"

void outcome_add_result(struct outcome *o, struct result result)
{
    if (o == NULL)
        return;
    MEM_GROW(o->results, o->result_capacity, o->result_count + 1);
    o->results[o->result_count++] = result;
}

void outcome_add_effect(struct outcome *o, struct effect effect)
{
    if (o == NULL)
        return;
    MEM_GROW(o->effects, o->effect_capacity, o->effect_count + 1);
    o->effects[o->effect_count++] = effect;
}

void outcome_clear(struct outcome *o)
{
    o->result_count = 0;
    o->effect_count = 0;
}

void outcome_finish(struct outcome *o)
{
    mem_free(o->results);
    mem_free(o->effects);
    *o = (struct outcome){0};
}
