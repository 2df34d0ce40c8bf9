/* worth.c - what an agent with that much free is worth. */
#include "sched/worth.h"

#include "base/limits.h"

#include <assert.h>

/* In 1/1024 of a byte of memory, so that all prices are whole: a cpu is worth 4000 MiB
 * of memory (a thousandth 4 MiB), a byte of memory 1024 of disk, a gpu 16 cpus. */
#define WORTH_DISK 1ull
#define WORTH_MEM  (1024 * WORTH_DISK)
#define WORTH_CPU  (4 * MIB * WORTH_MEM) /* of a thousandth */
#define WORTH_GPU  (16 * 1000 * WORTH_CPU)

/* The largest agent has a worth below 2^64. */
static_assert(LIMIT_RESOURCE * WORTH_MEM <= 1ull << 63 &&
                  LIMIT_RESOURCE * WORTH_DISK <= 1ull << 60 &&
                  LIMIT_AGENT_CPUS * 1000 * WORTH_CPU <= 1ull << 60 &&
                  LIMIT_AGENT_GPUS * WORTH_GPU <= 1ull << 60,
              "worth fits 64 bits");

uint64_t worth(const struct resources *free)
{
    return free->amount[RESOURCE_CPUS] * WORTH_CPU +
           free->amount[RESOURCE_MEM] * WORTH_MEM +
           free->amount[RESOURCE_DISK] * WORTH_DISK +
           free->amount[RESOURCE_GPUS] * WORTH_GPU;
}
