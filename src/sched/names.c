/* names.c - which jobs an agent has tasks of. */
#include "sched/names.h"

#include "base/hash.h"
#include "base/mem.h"
#include "base/search.h"

#include <stdlib.h>
#include <string.h>

uint64_t name_number(const struct role *role, struct bytes name)
{
    return hash128_of(name).low ^ role->id * 0x9e3779b97f4a7c15;
}

uint64_t name_number_of(const struct job *j)
{
    return name_number(j->owner->role, job_spec_name(j->spec));
}

void names_forget(struct names *n)
{
    mem_free(n->of);
    *n = (struct names){0};
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static void append(struct names *n, uint64_t number)
{
    MEM_GROW(n->of, n->capacity, n->count + 1);
    n->of[n->count++] = number;
}

/* Neighbours are often of one job, or of one name. */
void names_read(struct names *n, const struct agent *agent)
{
    const struct job *last = NULL;
    struct attempt *t;
    size_t count;

    names_forget(n);
    n->are_known = true;
    TAILQ_FOREACH (t, &agent->attempts, by_agent) {
        if (t->job != last)
            append(n, name_number_of(t->job));
        last = t->job;
    }
    if (n->count == 0)
        return;
    qsort(n->of, n->count, sizeof(*n->of), compare);
    count = n->count;
    n->count = 1;
    for (size_t i = 1; i < count; i++)
        if (n->of[i] != n->of[n->count - 1])
            n->of[n->count++] = n->of[i];
}

/* The first that is not below. */
static size_t find(const struct names *n, uint64_t number)
{
    size_t at;

    SEARCH_END(at, 0, n->count, n->of[at] < number);
    return at;
}

bool names_have(const struct names *n, uint64_t number)
{
    size_t at = find(n, number);

    return at < n->count && n->of[at] == number;
}

void names_add(struct names *n, uint64_t number)
{
    size_t at = find(n, number);

    if (at < n->count && n->of[at] == number)
        return;
    append(n, number);
    memmove(&n->of[at + 1], &n->of[at], (n->count - 1 - at) * sizeof(*n->of));
    n->of[at] = number;
}
