/* test_reference.c - rounds against docs/spec/7-scheduling.md, written a second time.
 *
 * The reference looks at every task and every agent of the state, adds up for itself what
 * is allocated, and keeps nothing.  A random cluster lives for a while; each round has to
 * plan exactly what the reference says, also when its batch is applied late, in part or
 * never, and when another leader begins from the state alone.  Rounds of a few looks, which
 * do not get to the end of what they compare, have to end where the reference finds nothing.
 */
#include "sched/internal.h"
#include "tests/lib/cluster.h"
#include "tests/lib/unit.h"
#include "tests/unit/sched/random_life.h"
#include "tests/unit/sched/sched_test.h"
#include "tests/unit/sched/slow_match.h"

#include <string.h>

#define RUNS       60
#define SHORT_RUNS 24 /* of a few looks in a round */
#define STEPS      120

static struct cluster c;
static struct life life = {.c = &c};
static uint64_t seed;

static struct {
    unsigned planned, empty, full, cut, systems, reserved, passed_over;
} seen;

/* ---- the reference ---- */

struct slow_agent {
    uint64_t id;
    struct resources capacity, used;
    bool takes_work;
    bool offered[LIFE_PORTS], taken[LIFE_PORTS];
    uint64_t custom[LIFE_NAMES], custom_used[LIFE_NAMES];
    bool runs_images, is_new;
};

struct slow_need {
    struct resources amounts;
    uint32_t ports; /* any */
    bool fixed[LIFE_PORTS];
    uint64_t custom[LIFE_NAMES];
    bool image, is_new;
};

static struct slow_agent agents[LIFE_AGENTS];
static struct slow_place places[LIFE_AGENTS]; /* the same agents */
static size_t agent_count;

static void read_spec(struct slow_agent *a, const struct agent *agent)
{
    struct agent_spec spec;

    ck_assert_int_eq(agent_spec_unpack(&spec, agent->spec, NULL), 0);
    for (size_t i = 0; i < spec.port_count; i++)
        for (int p = spec.ports[i].first; p <= spec.ports[i].last; p++)
            a->offered[p - LIFE_FIRST_PORT] = true;
    for (int n = 0; n < LIFE_NAMES; n++)
        a->custom[n] = custom_resources_amount(&spec.custom, life_names[n]);
    a->runs_images = (spec.features & AGENT_FEATURE_IMAGES) != 0;
    a->is_new = (spec.features & AGENT_FEATURE_JOBS_2) != 0;
    agent_spec_finish(&spec);
}

static struct slow_need need_of(const struct job *j)
{
    struct slow_need need = {.amounts = j->resources};
    struct job_spec spec;

    ck_assert_int_eq(job_spec_unpack(&spec, j->spec, NULL), 0);
    need.ports = spec.ports.count;
    for (size_t i = 0; i < spec.ports.fixed_count; i++)
        for (int p = spec.ports.fixed[i].first; p <= spec.ports.fixed[i].last; p++)
            need.fixed[p - LIFE_FIRST_PORT] = true;
    for (int n = 0; n < LIFE_NAMES; n++)
        need.custom[n] = custom_resources_amount(&spec.custom, life_names[n]);
    need.image = spec.image.source != NULL;
    need.is_new = !job_spec_is_plain(&spec);
    job_spec_finish(&spec);
    return need;
}

