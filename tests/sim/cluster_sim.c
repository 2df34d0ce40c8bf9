/* cluster_sim.c - the whole cluster under faults, from one seed.
 *
 *     cluster_sim [--seed N] [--seeds N] [--first N] [--seconds S] [--trace 1|2] [--quiet]
 *
 * A seed is 60 virtual seconds: faults for 35 of them, by time and by state (a leader just
 * elected, an entry just appended or committed, a snapshot just begun, a run just recorded or
 * started), then everything heals, and whatever was acknowledged must be there, finished, and
 * equal everywhere.  --seed N replays one seed with its trace hash; the same seed always gives
 * the same hash.  Many seeds that never reach one of the states that are counted are a failure
 * too: they show less than they seem to.
 */
#include "cluster.h"

#include "base/assert.h"
#include "base/mem.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define FAULTS_END 35  /* seconds; then healing */
#define DRAINS_END 9   /* after that: until then drains reach their deadlines */
#define FAULTS_MIN 3   /* in a seed: until then they go on */
#define SEEDS_MANY 500 /* reach every state */

/* ---- dispatch of the network ---- */

static bool is_master(const struct cluster *c, unsigned node)
{
    return node < c->masters;
}

static bool is_agent(const struct cluster *c, unsigned node)
{
    return node >= c->masters && node < c->masters + c->agents;
}

static struct cluster *cluster_of(struct connection *link)
{
    /* The network is a member of the cluster. */
    return (struct cluster *)(void *)((char *)link->net -
                                      offsetof(struct cluster, net));
}

static void on_bytes(struct connection *link, int end, struct bytes bytes)
{
    struct cluster *c = cluster_of(link);
    unsigned node = link->node[end];

    if (is_master(c, node))
        sim_master_bytes(link->user[end], link, bytes);
    else if (is_agent(c, node))
        sim_agent_bytes(link->user[end], link, bytes);
    else
        sim_client_bytes(link->user[end], link, bytes);
}

static void on_closed(struct connection *link, int end)
{
    struct cluster *c = cluster_of(link);
    unsigned node = link->node[end];

    if (is_master(c, node))
        sim_master_closed(link->user[end], link);
    else if (is_agent(c, node))
        sim_agent_closed(link->user[end], link);
    else
        sim_client_closed(link->user[end], link);
}

static void reconnect(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct cluster *c = context;

    sim_masters_connect(c);
    if (!w->failed)
        sim_agents_connect(c);
    world_in(w, pick(w, 2 * MS, 60 * MS), reconnect, c, a, b);
}

/* ---- faults by time ---- */

static void heal_cuts(struct cluster *c)
{
    unsigned nodes = c->masters + c->agents + c->clients;

    for (unsigned i = 0; i < nodes; i++)
        for (unsigned j = 0; j < nodes; j++)
            if (c->net.cut[i][j])
                network_cut(&c->net, i, j, false);
}

static void cut_pair(struct cluster *c, unsigned x, unsigned y)
{
    if (x == y)
        return;
    c->totals.cuts++;
    c->totals.faults++;
    world_note(&c->world, 1, "cut", x, y, 0);
    network_cut(&c->net, x, y, true);
    if (!c->plan.one_way || chance(&c->world, 50))
        network_cut(&c->net, y, x, true);
}

static void cut_agent_off(struct cluster *c, unsigned agent)
{
    for (unsigned i = 0; i < c->masters; i++)
        cut_pair(c, c->agent[agent].number, i);
}

/* Its process alone, or its host with all that runs there. */
static void pause_agent(struct cluster *c, struct sim_agent *a, uint64_t for_us)
{
    uint64_t until_us = c->world.now_us + for_us;

    if (!network_pause(&c->net, a->number, until_us))
        return;
    if (chance(&c->world, 50)) {
        c->totals.frozen++;
        if (a->frozen_until_us < until_us)
            a->frozen_until_us = until_us;
    }
    c->totals.pauses++;
    c->totals.faults++;
    world_note(&c->world, 1, "pause agent", a->number, for_us / MS, 0);
}

static void close_some(struct cluster *c, unsigned master)
{
    c->totals.faults++;
    for (unsigned i = 0; i < c->masters; i++)
        if (c->master[master].links[i] != NULL && chance(&c->world, 70))
            network_close(c->master[master].links[i]);
}

