/* replica_sim.c - the replica alone under faults: 3 or 5 of them, a rolling hash as the machine.
 *
 *     replica_sim [--seeds N] [--first SEED] [--trace 1|2] [--seconds S]
 *     replica_sim --failover [--seeds N]
 *         no faults but N kills of the leader under constant load, on quick and slow disks: how
 *         long nobody leads, and whether that is more than it may be
 *
 * Each seed is 60 virtual seconds: faults, then everything heals and must make progress.
 * Faults strike by state (a leader just elected, an entry just appended, a snapshot begun) as
 * well as by time.  Checked at every step:
 *
 *   - one leader in a term; a leader has every entry committed in earlier terms
 *   - equal index, equal machine; a restored snapshot gives the same hash
 *   - a committed entry is at that moment durable on a majority
 *   - a confirmed read sees everything that was committed anywhere when it was asked
 *   - commit and applied never go back while a process lives
 *   - at the end: a leader, new commits, everybody at the same index
 */
#include "replica_group.h"

#include "base/mem.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- workload ---- */

void submit_one(struct master *m)
{
    struct sim *s = m->sim;
    size_t size = 8 + pick(&s->world, 0, 120);
    struct blob *payload = blob_create(size);

    memset(payload->data, 0, size);
    store_u64(payload->data, ++s->next_value);
    s->stats.submits++;
    if (master_step_index(m,
                          &(struct replica_event){.kind = REPLICA_SUBMIT,
                                                  .submit.payload = payload}) == 0)
        blob_unref(payload);
}

static void client(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct sim *s = context;

    for (unsigned i = 0; i < s->masters && !w->failed; i++) {
        struct master *m = &s->master[i];

        if (!m->alive || master_paused(m) || replica_role(m->replica) != REPLICA_LEADER)
            continue;
        for (uint64_t n = pick(w, 1, 3); n > 0 && m->alive && !w->failed; n--)
            submit_one(m);
        if (m->alive && !w->failed && s->options.reads && chance(w, 30))
            master_step(m,
                        &(struct replica_event){.kind = REPLICA_READ,
                                                .read.ticket = s->highest_committed});
        if (m->alive && !w->failed && !s->healing && s->options.transfers &&
            chance(w, 2))
            master_step(m, &(struct replica_event){.kind = REPLICA_TRANSFER});
    }
    world_in(w, pick(w, 5 * MS, 200 * MS), client, s, a, b);
}

/* ---- a seed ---- */

static void choose_options(struct sim *s)
{
    s->masters = chance(&s->world, 60) ? 3 : chance(&s->world, 80) ? 5 : 1;
    s->options.lossy = chance(&s->world, 25);
    s->options.crash = chance(&s->world, 80);
    s->options.pause = chance(&s->world, 60);
    s->options.snapshots = chance(&s->world, 60);
    s->options.reads = chance(&s->world, 70);
    s->options.transfers = chance(&s->world, 40);
    s->options.false_hints = chance(&s->world, 60);
}

void group_setup(struct sim *s, uint64_t seed, int trace, unsigned plain)
{
    struct blob *configuration;
    uint64_t voters[MASTERS_MAX];

    world_init(&s->world, seed, trace);
    s->masters = plain;
    s->healing = plain != 0;
    if (plain == 0)
        choose_options(s);
    s->terms = mem_zalloc(INDEX_MAX * sizeof(*s->terms));
    s->hashes = mem_zalloc(INDEX_MAX * sizeof(*s->hashes));
    s->commit_terms = mem_zalloc(INDEX_MAX * sizeof(*s->commit_terms));
    s->leaders = mem_zalloc(TERMS_MAX);
    network_init(&s->net,
                 &s->world,
                 s->masters,
                 (struct network_calls){.bytes = links_bytes, .closed = links_closed});
    s->net.loss_percent = 5;
    s->net.repeat_percent = 8;
    for (unsigned i = 0; i < s->masters; i++)
        voters[i] = i + 1;
    configuration = replica_founding_configuration(voters, s->masters);
    for (unsigned i = 0; i < s->masters; i++) {
        struct master *m = &s->master[i];

        m->sim = s;
        m->number = i;
        m->incarnation = 1;
        sim_store_init(&m->store, &s->world, MASTER_STORE_CALLS, m);
        sim_store_found(&m->store, configuration);
    }
    blob_unref(configuration);
    for (unsigned i = 0; i < s->masters; i++)
        master_start(&s->master[i]);
    world_in(&s->world, 1 * MS, links_reconnect, s, 0, 0);
    if (plain != 0)
        return;
    world_in(&s->world, 300 * MS, faults_nemesis, s, 0, 0);
    world_in(&s->world, 100 * MS, client, s, 0, 0);
}