static void read_agents(void)
{
    struct agent *a;
    struct attempt *t;

    for (size_t i = 0; i < LIFE_AGENTS; i++)
        slow_place_finish(&places[i]);
    agent_count = 0;
    ck_assert_seed(c.state->agent_count <= LIFE_AGENTS, seed);
    RB_FOREACH (a, agent_tree, &c.state->agents) {
        agents[agent_count++] = (struct slow_agent){
            .id = a->id,
            .capacity = a->capacity,
            .takes_work = a->state == AGENT_ACTIVE && a->mode == AGENT_NORMAL};
        read_spec(&agents[agent_count - 1], a);
        slow_place_read(&places[agent_count - 1], a);
    }
    for (t = state_next_attempt(c.state, 0); t != NULL;
         t = state_next_attempt(c.state, t->id + 1)) {
        for (size_t i = 0; i < agent_count; i++) {
            if (agents[i].id != t->agent->id)
                continue;
            agents[i].takes_work &= !t->superseded;
            if (!t->superseded)
                slow_place_add(&places[i], t->job);
            for (int k = 0; k < RESOURCE_KINDS; k++)
                agents[i].used.amount[k] += t->job->resources.amount[k];
            for (int p = 0; p < t->port_count; p++)
                agents[i].taken[attempt_ports(t)[p] - LIFE_FIRST_PORT] = true;
            for (int n = 0; n < LIFE_NAMES; n++)
                agents[i].custom_used[n] += need_of(t->job).custom[n];
        }
    }
}

static bool fits_besides(const struct slow_agent *a, const struct slow_need *need)
{
    uint32_t free = 0;

    for (int p = 0; p < LIFE_PORTS; p++) {
        bool is_free = a->offered[p] && !a->taken[p];

        if (need->fixed[p] && !is_free)
            return false;
        free += is_free && !need->fixed[p];
    }
    for (int n = 0; n < LIFE_NAMES; n++)
        if (need->custom[n] > 0 && a->custom_used[n] + need->custom[n] > a->custom[n])
            return false;
    return free >= need->ports && (a->runs_images || !need->image) &&
           (a->is_new || !need->is_new);
}

static void take(struct slow_agent *a, const struct slow_need *need)
{
    uint32_t left = need->ports;

    resources_add(&a->used, &need->amounts);
    for (int p = 0; p < LIFE_PORTS; p++) {
        if (need->fixed[p])
            a->taken[p] = true;
        else if (left > 0 && a->offered[p] && !a->taken[p]) {
            a->taken[p] = true;
            left--;
        }
    }
    for (int n = 0; n < LIFE_NAMES; n++)
        a->custom_used[n] += need->custom[n];
}

/* What is left when the task is there: spec 7, "Best fit".  False when it does not fit. */
static bool
left_after(const struct slow_agent *a, const struct slow_need *need, uint64_t *left)
{
    static const uint64_t PRICE[RESOURCE_KINDS] = {
        4294967296, 1024, 1, 16000 * 4294967296};

    *left = 0;
    if (!a->takes_work || !fits_besides(a, need))
        return false;
    for (int k = 0; k < RESOURCE_KINDS; k++) {
        uint64_t taken = a->used.amount[k] + need->amounts.amount[k];

        if (taken > a->capacity.amount[k])
            return false;
        *left += PRICE[k] * (a->capacity.amount[k] - taken);
    }
    return true;
}

/* The highest score; then the least, or with `spread` the most, that is left. */
static struct slow_agent *
slow_best(const struct job *j, const struct match *m, const struct slow_need *need)
{
    bool most_left = j->owner->role->spec.balance == BALANCE_SPREAD;
    struct slow_agent *best = NULL;
    uint64_t best_left = 0, best_score = 0;

    for (size_t i = 0; i < agent_count; i++) {
        uint64_t left, score;

        if (!left_after(&agents[i], need, &left) ||
            !slow_may_be(m, j, places, agent_count, i))
            continue;
        score = slow_score(m, j, places, agent_count, i, left);
        if (best != NULL && (score < best_score ||
                             (score == best_score &&
                              (most_left ? left <= best_left : left >= best_left))))
            continue;
        best = &agents[i];
        best_left = left;
        best_score = score;
    }
    return best;
}

/* ---- the reference: roles ---- */

#define ROLES_MAX 8
#define JOBS_MAX  1024
#define AMOUNTS   (RESOURCE_KINDS + LIFE_NAMES) /* kinds, then custom ones */
#define ONE       1000000000000ull

typedef unsigned __int128 u128;

struct slow_role {
    const struct role *role;
    u128 used[AMOUNTS], owner_used[LIFE_OWNERS][AMOUNTS];
};

