/* role.h - a part of the cluster for some of its users: docs/spec/12-roles.md.
 *
 * struct role_spec is all that a role says.  struct role_change is what a command says of
 * it: only the fields that are to change, so that two operators who change different ones
 * do not undo each other's.
 */
#ifndef WIRE_ROLE_H
#define WIRE_ROLE_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/limits.h"
#include "wire/custom.h"
#include "wire/pack.h"
#include "wire/resources.h"

#include <stdbool.h>
#include <stdint.h>

#define ROLE_DEFAULT "default" /* of a job that names none; always there */

/* How the jobs of a role follow each other.  Numbers are in the log for ever. */
#define ROLE_ORDERS(X)         \
    X(0, FCFS, "fcfs")         \
    X(1, SJF, "sjf")           \
    X(2, SRTF, "srtf")         \
    X(3, PRIORITY, "priority") \
    X(4, FAIR, "fair")

enum role_order {
#define X(number, name, text) ROLE_##name = number,
    ROLE_ORDERS(X)
#undef X
        ROLE_ORDER_COUNT
};

const char *role_order_name(enum role_order order);

/* Which of the agents that have room is better, where a job does not say more: the one that is
 * full after the task, or the one that is empty.  Numbers are in the log for ever. */
#define ROLE_BALANCES(X)     \
    X(0, BINPACK, "binpack") \
    X(1, SPREAD, "spread")

enum role_balance {
#define X(number, name, text) BALANCE_##name = number,
    ROLE_BALANCES(X)
#undef X
        ROLE_BALANCE_COUNT
};

const char *role_balance_name(enum role_balance balance);

/* Amounts of kinds; of a maximum only those in `kinds` count, and a custom resource that is
 * not named has none. */
struct role_bound {
    struct resources amount;
    uint32_t kinds; /* bit of each enum resource_kind that is given */
    struct custom_resources custom;
};

#define ROLE_PRIORITY_MAX    1000
#define ROLE_WEIGHT_DEFAULT  1000u
#define ROLE_AGING_MS        3600000ull
#define ROLE_LENGTH_MS       3600000ull
#define ROLE_ALPHA_MAX       1000u
#define ROLE_ALPHA_DEFAULT   500u
#define ROLE_BALANCE_DEFAULT BALANCE_BINPACK
#define ROLE_RESERVE_MS      300000ull
#define ROLE_PREEMPT_MAX     100000u
#define ROLE_REBALANCE_MAX   100000u
#define ROLE_NEVER           UINT64_MAX /* aging_ms, reserve_ms */

struct role_spec {
    enum role_order order;
    int32_t priority;
    uint32_t weight;    /* thousandths */
    uint64_t aging_ms;  /* of waiting, for a point of priority or twice the length */
    uint64_t length_ms; /* of a task of which nobody knows more */
    uint32_t alpha; /* thousandths of a score that are affinity; the rest is balance */
    enum role_balance balance;
    uint64_t reserve_ms; /* of waiting, before room is kept for who waits first */
    uint32_t preempt; /* tasks of others that it may end in a minute; 0: none */
    uint32_t rebalance; /* tasks of its own that are moved in a minute; 0: none */
    struct role_bound min, max;
};

/* Bits of role_change.given, and the order of the fields. */
enum role_field {
    ROLE_HAS_ORDER = 1u << 0,
    ROLE_HAS_PRIORITY = 1u << 1,
    ROLE_HAS_WEIGHT = 1u << 2,
    ROLE_HAS_AGING = 1u << 3,
    ROLE_HAS_LENGTH = 1u << 4,
    ROLE_HAS_MIN = 1u << 5,
    ROLE_HAS_MAX = 1u << 6,
    ROLE_HAS_ALPHA = 1u << 7,
    ROLE_HAS_BALANCE = 1u << 8,
    ROLE_HAS_RESERVE = 1u << 9,
    ROLE_HAS_PREEMPT = 1u << 10,
    ROLE_HAS_REBALANCE = 1u << 11,
    ROLE_HAS_ALL = (1u << 12) - 1,
};

struct role_change {
    char *name; /* 1 to LIMIT_ROLE_BYTES */
    uint32_t given;
    struct role_spec spec; /* fields that are not given are zero */
};

void role_bound_finish(struct role_bound *b);
void role_bound_copy(struct role_bound *to, const struct role_bound *from);
bool role_bound_equal(const struct role_bound *a, const struct role_bound *b);

/* What a role is of which nothing was said. */
void role_spec_init(struct role_spec *spec);
void role_spec_finish(struct role_spec *spec);
void role_spec_copy(struct role_spec *to, const struct role_spec *from);
bool role_spec_equal(const struct role_spec *a, const struct role_spec *b);
/* Every rule; ERROR_INVALID with field, value, and what to give. */
int role_spec_check(const struct role_spec *spec, struct error *err);

/* Lower-case letters, digits, '-', '_', '.'; a letter or digit first. */
bool role_name_valid(struct bytes name);

void role_change_finish(struct role_change *c);
/* What is given replaces what `spec` has. */
void role_change_apply(const struct role_change *c, struct role_spec *spec);
int role_change_check(const struct role_change *c, struct error *err);
void role_change_pack(const struct role_change *c, struct buffer *out);
/* Decodes and checks; on failure *c is finished. */
int role_change_unpack(struct role_change *c, struct bytes bytes, struct error *err);

#endif
