/* cluster_attributes.c - agents that differ, jobs that want some of them, and that no task of such a
 * job starts elsewhere (spec 7).
 *
 * What an agent is like is told to the cluster as text, and so is what a job wants.  Here both are
 * numbers, and compared as such: nothing of src/ judges them.  The first agent is all that any job
 * may want.
 */
#include "cluster.h"

#include "base/assert.h"

#include <stdio.h>
#include <string.h>

#define RACKS  3
#define KERNEL 100 /* 5.10 is 510, and more than 5.9, 509 */

/* ---- agents ---- */

void sim_traits_draw(struct sim_agent *a, bool is_first)
{
    static const unsigned MINORS[] = {4, 9, 10, 19};
    struct world *w = &a->cluster->world;
    struct sim_traits *t = &a->traits;
    char text[80];
    int n;

    t->rack = (unsigned)pick(w, is_first ? 1 : 0, RACKS);
    t->gen = (unsigned)pick(w, is_first ? 8 : 7, 11);
    t->kernel = (unsigned)pick(w, 5, 6) * KERNEL + MINORS[pick(w, 0, 3)];
    t->ssd = chance(w, 50);
    n = snprintf(
        text, sizeof(text), "kernel:%u.%u", t->kernel / KERNEL, t->kernel % KERNEL);
    if (t->rack > 0)
        n +=
            snprintf(text + n, sizeof(text) - (size_t)n, ";rack:%c", 'a' + t->rack - 1);
    if (t->gen > 7)
        n += snprintf(text + n, sizeof(text) - (size_t)n, ";gen:%u", t->gen);
    if (t->ssd)
        snprintf(text + n, sizeof(text) - (size_t)n, ";ssd:yes");
    ASSERT(agent_spec_parse_attributes(&a->spec, text, NULL) == 0);
}

/* ---- what jobs want ---- */

/* Something that an agent like this has. */
void sim_wish_draw(struct cluster *c, struct sim_job *j)
{
    struct world *w = &c->world;
    const struct sim_traits *t = &c->agent[0].traits;
    struct sim_wish *wish = &j->wish;

    wish->kind = (enum sim_wish_kind)pick(w, 1, WISH_COUNT - 1);
    wish->racks = 1u << t->rack | 1u << pick(w, 1, RACKS);
    wish->low = wish->kind == WISH_KERNEL ? t->kernel - (unsigned)pick(w, 0, 1) * KERNEL
                                          : t->gen - (unsigned)pick(w, 0, 1);
    wish->high = wish->kind == WISH_KERNEL ? t->kernel + (unsigned)pick(w, 1, KERNEL)
                                           : t->gen + (unsigned)pick(w, 1, 2);
    wish->rack = t->rack;
    wish->ssd = t->ssd;
}

static void say_racks(unsigned racks, const char *between, char *out)
{
    for (unsigned i = 1; i <= RACKS; i++)
        if ((racks >> i & 1) != 0)
            out += sprintf(out, "%c%s", 'a' + i - 1, between);
    *(out - strlen(between)) = '\0';
}

static void say(const struct sim_wish *wish, char *out, size_t size)
{
    unsigned others = ~wish->racks;
    char racks[16];

    switch (wish->kind) {
    case WISH_NONE:
    case WISH_COUNT:
        break;
    case WISH_RACK:
        snprintf(out, size, "rack = %c", 'a' + wish->rack - 1);
        break;
    case WISH_OTHER_RACK:
        snprintf(out, size, "rack != %c", 'a' + wish->rack % RACKS);
        break;
    case WISH_RACKS:
        say_racks(wish->racks, ", ", racks);
        snprintf(out, size, "rack in %s", racks);
        break;
    case WISH_OTHER_RACKS:
        say_racks(others, ", ", racks);
        snprintf(out, size, "rack not_in %s", racks);
        break;
    case WISH_RACKS_REGEXP:
        say_racks(wish->racks, "", racks);
        snprintf(out, size, "rack regexp ^[%s]$", racks);
        break;
    case WISH_GEN_BELOW:
        snprintf(out, size, "gen < %u", wish->high);
        break;
    case WISH_GEN_FROM:
        snprintf(out, size, "gen >= %u", wish->low);
        break;
    case WISH_KERNEL:
        snprintf(out,
                 size,
                 "kernel version >= %u.%u, < %u.%u",
                 wish->low / KERNEL,
                 wish->low % KERNEL,
                 wish->high / KERNEL,
                 wish->high % KERNEL);
        break;
    case WISH_SSD:
        snprintf(out, size, "ssd %s", wish->ssd ? "is_set" : "is_not_set");
        break;
    }
}

void sim_wish_add(const struct sim_wish *wish, struct job_spec *spec)
{
    char text[80];

    if (wish->kind == WISH_NONE)
        return;
    say(wish, text, sizeof(text));
    ASSERT(condition_parse(match_add_constraint(&spec->match), text, NULL) == 0);
}

/* ---- where they start ---- */

static bool is_granted(const struct sim_wish *wish, const struct sim_traits *t)
{
    bool is_one = t->rack > 0 && (wish->racks >> t->rack & 1) != 0;

    switch (wish->kind) {
    case WISH_NONE:
    case WISH_COUNT:
        break;
    case WISH_RACK:
        return t->rack == wish->rack;
    case WISH_OTHER_RACK:
        return t->rack != wish->rack % RACKS + 1;
    case WISH_RACKS:
    case WISH_RACKS_REGEXP:
        return is_one;
    case WISH_OTHER_RACKS:
        return t->rack == 0 || is_one;
    case WISH_GEN_BELOW:
        return t->gen > 7 && t->gen < wish->high;
    case WISH_GEN_FROM:
        return t->gen > 7 && t->gen >= wish->low;
    case WISH_KERNEL:
        return t->kernel >= wish->low && t->kernel < wish->high;
    case WISH_SSD:
        return t->ssd == wish->ssd;
    }
    return true;
}

void check_wish(struct cluster *c, const struct sim_agent *a, uint64_t job)
{
    const struct sim_job *j = sim_job_behind(c, job);

    if (j == NULL || j->wish.kind == WISH_NONE)
        return;
    c->totals.wishes++;
    if (!is_granted(&j->wish, &a->traits))
        world_fail(&c->world,
                   "a task of job %llu starts on agent %u, which is not what it wants "
                   "(wish %d: racks %x, %u to %u)",
                   (unsigned long long)job,
                   a->number,
                   (int)j->wish.kind,
                   j->wish.racks,
                   j->wish.low,
                   j->wish.high);
}