/* A job with tasks that are pending and not planned yet. */
struct slow_job {
    const struct job *job;
    struct slow_need need;
    struct job_spec spec;
    struct slow_role *role;
    unsigned owner;
    uint32_t next;
    uint32_t at_once; /* so many, or none */
    bool is_over, fits_nowhere;
};

/* Lower comes first, from the left. */
#define PARTS 8
struct slow_key {
    u128 part[PARTS];
};

static struct slow_role roles[ROLES_MAX];
static size_t role_count;
static struct slow_job jobs[JOBS_MAX];
static size_t job_count;
static u128 total[AMOUNTS];

static void read_roles(void)
{
    struct role *r;

    role_count = 0;
    RB_FOREACH (r, role_tree, &c.state->roles) {
        ck_assert_seed(role_count < ROLES_MAX, seed);
        roles[role_count++] = (struct slow_role){.role = r};
    }
}

static void read_total(void)
{
    memset(total, 0, sizeof(total));
    for (size_t i = 0; i < agent_count; i++) {
        if (state_agent(c.state, agents[i].id)->state != AGENT_ACTIVE)
            continue;
        for (int k = 0; k < RESOURCE_KINDS; k++)
            total[k] += agents[i].capacity.amount[k];
        for (int n = 0; n < LIFE_NAMES; n++)
            total[RESOURCE_KINDS + n] += agents[i].custom[n];
    }
}

static struct slow_role *role_of(const struct job *j)
{
    for (size_t i = 0; i < role_count; i++)
        if (roles[i].role == j->owner->role)
            return &roles[i];
    ck_abort_msg("a job without a role");
}

static unsigned owner_of(const struct job *j)
{
    for (unsigned i = 0; i < LIFE_OWNERS; i++)
        if (strcmp(life_owners[i], j->owner->name) == 0)
            return i;
    ck_abort_msg("a job without an owner");
}

static void use(struct slow_role *role, unsigned owner, const struct slow_need *need)
{
    for (int k = 0; k < AMOUNTS; k++) {
        u128 amount = k < RESOURCE_KINDS ? need->amounts.amount[k]
                                         : need->custom[k - RESOURCE_KINDS];

        role->used[k] += amount;
        role->owner_used[owner][k] += amount;
    }
}

static void step_on(struct slow_job *j, uint32_t from)
{
    for (j->next = from; j->next < j->job->instances; j->next++) {
        const struct task *t = job_task(j->job, j->next);

        if (job_task_state(j->job, j->next) == TASK_PENDING &&
            (t == NULL || !task_waits(t)))
            return;
    }
    j->is_over = true;
}

/* All of a gang of which nothing runs. */
static uint32_t slow_at_once(const struct job *j)
{
    struct job_spec spec;
    uint32_t n = 0;
    bool is_gang;

    ck_assert_int_eq(job_spec_unpack(&spec, j->spec, NULL), 0);
    is_gang = spec.gang;
    job_spec_finish(&spec);
    for (uint32_t i = 0; i < j->instances; i++) {
        enum task_state state = job_task_state(j, i);

        if (state != TASK_PENDING && !task_state_is_final(state))
            return 1;
        n += state == TASK_PENDING;
    }
    return is_gang ? n : 1;
}

static void read_jobs(void)
{
    struct attempt *t;
    struct job *j;

    for (t = state_next_attempt(c.state, 0); t != NULL;
         t = state_next_attempt(c.state, t->id + 1)) {
        struct slow_need need = need_of(t->job);

        use(role_of(t->job), owner_of(t->job), &need);
    }
    for (size_t i = 0; i < job_count; i++)
        job_spec_finish(&jobs[i].spec);
    job_count = 0;
    STATE_FOREACH_JOB (j, c.state) {
        struct slow_job *slow = &jobs[job_count];

        if (job_pending(j) == 0 || j->system != NULL)
            continue;
        ck_assert_seed(job_count < JOBS_MAX, seed);
        *slow = (struct slow_job){
            .job = j, .need = need_of(j), .role = role_of(j), .owner = owner_of(j)};
        slow->at_once = slow_at_once(j);
        step_on(slow, 0);
        if (slow->is_over)
            continue;
        ck_assert_int_eq(job_spec_unpack(&slow->spec, j->spec, NULL), 0);
        job_count++;
    }
}