static void strike_master(struct cluster *c)
{
    struct world *w = &c->world;
    struct sim_master *m = &c->master[pick(w, 0, c->masters - 1)];

    switch (pick(w, 0, 7)) {
    case 0:
        cut_pair(c, m->number, (unsigned)pick(w, 0, c->masters - 1));
        break;
    case 1:
        m->store.latency_us = pick(w, 200, 60 * MS);
        break;
    case 2:
        if (c->plan.crash)
            sim_master_crash(m, pick(w, 1 * MS, 4 * SECOND));
        break;
    case 3:
        if (c->plan.pause && m->alive)
            sim_master_pause(m, pick(w, 1 * MS, 5 * SECOND));
        break;
    case 4:
        if (c->plan.false_hints && m->alive)
            close_some(c, m->number);
        break;
    case 5:
        if (c->plan.crash && chance(w, 20))
            for (unsigned i = 0; i < c->masters; i++)
                sim_master_crash(&c->master[i], pick(w, 1 * MS, 3 * SECOND));
        else if (c->plan.crash && m->alive)
            sim_master_shutdown(m);
        break;
    case 6:
        c->net.delay_us[m->number][pick(w, 0, c->masters - 1)] = pick(w, 100, 60 * MS);
        break;
    case 7:
        if (c->plan.clock_jumps)
            sim_clock_set(m,
                          (int64_t)pick(w, 0, 7200 * SECOND) - 3600 * (int64_t)SECOND);
        break;
    }
}

static void strike_agent(struct cluster *c)
{
    struct world *w = &c->world;
    unsigned i = (unsigned)pick(w, 0, c->agents - 1);
    struct sim_agent *a = &c->agent[i];

    switch (pick(w, 0, 5)) {
    case 0:
        cut_agent_off(c, i);
        break;
    case 1:
        cut_pair(c, a->number, (unsigned)pick(w, 0, c->masters - 1));
        break;
    case 2:
        if (c->plan.agent_crash)
            sim_agent_crash(
                a, c->plan.reboot && chance(w, 40), pick(w, 1 * MS, 6 * SECOND));
        break;
    case 3:
        if (c->plan.pause && a->alive)
            pause_agent(
                c, a, pick(w, 1 * MS, chance(w, 20) ? 20 * SECOND : 8 * SECOND));
        break;
    case 4:
        for (unsigned j = 0; j < c->masters; j++)
            if (a->links[j] != NULL && chance(w, 50))
                network_close(a->links[j]);
        break;
    case 5: /* a switch: more than may be declared unreachable at once */
        for (unsigned j = 0; j < c->agents; j++)
            if (chance(w, 60))
                cut_agent_off(c, j);
        break;
    }
}

/* Somebody works on the machines. */
static void strike_mode(struct cluster *c)
{
    struct world *w = &c->world;

    c->totals.faults++;
    sim_client_mode(c,
                    pick(w, 1, c->plan.losses ? sim_last_agent(c) + 1 : c->agents),
                    (enum agent_mode)pick(w, 0, AGENT_MODE_COUNT - 1),
                    pick(w, 0, SIM_DRAIN_MS));
}

static void strike_disk(struct cluster *c)
{
    struct sim_agent *a = &c->agent[pick(&c->world, 0, c->agents - 1)];

    c->totals.faults++;
    c->totals.low_disks += !a->disk_low;
    sim_agent_disk(a, !a->disk_low);
}

static void free_disk(struct world *w, void *context, uint64_t a, uint64_t b)
{
    (void)w;
    (void)a;
    (void)b;
    sim_agent_disk(context, false);
}

static void nemesis(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct cluster *c = context;

    if (c->healing)
        return;
    if (c->plan.drains && chance(w, 20))
        strike_mode(c);
    if (c->plan.low_disks && chance(w, 20))
        strike_disk(c);
    if (c->plan.roles && chance(w, 20))
        sim_client_role(c);
    if (c->plan.losses && chance(w, 10))
        sim_agent_lose(&c->agent[pick(w, 0, c->agents - 1)],
                       pick(w, 1 * MS, 6 * SECOND));
    if (chance(w, c->plan.leases ? 12 : 35))
        heal_cuts(c);
    else if (chance(w, c->plan.calm_masters ? 5 : 60))
        strike_master(c);
    else
        strike_agent(c);
    world_in(w, pick(w, 50 * MS, 2500 * MS), nemesis, c, a, b);
}

