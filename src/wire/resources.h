/* resources.h - what an agent has and a task takes, as exact integers.
 *
 * One amount per kind: thousandths of a cpu, bytes of memory, bytes of disk, whole gpus
 * (docs/spec/1-joints.md, joint 15).  No floats anywhere: every master computes the
 * same. All amounts are in [0, LIMIT_RESOURCE], so sums over LIMIT_TASKS fit in 128
 * bits and sums on one agent, which never pass its capacity, fit in 64.
 */
#ifndef WIRE_RESOURCES_H
#define WIRE_RESOURCES_H

#include "base/buffer.h"
#include "base/error.h"
#include "wire/custom.h"
#include "wire/pack.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum resource_kind {
    RESOURCE_CPUS,
    RESOURCE_MEM,
    RESOURCE_DISK,
    RESOURCE_GPUS,
    RESOURCE_KINDS
};

struct resources {
    uint64_t amount[RESOURCE_KINDS];
};

/* "cpus", "mem", "disk", "gpus". */
const char *resource_name(enum resource_kind kind);

bool resources_contain(const struct resources *whole, const struct resources *part);
bool resources_equal(const struct resources *a, const struct resources *b);
/* Sum and difference; an overflow or a negative result is a bug (assertion). */
void resources_add(struct resources *to, const struct resources *r);
void resources_subtract(struct resources *from, const struct resources *r);
/* So often; what is above 64 bits is as much as they hold. */
struct resources resources_times(const struct resources *r, uint32_t n);

/* As an array of all kinds; unpack refuses amounts above LIMIT_RESOURCE. */
void resources_pack(const struct resources *r, struct buffer *out);
void resources_unpack(struct resources *r, struct unpack *u);

/* "1.5" -> 1500 thousandths; up to three decimals, no sign, no exponent. */
int resource_parse_cpus(uint64_t *out, const char *text, struct error *err);
/* "128" -> bytes of 128 MiB; whole MiB or up to three decimals. */
int resource_parse_mib(uint64_t *out, const char *text, struct error *err);

/* The text of a job file or a flag for any kind; the error begins with the kind's name.
 */
int resource_parse(enum resource_kind kind,
                   uint64_t *out,
                   const char *text,
                   struct error *err);

/* A port range, both ends included. */
struct port_range {
    uint16_t first;
    uint16_t last;
};

/* "31000-32000", or one port; steps over it.  Its rules are for port_ranges_check() to find. */
bool port_range_take(const char **at, struct port_range *out);
/* In order of their first port; there is room for one more. */
void port_ranges_insert(struct port_range *ranges,
                        size_t *count,
                        struct port_range range);
void port_ranges_pack(const struct port_range *ranges,
                      size_t count,
                      struct buffer *out);
/* `ranges` has room for max; more are refused. */
void port_ranges_unpack(struct port_range *ranges,
                        size_t *count,
                        size_t max,
                        struct unpack *u);
/* Ports that were given to a task; `ports` has room for LIMIT_TASK_PORTS.  Unpack returns how
 * many there are. */
void ports_pack(const uint16_t *ports, uint32_t count, struct buffer *out);
uint32_t ports_unpack(uint16_t *ports, struct unpack *u);
/* How many ports they are. */
uint32_t port_ranges_size(const struct port_range *ranges, size_t count);
/* Each from 1 up, in order, apart from each other, at most LIMIT_PORT_RANGES. */
int port_ranges_check(const struct port_range *ranges, size_t count, struct error *err);

/* 'cpus:4;mem:8192;disk:10240;gpus:1;ports:[31000-32000,33000-33010];licence:3' as Mesos's
 * agents take it: cpus and what is not built in with up to three decimals, mem and disk in
 * MiB.  A kind not named stays as it is in *out, so the caller fills the defaults first.
 * ranges has room for LIMIT_PORT_RANGES. */
int resources_parse(struct resources *out,
                    struct port_range *ranges,
                    size_t *range_count,
                    struct custom_resources *custom,
                    const char *text,
                    struct error *err);

#endif
