/* agents_load_specs.c - what an agent has, drawn from a seed.
 *
 * The same seed and number give the same agent whatever process it is in.  Sizes are those of
 * a machine room that grew: many small hosts, few large ones, some with gpus.
 */
#include "agents_load.h"

#include "base/mem.h"
#include "base/rng.h"

#include <stdio.h>

#define GIB        (1024 * MIB)
#define RACK_HOSTS 40

static const uint16_t CPUS[] = {4, 4, 4, 8, 8, 8, 16, 16, 32, 64};
static const uint8_t MEM_GIB_PER_CPU[] = {2, 4, 4, 8};
static const char *const ARCHITECTURES[] = {"amd64", "amd64", "amd64", "arm64"};
static const char *const DISKS[] = {"hdd", "ssd", "ssd", "nvme"};

#define PICK(rng, array) array[rng_below(rng, sizeof(array) / sizeof(*(array)))]

static void fill_mixed(struct agent_spec *spec, struct rng *rng)
{
    uint64_t cpus = PICK(rng, CPUS);
    uint64_t gib = cpus * PICK(rng, MEM_GIB_PER_CPU);

    spec->resources.amount[RESOURCE_CPUS] = cpus * 1000;
    spec->resources.amount[RESOURCE_MEM] = gib * GIB;
    spec->resources.amount[RESOURCE_DISK] = rng_between(rng, 1, 20) * 100 * GIB;
    if (rng_percent(rng, 10))
        spec->resources.amount[RESOURCE_GPUS] = rng_percent(rng, 50) ? 4 : 8;
    spec->ports[0] = (struct port_range){31000, 32000};
    spec->port_count = 1;
}

/* Sorted by name, as agent_spec_parse_attributes() leaves them. */
static int fill_attributes(struct agent_spec *spec,
                           struct rng *rng,
                           uint64_t number,
                           struct error *err)
{
    uint64_t rack = number / RACK_HOSTS;
    char text[160];

    snprintf(text,
             sizeof(text),
             "arch:%s;disk:%s;kernel:6.%llu;rack:r%llu;zone:z%llu",
             PICK(rng, ARCHITECTURES),
             PICK(rng, DISKS),
             (unsigned long long)rng_between(rng, 1, 12),
             (unsigned long long)rack,
             (unsigned long long)(rack % 4));
    return agent_spec_parse_attributes(spec, text, err);
}

int specs_fill(struct agent_spec *spec,
               uint64_t seed,
               uint64_t number,
               const char *resources,
               struct error *err)
{
    struct rng rng = {.state = seed ^ (number * 0x9E3779B97F4A7C15u)};
    char name[32];
    int rv = 0;

    snprintf(name, sizeof(name), "host-%llu", (unsigned long long)number);
    spec->hostname = mem_strdup(name);
    spec->http_address = mem_strdup("");
    spec->rpc_address = mem_strdup("");
    spec->features = AGENT_FEATURE_JOBS_2 | AGENT_FEATURE_LIMITS;
    fill_mixed(spec, &rng);
    if (resources != NULL)
        rv = resources_parse(&spec->resources,
                             spec->ports,
                             &spec->port_count,
                             &spec->custom,
                             resources,
                             err);
    return rv != 0 ? rv : fill_attributes(spec, &rng, number, err);
}