static void heal(struct sim *s)
{
    s->healing = true;
    for (unsigned i = 0; i < s->masters; i++) {
        if (s->master[i].store.latency_us > 20 * MS)
            s->master[i].store.latency_us = 20 * MS;
        for (unsigned j = 0; j < s->masters; j++) {
            network_cut(&s->net, i, j, false);
            if (s->net.delay_us[i][j] > 20 * MS)
                s->net.delay_us[i][j] = 20 * MS;
        }
    }
}

void group_teardown(struct sim *s)
{
    for (unsigned i = 0; i < s->masters; i++) {
        struct master *m = &s->master[i];

        if (m->alive) {
            master_add_counters(s, m);
            replica_destroy(m->replica);
        }
        sim_store_finish(&m->store);
        buffer_finish(&m->machine.restoring);
    }
    network_finish(&s->net);
    world_finish(&s->world);
    mem_free(s->terms);
    mem_free(s->hashes);
    mem_free(s->commit_terms);
    mem_free(s->leaders);
}

struct report {
    bool failed;
    uint64_t hash;
    unsigned masters;
    char why[400];
    struct stats stats;
};

static struct report run_seed(uint64_t seed, uint64_t seconds, int trace)
{
    struct sim s = {0};
    struct report report = {0};
    uint64_t commits;
    uint64_t faults_end = seconds > 15 ? seconds - 15 : seconds / 2;

    group_setup(&s, seed, trace, 0);
    world_run(&s.world, faults_end * SECOND);
    if (!s.world.failed)
        heal(&s);
    world_run(&s.world, (seconds - 5) * SECOND);
    commits = s.stats.commits;
    world_run(&s.world, seconds * SECOND);
    check_end(&s, commits);
    report.masters = s.masters;
    group_teardown(&s);
    report.failed = s.world.failed;
    report.hash = s.world.hash;
    memcpy(report.why, s.world.why, sizeof(report.why));
    report.stats = s.stats;
    return report;
}

/* ---- many seeds, each in a process of its own so that an assertion is one failed seed ---- */

static bool run_forked(uint64_t seed, uint64_t seconds, struct report *report)
{
    int ends[2];
    pid_t pid;
    int status;
    ssize_t got;

    if (pipe(ends) != 0)
        exit(1);
    pid = fork();
    if (pid == 0) {
        struct report r = run_seed(seed, seconds, 0);

        _exit(write(ends[1], &r, sizeof(r)) == (ssize_t)sizeof(r) ? 0 : 1);
    }
    close(ends[1]);
    got = read(ends[0], report, sizeof(*report));
    close(ends[0]);
    waitpid(pid, &status, 0);
    return got == (ssize_t)sizeof(*report) && WIFEXITED(status) &&
           WEXITSTATUS(status) == 0;
}

static void add_stats(struct stats *to, const struct stats *s)
{
    to->elections += s->elections;
    to->commits += s->commits;
    to->crashes += s->crashes;
    to->pauses += s->pauses;
    to->cuts += s->cuts;
    to->reads += s->reads;
    to->snapshots_sent += s->snapshots_sent;
    to->faults += s->faults;
    to->submits += s->submits;
#define X(name, help) to->replica.name += s->replica.name;
    REPLICA_COUNTERS(X)
#undef X
}

static void print_stats(const struct stats *t)
{
    printf(
        "  commits %llu, elections %llu, reads %llu, crashes %llu, pauses %llu, cuts "
        "%llu\n",
        (unsigned long long)t->commits,
        (unsigned long long)t->elections,
        (unsigned long long)t->reads,
        (unsigned long long)t->crashes,
        (unsigned long long)t->pauses,
        (unsigned long long)t->cuts);
#define X(name, help) \
    printf("  %-22s %llu\n", #name, (unsigned long long)t->replica.name);
    REPLICA_COUNTERS(X)
#undef X
}

int main(int argc, char **argv)
{
    uint64_t first = 1, seeds = 100, seconds = 60, failures = 0;
    bool failover = false;
    int trace = 0;
    int option;
    struct stats total = {0};
    static const struct option OPTIONS[] = {{"first", required_argument, NULL, 'f'},
                                            {"seeds", required_argument, NULL, 'n'},
                                            {"seed", required_argument, NULL, 'o'},
                                            {"seconds", required_argument, NULL, 's'},
                                            {"trace", required_argument, NULL, 't'},
                                            {"failover", no_argument, NULL, 'k'},
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
        case 'k':
            failover = true;
            break;
        default:
            return 2;
        }
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (failover)
        return failovers(first, seeds);
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
            printf("seed %llu (%u masters): %s\n",
                   (unsigned long long)seed,
                   r.masters,
                   r.why);
            failures++;
        }
        add_stats(&total, &r.stats);
        if (seeds == 1)
            printf("seed %llu: trace hash %016llx\n",
                   (unsigned long long)seed,
                   (unsigned long long)r.hash);
    }
    print_stats(&total);
    printf("%llu passed, %llu failed\n",
           (unsigned long long)(seeds - failures),
           (unsigned long long)failures);
    return failures > 0;
}