static bool counts(const struct role_spec *s, int k)
{
    const char *name = k < RESOURCE_KINDS ? NULL : life_names[k - RESOURCE_KINDS];

    return name == NULL || custom_resources_amount(&s->min.custom, name) > 0 ||
           custom_resources_amount(&s->max.custom, name) > 0;
}

/* The largest part of anything that counts. */
static u128 share(const struct role_spec *s, const u128 used[AMOUNTS], uint32_t weight)
{
    u128 most = 0;

    for (int k = 0; k < AMOUNTS; k++) {
        u128 part = used[k] >= total[k] ? ONE : used[k] * ONE / total[k];

        if (counts(s, k) && used[k] > 0 && total[k] > 0 && part > most)
            most = part;
    }
    return most * 1000 / weight;
}

static bool owed(const struct slow_role *r)
{
    const struct role_bound *min = &r->role->spec.min;

    for (int k = 0; k < RESOURCE_KINDS; k++)
        if ((min->kinds >> k & 1) != 0 && r->used[k] >= min->amount.amount[k])
            return false;
    for (int n = 0; n < LIFE_NAMES; n++) {
        uint64_t least = custom_resources_amount(&min->custom, life_names[n]);

        if (least > 0 && r->used[RESOURCE_KINDS + n] >= least)
            return false;
    }
    return min->kinds != 0;
}

static bool
at_maximum(const struct slow_role *r, const struct slow_need *need, uint32_t tasks)
{
    const struct role_bound *max = &r->role->spec.max;

    for (int k = 0; k < RESOURCE_KINDS; k++)
        if ((max->kinds >> k & 1) != 0 && need->amounts.amount[k] > 0 &&
            r->used[k] + tasks * need->amounts.amount[k] > max->amount.amount[k])
            return true;
    for (int n = 0; n < LIFE_NAMES; n++) {
        uint64_t most = custom_resources_amount(&max->custom, life_names[n]);

        if (most > 0 && need->custom[n] > 0 &&
            r->used[RESOURCE_KINDS + n] + tasks * need->custom[n] > most)
            return true;
    }
    return false;
}

/* log2 in 1/1024, rounded down along the line between two powers. */
static u128 slow_log2(u128 n)
{
    u128 exponent = 0;

    while (n >> (exponent + 1) != 0)
        exponent++;
    return exponent * 1024 + ((n << 10) >> exponent) - 1024;
}

static u128 rank(const struct job *j)
{
    const struct role_spec *s = &j->owner->role->spec;
    bool never = s->aging_ms == ROLE_NEVER;
    u128 aging = never ? 0 : s->aging_ms * (u128)1000;
    u128 each = j->expected_ms != 0 ? j->expected_ms : s->length_ms, work;
    uint32_t tasks = 0;

    if (s->order == ROLE_FCFS)
        return j->submitted_us;
    if (s->order == ROLE_PRIORITY || s->order == ROLE_FAIR)
        return never ? (u128)(1000 - j->priority)
                     : j->submitted_us + (u128)(1000 - j->priority) * aging;
    for (uint32_t i = 0; i < j->instances; i++)
        tasks += s->order == ROLE_SJF || !task_state_is_final(job_task_state(j, i));
    work = each * tasks;
    return never ? work : j->submitted_us + slow_log2(work) * aging / 1024;
}

static uint64_t oldest_of_lane(const struct slow_job *j)
{
    uint64_t oldest = UINT64_MAX;

    for (size_t i = 0; i < job_count; i++)
        if (!jobs[i].is_over && jobs[i].role == j->role && jobs[i].owner == j->owner &&
            jobs[i].job->id < oldest)
            oldest = jobs[i].job->id;
    return oldest;
}

static struct slow_key key_of(const struct slow_job *j)
{
    const struct role_spec *s = &j->role->role->spec;
    bool fair = s->order == ROLE_FAIR;

