/* apply_template.c - jobs that are made of others: at the slots of a schedule, and when
 * somebody asks for one (docs/spec/14-kinds.md). */
#include "raft_fsm/apply.h"

#include "base/limits.h"
#include "base/mem.h"

#include <string.h>

#define SLOT_KEY_BYTES (MASTERS_KEY_BYTES + 8 + 8)

/* No client may send it, and no other slot has it. */
static struct bytes
slot_key(uint64_t job, uint64_t slot_us, uint8_t key[SLOT_KEY_BYTES])
{
    memcpy(key, MASTERS_KEY, MASTERS_KEY_BYTES);
    store_u64(key + MASTERS_KEY_BYTES, job);
    store_u64(key + MASTERS_KEY_BYTES + 8, slot_us);
    return (struct bytes){key, SLOT_KEY_BYTES};
}

/* Takes the spec; NULL when there is no room. */
static struct job *make(struct apply *a,
                        const struct job *template,
                        struct bytes key,
                        struct bytes owner,
                        struct job_spec *spec)
{
    struct buffer packed = {0};
    struct job *j = NULL;

    if (job_has_room(a->state, 1, spec->instances)) {
        job_spec_pack(spec, &packed);
        j = job_add(a, key, buffer_view(&packed), spec, owner);
        job_links(j)->parent = template->id;
    }
    buffer_finish(&packed);
    job_spec_finish(spec);
    return j;
}

static struct job *
make_at(struct apply *a, const struct job *template, uint64_t slot_us)
{
    const char *owner = template->owner->name;
    uint8_t key[SLOT_KEY_BYTES];
    struct job_spec spec;
    struct job *j;

    if (job_spec_unpack(&spec, template->spec, NULL) != 0)
        return NULL; /* it was valid when it came */
    job_spec_at_slot(&spec, slot_us);
    j = make(a,
             template,
             slot_key(template->id, slot_us, key),
             (struct bytes){(const uint8_t *)owner, strlen(owner)},
             &spec);
    if (j != NULL)
        job_added(a, j);
    return j;
}

/* The last job of it that has not ended. */
static struct job *running(const struct state *s, const struct job_template *t)
{
    struct job *j = t->child == 0 ? NULL : state_job(s, t->child);

    return j == NULL || job_state_is_final(job_state(j)) ? NULL : j;
}

struct result apply_fire(struct apply *a, const struct command *c)
{
    struct job *template = state_job(a->state, c->fire.job), *last, *child = NULL;
    struct job_template *t;
    bool skip;

    if (template == NULL)
        return result_rejected(ERROR_NOT_FOUND);
    t = template->made;
    if (t == NULL || t->is_dispatched || template->kill_index != 0)
        return result_rejected(ERROR_INVALID);
#ifndef MUTANT_SLOT_TWICE
    if (c->fire.slot_us <= t->last_us)
        return result_rejected(ERROR_INVALID);
#endif
    last = running(a->state, t);
    skip = c->fire.make && last != NULL && t->overlap == OVERLAP_FORBID;
    if (c->fire.make && !skip) {
        child = make_at(a, template, c->fire.slot_us);
        if (child == NULL)
            return result_rejected(ERROR_BUSY);
        if (last != NULL && last->kill_index == 0 && t->overlap == OVERLAP_REPLACE)
            job_kill(a, last); /* once: who was killed keeps when that was */
    }
    state_edit(a->state, object_job(template));
    t->last_us = c->fire.slot_us;
    t->missed += c->fire.missed;
    t->skipped += skip;
    t->fired += child != NULL;
    if (child != NULL)
        t->child = child->id;
    state_edited(a->state, object_job(template));
    apply_effect(a, EFFECT_JOB, template->id, 0);
    a->work++;
    return result_done(a, child == NULL ? 0 : child->id);
}

/* ---- dispatch ---- */

/* What a key that was used for it must be used for again. */
static struct hash128 asked_for(const struct command *c)
{
    struct buffer said = {0};
    struct hash128 hash;

    buffer_append_u64(&said, c->dispatch.job);
    buffer_append(&said, c->dispatch.values.data, c->dispatch.values.size);
    hash = hash128_of(buffer_view(&said));
    buffer_finish(&said);
    return hash;
}

/* The template with these values; false when they are not its own. */
static bool
fill_in(const struct job *template, struct bytes values, struct job_spec *spec)
{
    size_t count;
    char **texts = texts_unpack(values, &count);
    bool right = texts != NULL && job_spec_unpack(spec, template->spec, NULL) == 0;

    if (right && job_spec_with(spec, (const char *const *)texts, count, NULL) != 0) {
        job_spec_finish(spec);
        right = false;
    }
    texts_free(texts, count);
    return right;
}

struct result apply_dispatch(struct apply *a, const struct command *c)
{
    struct job *template = state_job(a->state, c->dispatch.job), *child;
    struct hash128 asked = asked_for(c);
    struct job_spec spec;
    struct result answer;

    if (key_was_used(a->state, c->dispatch.key, asked, &answer))
        return answer;
    if (template == NULL)
        return result_rejected(ERROR_NOT_FOUND);
    if (template->made == NULL || !template->made->is_dispatched ||
        template->kill_index != 0 || !fill_in(template, c->dispatch.values, &spec))
        return result_rejected(ERROR_INVALID);
    child = make(a, template, c->dispatch.key, c->dispatch.owner, &spec);
    if (child == NULL)
        return result_rejected(ERROR_BUSY);
    job_links(child)->set = asked;
    job_added(a, child);
    state_edit(a->state, object_job(template));
    template->made->fired++;
    template->made->child = child->id;
    state_edited(a->state, object_job(template));
    a->work++;
    return result_done(a, child->id);
}