static void sweep(struct world *w, void *context, uint64_t a, uint64_t b)
{
    check_sweep(context);
    sim_plan(context);
    world_in(w, 1500 * MS, sweep, context, a, b);
}

/* ---- a seed ---- */

static struct cluster *setup(uint64_t seed, int trace)
{
    struct cluster *c = mem_zalloc(sizeof(*c));
    struct world *w = &c->world;
    struct rng more = {.state =
                           ~seed}; /* what came later: other seeds stay as they are */

    world_init(w, seed, trace);
    c->plans.state = seed;
    c->masters = chance(w, 70) ? 3 : chance(w, 80) ? 5 : 1;
    c->agents = (unsigned)pick(w, 1, chance(w, 20) ? AGENTS_MAX : 5);
    c->clients = (unsigned)pick(w, 1, CLIENTS_MAX);
    c->plan = (struct plan){
        .crash = chance(w, 80),
        .pause = chance(w, 60),
        .snapshots = chance(w, 60),
        .agent_crash = chance(w, 70),
        .reboot = chance(w, 50),
        .clock_jumps = chance(w, 40),
        .false_hints = chance(w, 50),
        .one_way = chance(w, 50),
        .founding_faults = chance(w, 30),
        .purge = chance(w, 40),
        .lossy = chance(w, 25),
        .calm_masters = chance(w, 25),
        .drains = chance(w, 40),
        .leases = c->agents > 1 && chance(w, 25),
    };
    c->plan.low_disks = rng_percent(&more, 25);
    c->plan.losses = c->agents > 1 && rng_percent(&more, 25);
    c->plan.slow_users = rng_percent(&more, 20);
    c->plan.roles = rng_percent(&more, 40);
    c->plan.rebalances = rng_percent(&more, 60);
    c->plan.calm_masters |= c->plan.leases && chance(w, 80);
    c->digests = mem_zalloc(INDEX_MAX * sizeof(*c->digests));
    c->leaders = mem_zalloc(TERMS_MAX);
    c->elected_us = mem_zalloc(TERMS_MAX * sizeof(*c->elected_us));
    RB_INIT(&c->launches);
    RB_INIT(&c->forgotten);
    RB_INIT(&c->preempted);
    RB_INIT(&c->moved);
    c->preempts.what = "tasks preempted";
    c->moves.what = "tasks moved";
    RB_INIT(&c->finals);
    network_init(&c->net,
                 w,
                 c->masters + c->agents + c->clients,
                 (struct network_calls){.bytes = on_bytes, .closed = on_closed});
    c->net.loss_percent = 5;
    c->net.repeat_percent = 8;
    for (unsigned i = 0; i < c->masters; i++)
        snprintf(c->addresses[i], sizeof(c->addresses[i]), "127.0.0.1:%u", 5001 + i);
    for (unsigned i = 0; i < c->masters; i++)
        sim_master_init(c, i);
    for (unsigned i = 0; i < c->masters; i++)
        sim_master_start(&c->master[i]);
    for (unsigned i = 0; i < c->agents; i++) {
        sim_agent_init(c, i);
        c->agent[i].disk_low = c->plan.low_disks && chance(w, 40);
        sim_agent_start(&c->agent[i]);
        if (c->agent[i].disk_low)
            world_in(w, pick(w, 1 * SECOND, 8 * SECOND), free_disk, &c->agent[i], 0, 0);
    }
    for (unsigned i = 0; i < c->clients; i++)
        sim_client_init(c, i);
    world_in(w, 1 * MS, reconnect, c, 0, 0);
    world_in(w, c->plan.founding_faults ? 10 * MS : 1 * SECOND, nemesis, c, 0, 0);
    world_in(w, 2 * SECOND, sweep, c, 0, 0);
    return c;
}

static void uncordon(struct world *w, void *context, uint64_t a, uint64_t b)
{
    (void)w;
    (void)a;
    (void)b;
    sim_clients_uncordon(context);
    sim_clients_free_roles(context);
}