    return (struct slow_key){{
        !owed(j->role),
        (u128)(1000 - s->priority),
        share(s, j->role->used, s->weight),
        j->role->role->id,
        fair ? share(s, j->role->owner_used[j->owner], 1000) : 0,
        fair ? oldest_of_lane(j) : 0,
        rank(j->job),
        j->job->id,
    }};
}

static bool is_before(const struct slow_key *a, const struct slow_key *b)
{
    for (int i = 0; i < PARTS; i++)
        if (a->part[i] != b->part[i])
            return a->part[i] < b->part[i];
    return false;
}

static void take_best(struct slow_job *j, struct slow_agent *a)
{
    take(a, &j->need);
    slow_place_add(&places[a - agents], j->job);
}

/* One after the other, and nothing of it stays. */
static bool fit(struct slow_job *j)
{
    static struct slow_agent before[LIFE_AGENTS];
    size_t tasks[LIFE_AGENTS];
    struct slow_agent *a = NULL;

    if (j->at_once == 1)
        return slow_best(j->job, &j->spec.match, &j->need) != NULL;
    memcpy(before, agents, sizeof(before));
    for (size_t i = 0; i < agent_count; i++)
        tasks[i] = places[i].job_count;
    for (uint32_t n = 0; n < j->at_once; n++) {
        a = slow_best(j->job, &j->spec.match, &j->need);
        if (a == NULL)
            break;
        take_best(j, a);
    }
    memcpy(agents, before, sizeof(before));
    for (size_t i = 0; i < agent_count; i++)
        places[i].job_count = tasks[i];
    return a != NULL;
}

/* Whose task is next, of those that fit somewhere and that their role may have. */
static struct slow_job *slow_next(void)
{
    struct slow_job *next = NULL;
    struct slow_key first, key;

    for (size_t i = 0; i < job_count; i++) {
        struct slow_job *j = &jobs[i];

        if (j->is_over || j->fits_nowhere || at_maximum(j->role, &j->need, j->at_once))
            continue;
        if (!fit(j)) {
            j->fits_nowhere = true; /* nothing grows while we plan */
            continue;
        }
        key = key_of(j);
        if (next != NULL && !is_before(&key, &first))
            continue;
        next = j;
        first = key;
    }
    return next;
}

/* *full: a gang that is next has no room in the plan. */
static size_t slow_plan(struct placement *plan, size_t max, bool *full)
{
    size_t count = 0;
    struct slow_job *j;

    *full = false;
    read_agents();
    read_total();
    read_roles();
    read_jobs();
    while (count < max && (j = slow_next()) != NULL) {
        if (count + j->at_once > max) {
            *full = true;
            break;
        }
        for (uint32_t n = j->at_once; n > 0; n--) {
            const struct task *t = job_task(j->job, j->next);
            struct slow_agent *a = slow_best(j->job, &j->spec.match, &j->need);

            take_best(j, a);
            use(j->role, j->owner, &j->need);
            plan[count++] = (struct placement){
                j->job->id, j->next, t == NULL ? 1 : t->attempt + 1, a->id};
            step_on(j, j->next + 1);
        }
    }
    return count;
}

static bool is_same(const struct placement *a, const struct placement *b)
{
    return a->job == b->job && a->instance == b->instance && a->attempt == b->attempt &&
           a->agent == b->agent;
}

/* A round may end before a gang that is larger than what is left of it, also when there is no place
 * for that. */
static bool has_no_room_for_gang(size_t max)
{
    for (size_t i = 0; i < job_count; i++)
        if (jobs[i].at_once > 1 && c.planned + jobs[i].at_once > max)
            return c.more;
    return false;
}

/* ---- the reference: system jobs ---- */

