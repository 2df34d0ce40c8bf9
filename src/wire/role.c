/* role.c - what a role says: its rules, and the bytes of a change.
 *
 *     [name, order, priority, weight, aging_ms, length_ms,
 *      [[amount…], kinds, [[custom name, amount]…]], the same,            min, max
 *      alpha, balance,               may be left out together, with what follows
 *      reserve_ms, preempt, rebalance]
 *
 * A field that is not to change is nil.
 */
#include "wire/role.h"

#include "base/mem.h"
#include "base/text.h"

#include <string.h>

#define WEIGHT_MAX 1000000u

const char *role_order_name(enum role_order order)
{
    switch (order) {
#define X(number, name, text) \
    case ROLE_##name:         \
        return text;
        ROLE_ORDERS(X)
#undef X
    case ROLE_ORDER_COUNT:
        break;
    }
    return "unknown";
}

const char *role_balance_name(enum role_balance balance)
{
    switch (balance) {
#define X(number, name, text) \
    case BALANCE_##name:      \
        return text;
        ROLE_BALANCES(X)
#undef X
    case ROLE_BALANCE_COUNT:
        break;
    }
    return "unknown";
}

bool role_name_valid(struct bytes name)
{
    if (name.size == 0 || name.size > LIMIT_ROLE_BYTES)
        return false;
    for (size_t i = 0; i < name.size; i++) {
        uint8_t c = name.data[i];
        bool is_word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');

        if (!is_word && (i == 0 || (c != '-' && c != '_' && c != '.')))
            return false;
    }
    return true;
}

/* ---- values ---- */

void role_spec_init(struct role_spec *spec)
{
    *spec = (struct role_spec){
        .order = ROLE_PRIORITY,
        .weight = ROLE_WEIGHT_DEFAULT,
        .aging_ms = ROLE_AGING_MS,
        .length_ms = ROLE_LENGTH_MS,
        .alpha = ROLE_ALPHA_DEFAULT,
        .balance = ROLE_BALANCE_DEFAULT,
        .reserve_ms = ROLE_RESERVE_MS,
    };
}

void role_bound_finish(struct role_bound *b)
{
    custom_resources_finish(&b->custom);
    *b = (struct role_bound){0};
}

void role_spec_finish(struct role_spec *spec)
{
    role_bound_finish(&spec->min);
    role_bound_finish(&spec->max);
    *spec = (struct role_spec){0};
}

void role_bound_copy(struct role_bound *to, const struct role_bound *from)
{
    *to = *from;
    custom_resources_copy(&to->custom, &from->custom);
}

void role_spec_copy(struct role_spec *to, const struct role_spec *from)
{
    *to = *from;
    role_bound_copy(&to->min, &from->min);
    role_bound_copy(&to->max, &from->max);
}

bool role_bound_equal(const struct role_bound *a, const struct role_bound *b)
{
    return a->kinds == b->kinds && resources_equal(&a->amount, &b->amount) &&
           custom_resources_compare(&a->custom, &b->custom) == 0;
}

bool role_spec_equal(const struct role_spec *a, const struct role_spec *b)
{
    return a->order == b->order && a->priority == b->priority &&
           a->weight == b->weight && a->aging_ms == b->aging_ms &&
           a->length_ms == b->length_ms && a->alpha == b->alpha &&
           a->balance == b->balance && a->reserve_ms == b->reserve_ms &&
           a->preempt == b->preempt && a->rebalance == b->rebalance &&
           role_bound_equal(&a->min, &b->min) && role_bound_equal(&a->max, &b->max);
}

void role_change_finish(struct role_change *c)
{
    mem_free(c->name);
    role_spec_finish(&c->spec);
    *c = (struct role_change){0};
}

static void take_bound(struct role_bound *to, const struct role_bound *from)
{
    role_bound_finish(to);
    role_bound_copy(to, from);
}