static void heal(struct cluster *c)
{
    unsigned nodes = c->masters + c->agents + c->clients;

    c->healing = true;
    c->healed_us = c->world.now_us;
    world_note(&c->world, 1, "everything heals", 0, 0, 0);
    heal_cuts(c);
    for (unsigned i = 0; i < nodes; i++)
        for (unsigned j = 0; j < nodes; j++)
            if (c->net.delay_us[i][j] > 5 * MS)
                c->net.delay_us[i][j] = 5 * MS;
    for (unsigned i = 0; i < c->masters; i++)
        if (c->master[i].store.latency_us > 5 * MS)
            c->master[i].store.latency_us = 5 * MS;
    for (unsigned i = 0; i < c->agents; i++)
        sim_agent_disk(&c->agent[i], false);
    sim_clients_end_endless(c);
    world_in(&c->world, DRAINS_END * SECOND, uncordon, c, 0, 0);
}

static void teardown(struct cluster *c)
{
    for (unsigned i = 0; i < c->masters; i++)
        sim_master_finish(&c->master[i]);
    for (unsigned i = 0; i < c->agents; i++)
        sim_agent_finish(&c->agent[i]);
    for (unsigned i = 0; i < c->clients; i++)
        sim_client_finish(&c->client[i]);
    network_finish(&c->net);
    checks_finish(c);
    world_finish(&c->world);
    mem_free(c->digests);
    mem_free(c->leaders);
    mem_free(c->elected_us);
    mem_free(c);
}

struct report {
    bool failed;
    unsigned masters, agents;
    uint64_t hash;
    char why[400];
    struct totals totals;
};

static struct report run_seed(uint64_t seed, uint64_t seconds, int trace)
{
    struct cluster *c = setup(seed, trace);
    struct report report = {0};
    uint64_t end = FAULTS_END;

    world_run(&c->world, end * SECOND);
    while (!c->world.failed && c->totals.faults < FAULTS_MIN)
        world_run(&c->world, ++end * SECOND);
    if (!c->world.failed)
        heal(c);
    if (seconds > FAULTS_END)
        end += seconds - FAULTS_END;
    world_run(&c->world, end * SECOND);
    /* A single agent that was paused to the end may need longer for what it was given. */
    for (uint64_t longest = end + seconds; end < longest && check_busy(c);)
        world_run(&c->world, ++end * SECOND);
    if (!c->world.failed)
        check_end(c);
    report.masters = c->masters;
    report.agents = c->agents;
    report.hash = c->world.hash;
    report.failed = c->world.failed;
    memcpy(report.why, c->world.why, sizeof(report.why));
    for (unsigned i = 0; i < c->masters; i++)
        if (c->master[i].alive && master_state(c->master[i].core)->globals.founded)
            c->totals.founded = 1;
    for (unsigned i = 0; i < c->masters; i++) {
        sim_master_count(&c->master[i]);
        c->totals.batches_lost += c->master[i].store.lost_batches;
        c->totals.batches_kept += c->master[i].store.kept_batches;
    }
    c->totals.packets_stalled = c->net.stalled;
    c->totals.packets_lost = c->net.lost;
    c->totals.packets_repeated = c->net.repeated;
    c->totals.packets_late = c->net.late;
    report.totals = c->totals;
    teardown(c);
    return report;
}

/* ---- many seeds, each in a process of its own: an assertion is one failed seed ---- */