/* It may get its task there now. */
static bool slow_wants(const struct job *j, struct slow_agent *a)
{
    struct slow_need need = need_of(j);
    struct job_spec spec;
    uint64_t left;
    bool may;

    for (uint32_t i = 0; i < j->instances; i++) {
        const struct task *t = job_task(j, i);

        if (t->agent_id == a->id && t->state != TASK_LOST &&
            (t->state != TASK_PENDING || task_waits(t)))
            return false;
    }
    ck_assert_int_eq(job_spec_unpack(&spec, j->spec, NULL), 0);
    may = job_state(j) != JOB_KILLED && j->kill_index == 0 &&
          !at_maximum(role_of(j), &need, 1) && left_after(a, &need, &left) &&
          slow_may_be(&spec.match, j, places, agent_count, (size_t)(a - agents));
    job_spec_finish(&spec);
    return may;
}

static struct slow_agent *slow_agent(uint64_t id)
{
    for (size_t i = 0; i < agent_count; i++)
        if (agents[i].id == id)
            return &agents[i];
    ck_abort_msg("no such agent");
}

/* The last round was of system tasks: this one is of others, unless agents are new. */
static bool is_others_turn;

static void check_system_plan(void)
{
    for (size_t i = 0; i < c.planned; i++) {
        const struct placement *p = &c.plan[i];
        struct job *j = state_job(c.state, p->job);
        struct slow_need need = need_of(j);

        ck_assert_seed(j->system != NULL, seed);
        ck_assert_seed(slow_wants(j, slow_agent(p->agent)), seed);
        for (size_t k = 0; k < i; k++)
            ck_assert_seed(c.plan[k].job != p->job || c.plan[k].agent != p->agent,
                           seed);
        take(slow_agent(p->agent), &need);
        use(role_of(j), owner_of(j), &need);
        slow_place_add(&places[slow_agent(p->agent) - agents], j);
    }
    ck_assert_seed(c.more, seed);
    seen.systems += (unsigned)c.planned;
}

static bool any_system_wants(void)
{
    struct job *j;

    STATE_FOREACH_JOB (j, c.state)
        for (size_t i = 0; i < agent_count && j->system != NULL; i++)
            if (slow_wants(j, &agents[i]))
                return true;
    return false;
}

static bool is_of_systems(void)
{
    return c.planned > 0 && state_job(c.state, c.plan[0].job)->system != NULL;
}

/* Each of them may be placed, and no agent is there twice for a job.  False when the round is of
 * others; then none could be placed, unless it was the others' turn. */
static bool check_systems(bool was_others_turn)
{
    if (is_of_systems())
        check_system_plan();
    else
        ck_assert_seed(!any_system_wants() || (was_others_turn && c.more), seed);
    return is_of_systems();
}

static void check_plan(size_t max)
{
    static struct placement expected[LIMIT_PLACEMENTS];
    bool was_cut = c.sched->lanes.is_cut, was_others_turn = is_others_turn, full;
    size_t count, same = 0;

    cluster_plan(&c, max);
    is_others_turn = is_of_systems();
    /* Capped shapes have an eighth of the looks: the next round goes on with them. */
    if (was_cut || c.sched->lanes.is_cut) {
        seen.passed_over++;
        seen.planned += (unsigned)c.planned;
        return;
    }
    slow_plan(expected, 0, &full); /* reads the state */
    if (check_systems(was_others_turn))
        return;
    count = slow_plan(expected, max, &full);
    while (same < count && same < c.planned && is_same(&c.plan[same], &expected[same]))
        same++;
    ck_assert_seed(same == c.planned, seed);
    if (!has_no_room_for_gang(max)) {
        ck_assert_seed(same == count, seed);
        ck_assert_seed(c.more == (full || count == max) || (c.more && was_others_turn),
                       seed);
    }
    seen.planned += (unsigned)count;
    seen.empty += count == 0;
    seen.full += count == max;
}

/* ---- rounds ---- */

static void step(void)
{
    uint64_t accepted;

    life_go_on(&life, (unsigned)rng_below(&life.rng, 12));
    if (rng_percent(&life.rng, 3)) {
        sched_reset(c.sched, c.state);
        is_others_turn = false;
    }
    check_plan(rng_percent(&life.rng, 30) ? 1 + rng_below(&life.rng, 8) : LIMIT_PLACEMENTS);
    if (rng_percent(&life.rng, 10))
        return; /* another leader's entry took the place of the batch */
    if (rng_percent(&life.rng, 30)) {
        life_go_on(&life, (unsigned)rng_below(&life.rng, 30));
        cluster_place(&c);
    } else {
        accepted = cluster_place(&c);
        ck_assert_seed(accepted == c.planned, seed);
        if (!c.more)
            sched_check(c.sched, c.state);
    }
    state_check(c.state);
}