void role_change_apply(const struct role_change *c, struct role_spec *spec)
{
    const struct role_spec *from = &c->spec;

#define TAKE(bit, field)               \
    do {                               \
        if ((c->given & (bit)) != 0)   \
            spec->field = from->field; \
    } while (0)
    TAKE(ROLE_HAS_ORDER, order);
    TAKE(ROLE_HAS_PRIORITY, priority);
    TAKE(ROLE_HAS_WEIGHT, weight);
    TAKE(ROLE_HAS_AGING, aging_ms);
    TAKE(ROLE_HAS_LENGTH, length_ms);
    TAKE(ROLE_HAS_ALPHA, alpha);
    TAKE(ROLE_HAS_BALANCE, balance);
    TAKE(ROLE_HAS_RESERVE, reserve_ms);
    TAKE(ROLE_HAS_PREEMPT, preempt);
    TAKE(ROLE_HAS_REBALANCE, rebalance);
#undef TAKE
    if ((c->given & ROLE_HAS_MIN) != 0)
        take_bound(&spec->min, &from->min);
    if ((c->given & ROLE_HAS_MAX) != 0)
        take_bound(&spec->max, &from->max);
}

/* ---- rules ---- */

static int check_bound(const struct role_bound *b, const char *name, struct error *err)
{
    if (b->kinds >> RESOURCE_KINDS != 0)
        return error_set(err, ERROR_INVALID, "%s: a kind that is not known", name);
    for (enum resource_kind k = 0; k < RESOURCE_KINDS; k++) {
        bool is_given = (b->kinds & 1u << k) != 0;

        if (!is_given && b->amount.amount[k] != 0)
            return error_set(err, ERROR_INVALID, "%s: half of an amount", name);
        if (b->amount.amount[k] > LIMIT_RESOURCE)
            return error_set(err,
                             ERROR_TOO_LARGE,
                             "%s: %s: more than any cluster can have",
                             name,
                             resource_name(k));
    }
    return custom_resources_check(&b->custom, err) == 0 ? 0
                                                        : error_wrap(err, "%s", name);
}

/* Whether a role is owed something does not depend on the task: each takes cpus. */
static int check_min(const struct role_spec *spec, struct error *err)
{
    const struct role_bound *min = &spec->min;

    if ((min->kinds != 0 || min->custom.count > 0) &&
        min->amount.amount[RESOURCE_CPUS] == 0)
        return error_set(err,
                         ERROR_INVALID,
                         "min: name cpus as well, more than 0; every task takes some");
    for (enum resource_kind k = 0; k < RESOURCE_KINDS; k++)
        if ((min->kinds & 1u << k) != 0 && min->amount.amount[k] == 0)
            return error_set(err,
                             ERROR_INVALID,
                             "min: %s: 0 is always there; leave it out",
                             resource_name(k));
    return 0;
}

/* A role that is promised more than it may have would never get it. */
static int check_order_of_bounds(const struct role_spec *spec, struct error *err)
{
    for (enum resource_kind k = 0; k < RESOURCE_KINDS; k++)
        if ((spec->max.kinds & 1u << k) != 0 &&
            spec->min.amount.amount[k] > spec->max.amount.amount[k])
            return error_set(err,
                             ERROR_INVALID,
                             "min: more %s than max; give max at least as much",
                             resource_name(k));
    for (size_t i = 0; i < spec->min.custom.count; i++) {
        const struct custom_resource *r = &spec->min.custom.items[i];
        const uint64_t most = custom_resources_amount(&spec->max.custom, r->name);

        if (most != 0 && r->amount > most)
            return error_set(err,
                             ERROR_INVALID,
                             "min: more %s than max; give max at least as much",
                             r->name);
    }
    return 0;
}

