/* history.c - how long the runs of a job name took. */
#include "raft_fsm/history.h"

#include "base/hash.h"
#include "base/limits.h"
#include "base/mem.h"
#include "raft_fsm/state.h"
#include "wire/job.h"

#include <string.h>

/* ---- names ---- */

static int by_name(const struct history *a, const struct history *b)
{
    int order;

    if (a->hash != b->hash)
        return a->hash < b->hash ? -1 : 1;
    order = strcmp(a->role, b->role);
    return order != 0 ? order : strcmp(a->name, b->name);
}

bool history_is_young(const struct history *h)
{
    return h->runs < HISTORY_NEEDS;
}

static int by_use(const struct history *a, const struct history *b)
{
    if (history_is_young(a) != history_is_young(b))
        return history_is_young(a) ? -1 : 1;
    if (a->used_us != b->used_us)
        return a->used_us < b->used_us ? -1 : 1;
    return (a->id > b->id) - (a->id < b->id);
}

RB_GENERATE(history_tree, history, by_name, by_name)
RB_GENERATE(history_use_tree, history, by_use, by_use)

static uint64_t hash_of_names(const char *role, const char *name)
{
    uint8_t text[LIMIT_ROLE_BYTES + 1 + LIMIT_NAME_BYTES];
    size_t role_size = strlen(role) + 1, name_size = strlen(name);

    memcpy(text, role, role_size);
    memcpy(text + role_size, name, name_size);
    return hash128_of((struct bytes){text, role_size + name_size}).low;
}

struct history_tree *history_tree_of(const struct state *s, uint64_t hash)
{
    return (struct history_tree *)&s->histories_by_name[hash % LIMIT_HISTORIES];
}

struct history *history_create(const char *role, struct bytes name)
{
    size_t role_size = strlen(role) + 1;
    struct history *h = mem_zalloc(sizeof(*h) + role_size + name.size + 1);

    h->role = (char *)(h + 1);
    memcpy(h->role, role, role_size);
    h->name = h->role + role_size;
    if (name.size > 0)
        memcpy(h->name, name.data, name.size);
    h->hash = hash_of_names(h->role, h->name);
    return h;
}

void history_destroy(struct history *h)
{
    mem_free(h);
}

struct history *
state_history(const struct state *s, const char *role, struct bytes name)
{
    char text[LIMIT_NAME_BYTES + 1] = {0};
    struct history wanted = {.role = (char *)role, .name = text};

    if (name.size > 0)
        memcpy(text, name.data, name.size);
    wanted.hash = hash_of_names(role, text);
    return RB_FIND(history_tree, history_tree_of(s, wanted.hash), &wanted);
}

struct history *state_history_of(const struct state *s, const struct job *j)
{
    return state_history(s, j->owner->role->name, job_spec_name(j->spec));
}

/* Names that come once must not drive out what is known: only a quarter is for the young, unless
 * the others leave more. */
struct history *state_history_oldest(const struct state *s)
{
    struct history_use_tree *tree = (struct history_use_tree *)&s->histories_by_use;
    struct history known = {.runs = HISTORY_NEEDS};
    struct history *oldest = NULL;

    if (s->young_histories <= LIMIT_HISTORIES / 4)
        oldest = RB_NFIND(history_use_tree, tree, &known);
    return oldest != NULL ? oldest : RB_MIN(history_use_tree, tree);
}

/* ---- times ---- */

#define FRACTION_BITS 3
#define STEPS         (1u << FRACTION_BITS)

uint8_t history_code(uint64_t ms)
{
    unsigned top, code;

    if (ms < STEPS)
        return (uint8_t)ms;
    top = 63 - (unsigned)__builtin_clzll(ms);
    code = (top - FRACTION_BITS + 1) * STEPS +
           (unsigned)(ms >> (top - FRACTION_BITS) & (STEPS - 1));
    return code < UINT8_MAX ? (uint8_t)code : UINT8_MAX;
}

uint64_t history_time(uint8_t code)
{
    unsigned shift = code / STEPS - 1;

    if (code < 2 * STEPS)
        return code;
    return ((uint64_t)(STEPS + code % STEPS) << shift) + (1ull << shift) / 2;
}

void history_finished(struct history *h, uint64_t ms)
{
    h->took[h->next] = history_code(ms);
    h->lost[h->next] = history_code(h->lost_ms);
    h->lost_ms = 0;
    h->next = (uint8_t)((h->next + 1) % HISTORY_RUNS);
    if (h->runs < HISTORY_RUNS)
        h->runs++;
}

void history_lost(struct history *h, uint64_t ms)
{
    h->lost_ms =
        ms < LIMIT_JOB_TIME_MS - h->lost_ms ? h->lost_ms + ms : LIMIT_JOB_TIME_MS;
}

/* The smallest that at least three quarters did not exceed: codes are in order as times are. */
static uint8_t p75(const struct history *h)
{
    uint8_t sorted[HISTORY_RUNS];

    for (unsigned i = 0; i < h->runs; i++) {
        unsigned at = i;

        for (; at > 0 && sorted[at - 1] > h->took[i]; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = h->took[i];
    }
    return sorted[(3u * h->runs + 3) / 4 - 1];
}

uint64_t history_predict_ms(const struct history *h)
{
    uint64_t lost = h->lost_ms, ms;

    if (history_is_young(h))
        return 0;
    for (unsigned i = 0; i < h->runs; i++)
        lost += history_time(h->lost[i]);
    ms = history_time(p75(h));
#ifndef MUTANT_LOST_TIME_IGNORED
    ms += lost / h->runs;
#endif
    if (ms == 0)
        return 1;
    return ms < LIMIT_JOB_TIME_MS ? ms : LIMIT_JOB_TIME_MS;
}