static bool run_forked(uint64_t seed, uint64_t seconds, struct report *report)
{
    int ends[2];
    pid_t pid;
    int status;
    size_t got = 0;

    if (pipe(ends) != 0)
        exit(1);
    pid = fork();
    if (pid < 0)
        exit(1);
    if (pid == 0) {
        struct report r = run_seed(seed, seconds, 0);

        close(ends[0]);
        _exit(write(ends[1], &r, sizeof(r)) == (ssize_t)sizeof(r) ? 0 : 1);
    }
    close(ends[1]);
    while (got < sizeof(*report)) {
        ssize_t n = read(ends[0], (char *)report + got, sizeof(*report) - got);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        got += (size_t)n;
    }
    close(ends[0]);
    waitpid(pid, &status, 0);
    return got == sizeof(*report) && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Every member of the totals is a uint64_t. */
static void add_totals(struct totals *to, const struct totals *from)
{
    uint64_t *x = (uint64_t *)(void *)to;
    const uint64_t *y = (const uint64_t *)(const void *)from;

    for (size_t i = 0; i < sizeof(*to) / sizeof(*x); i++)
        x[i] += y[i];
}

struct counter {
    const char *name;
    size_t at; /* in the totals */
};

#define C(name, member) {#name, offsetof(struct totals, member)},
#define X(name)         C(name, name)
#define M(name, help)   C(name, master.name)
#define R(name, help)   C(name, replica.name)
static const struct counter COUNTERS[] = {CLUSTER_COUNTERS(X) MASTER_COUNTERS(M)
                                              REPLICA_COUNTERS(R)};
#undef C
#undef X
#undef M
#undef R

/* Guards that no peer of ours gives cause to, but for once in many thousand seeds; and a
 * host that is frozen for long while it has an exclusive task, once in a thousand. */
static const char *const RARE[] = {"excused",
                                   "guard_installing",
                                   "commit_regressions",
                                   "messages_malformed",
                                   "snapshots_abandoned"};

static bool is_rare(const char *name)
{
    for (size_t i = 0; i < sizeof(RARE) / sizeof(*RARE); i++)
        if (strcmp(RARE[i], name) == 0)
            return true;
    return false;
}

/* How many states were never reached that should have been. */
static unsigned report_totals(const struct totals *totals, uint64_t seeds, bool quiet)
{
    unsigned missed = 0;

    for (size_t i = 0; i < sizeof(COUNTERS) / sizeof(*COUNTERS); i++) {
        const struct counter *c = &COUNTERS[i];
        uint64_t value;

        memcpy(&value, (const char *)totals + c->at, sizeof(value));
        if (!quiet)
            printf("  %-24s %llu\n", c->name, (unsigned long long)value);
        if (value > 0 || seeds < SEEDS_MANY || is_rare(c->name))
            continue;
        printf("%s: never in %llu seeds\n", c->name, (unsigned long long)seeds);
        missed++;
    }
    return missed;
}

int main(int argc, char **argv)
{
    uint64_t first = 1, seeds = 100, seconds = 60, failures = 0;
    unsigned missed;
    int trace = 0, quiet = 0, option;
    struct totals total = {0};
    static const struct option OPTIONS[] = {{"first", required_argument, NULL, 'f'},
                                            {"seeds", required_argument, NULL, 'n'},
                                            {"seed", required_argument, NULL, 'o'},
                                            {"seconds", required_argument, NULL, 's'},
                                            {"trace", required_argument, NULL, 't'},
                                            {"quiet", no_argument, NULL, 'q'},
                                            {0}};

    while ((option = getopt_long(argc, argv, "", OPTIONS, NULL)) != -1) {
        switch (option) {
        case 'f':
            first = strtoull(optarg, NULL, 10);
            break;
        case 'n':
            seeds = strtoull(optarg, NULL, 10);
            break;
        case 'o':
            first = strtoull(optarg, NULL, 10);
            seeds = 1;
            break;
        case 's':
            seconds = strtoull(optarg, NULL, 10);
            break;
        case 't':
            trace = atoi(optarg);
            break;
        case 'q':
            quiet = 1;
            break;
        default:
            return 2;
        }
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("seeds %llu to %llu, %llu virtual seconds each\n",
           (unsigned long long)first,
           (unsigned long long)(first + seeds - 1),
           (unsigned long long)seconds);
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        struct report r;

        if (trace > 0) {
            r = run_seed(seed, seconds, trace);
        } else if (!run_forked(seed, seconds, &r)) {
            printf("seed %llu: the process died (see above)\n",
                   (unsigned long long)seed);
            failures++;
            continue;
        }
        if (r.failed) {
            printf("seed %llu (%u masters, %u agents): %s\n",
                   (unsigned long long)seed,
                   r.masters,
                   r.agents,
                   r.why);
            failures++;
        }
        add_totals(&total, &r.totals);
        if (seeds == 1)
            printf("seed %llu: trace hash %016llx\n",
                   (unsigned long long)seed,
                   (unsigned long long)r.hash);
    }
    missed = report_totals(&total, seeds, quiet);
    printf("%llu passed, %llu failed\n",
           (unsigned long long)(seeds - failures),
           (unsigned long long)(failures + missed));
    return failures + missed > 0;
}