int role_spec_check(const struct role_spec *spec, struct error *err)
{
    int rc;

    if (spec->priority < -ROLE_PRIORITY_MAX || spec->priority > ROLE_PRIORITY_MAX)
        return error_set(err,
                         ERROR_INVALID,
                         "priority: %d; give a number from -%d to %d",
                         spec->priority,
                         ROLE_PRIORITY_MAX,
                         ROLE_PRIORITY_MAX);
    if (spec->weight == 0 || spec->weight > WEIGHT_MAX)
        return error_set(err,
                         ERROR_INVALID,
                         "weight: give a number from 0.001 to %u",
                         WEIGHT_MAX / 1000);
    if (spec->aging_ms != ROLE_NEVER && spec->aging_ms > LIMIT_JOB_TIME_MS)
        return error_set(
            err, ERROR_INVALID, "aging: give a time of at most 365d, or never");
    if (spec->length_ms == 0 || spec->length_ms > LIMIT_JOB_TIME_MS)
        return error_set(
            err, ERROR_INVALID, "length: give a time above 0, of at most 365d");
    if (spec->alpha > ROLE_ALPHA_MAX)
        return error_set(err,
                         ERROR_INVALID,
                         "alpha: %u; give a number from 0 to %u",
                         spec->alpha,
                         ROLE_ALPHA_MAX);
    if (spec->reserve_ms != ROLE_NEVER && spec->reserve_ms > LIMIT_JOB_TIME_MS)
        return error_set(
            err, ERROR_INVALID, "reserve: give a time of at most 365d, or off");
    if (spec->preempt > ROLE_PREEMPT_MAX)
        return error_set(err,
                         ERROR_INVALID,
                         "preempt: %u; give a number from 0 to %u",
                         spec->preempt,
                         ROLE_PREEMPT_MAX);
    if (spec->rebalance > ROLE_REBALANCE_MAX)
        return error_set(err,
                         ERROR_INVALID,
                         "rebalance: %u; give a number from 0 to %u",
                         spec->rebalance,
                         ROLE_REBALANCE_MAX);
    rc = check_bound(&spec->min, "min", err);
    if (rc == 0)
        rc = check_min(spec, err);
    if (rc == 0)
        rc = check_bound(&spec->max, "max", err);
    return rc == 0 ? check_order_of_bounds(spec, err) : rc;
}

int role_change_check(const struct role_change *c, struct error *err)
{
    struct role_spec whole;
    int rc;

    if (!role_name_valid(text_view(c->name)))
        return error_set(err,
                         ERROR_INVALID,
                         "role: '%.80s' is no name; give 1 to %d of a-z, 0-9, '-', '_' "
                         "and '.', a letter or digit first",
                         c->name,
                         LIMIT_ROLE_BYTES);
    role_spec_init(&whole);
    role_change_apply(c, &whole);
    rc = role_spec_check(&whole, err);
    role_spec_finish(&whole);
    return rc;
}

/* ---- bytes ---- */

static void pack_bound(const struct role_bound *b, struct buffer *out)
{
    pack_array(out, 3);
    resources_pack(&b->amount, out);
    pack_uint(out, b->kinds);
    custom_resources_pack(&b->custom, out);
}

static void unpack_bound(struct role_bound *b, struct unpack *u)
{
    unpack_enter(u);
    resources_unpack(&b->amount, u);
    b->kinds = (uint32_t)unpack_uint_max(u, UINT32_MAX);
    custom_resources_unpack(&b->custom, u);
    unpack_leave_known(u);
}

/* Then come those that may be left out. */
#define FIELDS              8
#define FIELDS_WITH_SCORE   10
#define FIELDS_WITH_RESERVE 11
#define FIELDS_WITH_PREEMPT 12
#define FIELDS_WITH_ALL     13
#define SCORE_FIELDS        (ROLE_HAS_ALPHA | ROLE_HAS_BALANCE)

static uint32_t field_count(const struct role_change *c)
{
    if ((c->given & ROLE_HAS_REBALANCE) != 0)
        return FIELDS_WITH_ALL;
    if ((c->given & ROLE_HAS_PREEMPT) != 0)
        return FIELDS_WITH_PREEMPT;
    if ((c->given & ROLE_HAS_RESERVE) != 0)
        return FIELDS_WITH_RESERVE;
    return (c->given & SCORE_FIELDS) != 0 ? FIELDS_WITH_SCORE : FIELDS;
}