START_TEST(test_rounds_plan_what_the_reference_says)
{
    seed = test_seed(_i);
    life.rng = (struct rng){seed};
    life.is_wide = seed % 2 == 1;
    life.is_choosy = seed % 4 >= 2;
    is_others_turn = false;
    cluster_init(&c);
    for (int i = 0; i < STEPS; i++)
        step();
    ck_assert_seed(seen.planned > 50, seed);
    ck_assert_seed(seen.empty > 0, seed);
    ck_assert_seed(seen.full > 0, seed);
    ck_assert_seed(seen.systems > 0, seed);
    ck_assert_seed(seen.passed_over <= STEPS / 20, seed);
    cluster_finish(&c);
}
END_TEST

static void settle(void)
{
    static struct placement left[LIMIT_PLACEMENTS];
    unsigned rounds = 0;
    bool full;

    do {
        cluster_plan(&c, rng_percent(&life.rng, 30) ? 3 : LIMIT_PLACEMENTS);
        cluster_place(&c);
        ck_assert_seed(++rounds < 10000, seed);
    } while (c.more);
    ck_assert_seed(life.reserves || (slow_plan(left, LIMIT_PLACEMENTS, &full) == 0 && !full),
                   seed);
    sched_check(c.sched, c.state);
    seen.reserved += c.sched->claims.used != 0;
}

static void short_step(void)
{
    life_go_on(&life, (unsigned)rng_below(&life.rng, 12));
    if (rng_percent(&life.rng, 2))
        sched_reset(c.sched, c.state);
    if (rng_percent(&life.rng, 40)) {
        settle();
        return;
    }
    cluster_plan(&c, LIMIT_PLACEMENTS);
    seen.cut += c.more;
    if (rng_percent(&life.rng, 30))
        life_go_on(&life, (unsigned)rng_below(&life.rng, 20));
    if (rng_percent(&life.rng, 80))
        cluster_place(&c);
}

START_TEST(test_short_rounds_miss_nothing)
{
    seed = test_seed(_i);
    life.rng = (struct rng){seed};
    life.is_wide = _i % 2 == 1;
    life.is_choosy = _i % 8 >= 4;
    cluster_init_with(&c, _i % 4 < 2 ? 24 : 40);
    for (int i = 0; i < STEPS; i++)
        short_step();
    settle();
    ck_assert_seed(seen.cut > 0, seed);
    state_check(c.state);
    cluster_finish(&c);
}
END_TEST

/* What is kept for somebody is free, so the reference, which keeps nothing, finds more; but who
 * sleeps does so for a reason, and rounds end. */
START_TEST(test_rounds_that_reserve_miss_nothing)
{
    seed = test_seed(_i);
    life.rng = (struct rng){seed};
    life.is_wide = _i % 2 == 1;
    life.is_choosy = seed % 4 >= 2;
    life.reserves = true;
    cluster_init_with(&c, _i % 4 < 2 ? SCHED_LOOKS : 40);
    for (int i = 0; i < STEPS; i++) {
        short_step();
        if (rng_percent(&life.rng, 30))
            c.now_us += rng_below(&life.rng, 5000000);
    }
    settle();
    ck_assert_seed(seen.reserved > 0, seed);
    state_check(c.state);
    cluster_finish(&c);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("reference");

    tcase_add_loop_test(t, test_rounds_plan_what_the_reference_says, 0, unit_seeds(RUNS));
    tcase_add_loop_test(t, test_short_rounds_miss_nothing, 0, unit_seeds(SHORT_RUNS));
    tcase_add_loop_test(t, test_rounds_that_reserve_miss_nothing, 0, unit_seeds(SHORT_RUNS));
    return unit_run("reference", &t, 1);
}