void role_change_pack(const struct role_change *c, struct buffer *out)
{
    const struct role_spec *s = &c->spec;
    const uint32_t fields = field_count(c);

#define FIELD(bit, packed)           \
    do {                             \
        if ((c->given & (bit)) != 0) \
            packed;                  \
        else                         \
            pack_nil(out);           \
    } while (0)
    pack_array(out, fields);
    pack_text(out, c->name);
    FIELD(ROLE_HAS_ORDER, pack_uint(out, s->order));
    FIELD(ROLE_HAS_PRIORITY, pack_int(out, s->priority));
    FIELD(ROLE_HAS_WEIGHT, pack_uint(out, s->weight));
    FIELD(ROLE_HAS_AGING, pack_uint(out, s->aging_ms));
    FIELD(ROLE_HAS_LENGTH, pack_uint(out, s->length_ms));
    FIELD(ROLE_HAS_MIN, pack_bound(&s->min, out));
    FIELD(ROLE_HAS_MAX, pack_bound(&s->max, out));
    if (fields >= FIELDS_WITH_SCORE) {
        FIELD(ROLE_HAS_ALPHA, pack_uint(out, s->alpha));
        FIELD(ROLE_HAS_BALANCE, pack_uint(out, s->balance));
    }
    if (fields >= FIELDS_WITH_RESERVE)
        FIELD(ROLE_HAS_RESERVE, pack_uint(out, s->reserve_ms));
    if (fields >= FIELDS_WITH_PREEMPT)
        FIELD(ROLE_HAS_PREEMPT, pack_uint(out, s->preempt));
    if (fields >= FIELDS_WITH_ALL)
        FIELD(ROLE_HAS_REBALANCE, pack_uint(out, s->rebalance));
#undef FIELD
}

static void unpack_fields(struct role_change *c, uint32_t fields, struct unpack *u)
{
    struct role_spec *s = &c->spec;

#define FIELD(bit, read)       \
    do {                       \
        if (!unpack_nil(u)) {  \
            c->given |= (bit); \
            read;              \
        }                      \
    } while (0)
    FIELD(ROLE_HAS_ORDER,
          s->order = (enum role_order)unpack_uint_max(u, ROLE_ORDER_COUNT - 1));
    FIELD(ROLE_HAS_PRIORITY,
          s->priority =
              (int32_t)unpack_int_range(u, -ROLE_PRIORITY_MAX, ROLE_PRIORITY_MAX));
    FIELD(ROLE_HAS_WEIGHT, s->weight = (uint32_t)unpack_uint_max(u, UINT32_MAX));
    FIELD(ROLE_HAS_AGING, s->aging_ms = unpack_uint(u));
    FIELD(ROLE_HAS_LENGTH, s->length_ms = unpack_uint(u));
    FIELD(ROLE_HAS_MIN, unpack_bound(&s->min, u));
    FIELD(ROLE_HAS_MAX, unpack_bound(&s->max, u));
    if (fields >= FIELDS_WITH_SCORE) {
        FIELD(ROLE_HAS_ALPHA, s->alpha = (uint32_t)unpack_uint_max(u, UINT32_MAX));
        FIELD(ROLE_HAS_BALANCE,
              s->balance =
                  (enum role_balance)unpack_uint_max(u, ROLE_BALANCE_COUNT - 1));
    }
    if (fields >= FIELDS_WITH_RESERVE)
        FIELD(ROLE_HAS_RESERVE, s->reserve_ms = unpack_uint(u));
    if (fields >= FIELDS_WITH_PREEMPT)
        FIELD(ROLE_HAS_PREEMPT, s->preempt = (uint32_t)unpack_uint_max(u, UINT32_MAX));
    if (fields >= FIELDS_WITH_ALL)
        FIELD(ROLE_HAS_REBALANCE,
              s->rebalance = (uint32_t)unpack_uint_max(u, UINT32_MAX));
#undef FIELD
}

int role_change_unpack(struct role_change *c, struct bytes bytes, struct error *err)
{
    struct unpack u;
    uint32_t fields;
    int rc;

    *c = (struct role_change){0};
    unpack_init(&u, bytes);
    fields = unpack_enter(&u);
    if (fields != FIELDS && fields < FIELDS_WITH_SCORE)
        unpack_fail(&u, "fields are missing");
    c->name = text_copy(unpack_text(&u, LIMIT_ROLE_BYTES));
    unpack_fields(c, fields, &u);
    unpack_leave_known(&u);
    rc = unpack_finish(&u, "role", err);
    if (rc == 0)
        rc = role_change_check(c, err);
    if (rc != 0)
        role_change_finish(c);
    return rc;
}
