/* extras.c - ports, custom resources and features: what is there, and who has it.
 *
 * Ports in use are an ascending array.  A run of neighbours in it is found by bisection,
 * since in an ascending array of distinct numbers ports[i + k] == ports[i] + k holds up to
 * some k and never after; so the lowest free port is O(ranges * log(used)). */
#include "raft_fsm/extras.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/search.h"

#include <string.h>

/* ---- needs ---- */

/* A user of an image is found in the image, whoever runs the agent. */
static uint32_t features_of(const struct job_spec *spec)
{
    bool has_image = spec->image.source != NULL;

    return (has_image ? AGENT_FEATURE_IMAGES : 0u) |
           (job_spec_is_plain(spec) ? 0u : AGENT_FEATURE_JOBS_2) |
           (spec->user != NULL && !has_image ? AGENT_FEATURE_USERS : 0u) |
           (spec->volume_count > 0 ? AGENT_FEATURE_VOLUMES : 0u);
}

struct extra_needs *extra_needs_of(const struct job_spec *spec)
{
    struct extra_needs n = {
        .port_count = spec->ports.count,
        .fixed_count = spec->ports.fixed_count,
        .custom = spec->custom,
        .features = features_of(spec),
    };

    memcpy(n.fixed, spec->ports.fixed, n.fixed_count * sizeof(n.fixed[0]));
    return extra_needs_are_empty(&n) ? NULL : extra_needs_copy(&n);
}

void extra_needs_destroy(struct extra_needs *n)
{
    if (n == NULL)
        return;
    custom_resources_finish(&n->custom);
    mem_free(n);
}

struct extra_needs *extra_needs_copy(const struct extra_needs *n)
{
    struct extra_needs *copy;

    if (n == NULL)
        return NULL;
    copy = mem_dup(n, sizeof(*n));
    custom_resources_copy(&copy->custom, &n->custom);
    return copy;
}

static int ranges_compare(const struct port_range *a,
                          size_t a_count,
                          const struct port_range *b,
                          size_t b_count)
{
    for (size_t i = 0; i < a_count && i < b_count; i++) {
        if (a[i].first != b[i].first)
            return a[i].first < b[i].first ? -1 : 1;
        if (a[i].last != b[i].last)
            return a[i].last < b[i].last ? -1 : 1;
    }
    return (a_count > b_count) - (a_count < b_count);
}

int extra_needs_compare(const struct extra_needs *a, const struct extra_needs *b)
{
    int order;

    if (a == NULL || b == NULL)
        return (a != NULL) - (b != NULL);
    if (a->port_count != b->port_count)
        return a->port_count < b->port_count ? -1 : 1;
    if (a->features != b->features)
        return a->features < b->features ? -1 : 1;
    order = ranges_compare(a->fixed, a->fixed_count, b->fixed, b->fixed_count);
    return order != 0 ? order : custom_resources_compare(&a->custom, &b->custom);
}

bool extra_needs_are_empty(const struct extra_needs *n)
{
    return n->port_count == 0 && n->fixed_count == 0 && n->custom.count == 0 &&
           n->features == 0;
}

uint32_t extra_needs_ports(const struct extra_needs *n)
{
    return n->port_count + port_ranges_size(n->fixed, n->fixed_count);
}

/* ---- capacity and use as values ---- */

void extra_capacity_take(struct extra_capacity *c, const struct agent_spec *spec)
{
    extra_capacity_finish(c);
    c->range_count = spec->port_count;
    memcpy(c->ports, spec->ports, c->range_count * sizeof(c->ports[0]));
    custom_resources_copy(&c->custom, &spec->custom);
    c->features = spec->features & AGENT_FEATURES_NEEDED;
}

void extra_capacity_copy(struct extra_capacity *to, const struct extra_capacity *from)
{
    extra_capacity_finish(to);
    *to = *from;
    custom_resources_copy(&to->custom, &from->custom);
}

bool extra_capacity_is_empty(const struct extra_capacity *c)
{
    return c->range_count == 0 && c->custom.count == 0 && c->features == 0;
}

bool extra_capacity_equal(const struct extra_capacity *a,
                          const struct extra_capacity *b)
{
    return a->features == b->features &&
           ranges_compare(a->ports, a->range_count, b->ports, b->range_count) == 0 &&
           custom_resources_compare(&a->custom, &b->custom) == 0;
}

void extra_capacity_finish(struct extra_capacity *c)
{
    custom_resources_finish(&c->custom);
    *c = (struct extra_capacity){0};
}

void extra_use_copy(struct extra_use *to, const struct extra_use *from)
{
    custom_resources_finish(&to->custom);
    custom_resources_copy(&to->custom, &from->custom);
    MEM_GROW(to->ports, to->port_room, from->port_count);
    to->port_count = from->port_count;
    if (from->port_count > 0)
        memcpy(to->ports, from->ports, from->port_count * sizeof(*to->ports));
}

bool extra_use_equal(const struct extra_use *a, const struct extra_use *b)
{
    return a->port_count == b->port_count &&
           (a->port_count == 0 ||
            memcmp(a->ports, b->ports, a->port_count * sizeof(*a->ports)) == 0) &&
           custom_resources_compare(&a->custom, &b->custom) == 0;
}

void extra_use_finish(struct extra_use *u)
{
    custom_resources_finish(&u->custom);
    mem_free(u->ports);
    *u = (struct extra_use){0};
}

/* ---- ports ---- */

/* How many ports in use are below this one. */
static uint32_t ports_below(const struct extra_use *u, uint32_t port)
{
    uint32_t i;

    SEARCH_END(i, 0, u->port_count, u->ports[i] < port);
    return i;
}

bool extra_port_is_used(const struct extra_use *u, uint16_t port)
{
    uint32_t i = ports_below(u, port);

    return i < u->port_count && u->ports[i] == port;
}

static bool in_ranges(const struct port_range *ranges, size_t count, uint32_t port)
{
    for (size_t i = 0; i < count; i++)
        if (port >= ranges[i].first && port <= ranges[i].last)
            return true;
    return false;
}

bool extra_port_is_offered(const struct extra_capacity *c, uint16_t port)
{
    return in_ranges(c->ports, c->range_count, port);
}

uint32_t extra_ports_offered(const struct extra_capacity *c)
{
    return port_ranges_size(c->ports, c->range_count);
}

uint32_t extra_ports_free(const struct extra_capacity *c, const struct extra_use *u)
{
    uint32_t free = extra_ports_offered(c);

    for (size_t i = 0; i < c->range_count && u->port_count > 0; i++)
        free -=
            ports_below(u, c->ports[i].last + 1u) - ports_below(u, c->ports[i].first);
    return free;
}

/* The lowest port from `from` on that is not in use. */
static uint32_t first_unused(const struct extra_use *u, uint32_t from)
{
    uint32_t begin = ports_below(u, from), i;

    SEARCH_END(i, begin, u->port_count, u->ports[i] - from == i - begin);
    return from + (i - begin);
}

void extra_choose(const struct extra_capacity *c,
                  const struct extra_use *u,
                  const struct extra_needs *n,
                  uint16_t *ports)
{
    uint32_t left = n->port_count;

    for (size_t i = 0; i < n->fixed_count; i++)
        for (uint32_t p = n->fixed[i].first; p <= n->fixed[i].last; p++)
            *ports++ = (uint16_t)p;
    for (size_t i = 0; i < c->range_count && left > 0; i++) {
        uint32_t p = first_unused(u, c->ports[i].first);

        for (; p <= c->ports[i].last && left > 0; p = first_unused(u, p + 1)) {
            if (in_ranges(n->fixed, n->fixed_count, p))
                continue;
            *ports++ = (uint16_t)p;
            left--;
        }
    }
    ASSERT(left == 0);
}

static void port_add(struct extra_use *u, uint16_t port)
{
    uint32_t i = ports_below(u, port);

    ASSERT(i == u->port_count || u->ports[i] != port);
    MEM_GROW(u->ports, u->port_room, u->port_count + 1);
    memmove(u->ports + i + 1, u->ports + i, (u->port_count - i) * sizeof(*u->ports));
    u->ports[i] = port;
    u->port_count++;
}

static void port_remove(struct extra_use *u, uint16_t port)
{
    uint32_t i = ports_below(u, port);

    ASSERT(i < u->port_count && u->ports[i] == port);
    u->port_count--;
    memmove(u->ports + i, u->ports + i + 1, (u->port_count - i) * sizeof(*u->ports));
}

/* ---- who fits ---- */

/* All fixed ports are offered, and free unless `u` is NULL. */
static bool fixed_are_there(const struct extra_capacity *c,
                            const struct extra_use *u,
                            const struct extra_needs *n)
{
    for (size_t i = 0; i < n->fixed_count; i++)
        for (uint32_t p = n->fixed[i].first; p <= n->fixed[i].last; p++)
            if (!extra_port_is_offered(c, (uint16_t)p) ||
                (u != NULL && extra_port_is_used(u, (uint16_t)p)))
                return false;
    return true;
}

static bool custom_is_there(const struct extra_capacity *c,
                            const struct extra_use *u,
                            const struct extra_needs *n)
{
    for (size_t i = 0; i < n->custom.count; i++) {
        const struct custom_resource *need = &n->custom.items[i];
        uint64_t used = u == NULL ? 0 : custom_resources_amount(&u->custom, need->name);

        if (used + need->amount > custom_resources_amount(&c->custom, need->name))
            return false;
    }
    return true;
}

bool extra_is_able(const struct extra_capacity *c, const struct extra_needs *n)
{
    return (c->features & n->features) == n->features &&
           extra_ports_offered(c) >= extra_needs_ports(n) &&
           fixed_are_there(c, NULL, n) && custom_is_there(c, NULL, n);
}

bool extra_has_room(const struct extra_capacity *c,
                    const struct extra_use *u,
                    const struct extra_needs *n)
{
    return (c->features & n->features) == n->features &&
           extra_ports_free(c, u) >= extra_needs_ports(n) && fixed_are_there(c, u, n) &&
           custom_is_there(c, u, n);
}

uint32_t extra_room(const struct extra_capacity *c,
                    const struct extra_use *u,
                    const struct extra_needs *n,
                    uint32_t most)
{
    uint32_t ports = extra_needs_ports(n);

    if (n->fixed_count > 0)
        return most < 1 ? most : 1;
    if (ports > 0 && extra_ports_free(c, u) / ports < most)
        most = extra_ports_free(c, u) / ports;
    for (size_t i = 0; i < n->custom.count; i++) {
        const struct custom_resource *need = &n->custom.items[i];
        uint64_t free = custom_resources_amount(&c->custom, need->name) -
                        custom_resources_amount(&u->custom, need->name);

        if (free / need->amount < most)
            most = (uint32_t)(free / need->amount);
    }
    return most;
}

bool extra_may_take(const struct extra_use *u,
                    const struct extra_needs *n,
                    const uint16_t *ports,
                    size_t count)
{
    if (count != (n == NULL ? 0 : extra_needs_ports(n)))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (extra_port_is_used(u, ports[i]))
            return false;
        for (size_t k = 0; k < i; k++)
            if (ports[k] == ports[i])
                return false;
    }
    for (size_t i = 0; n != NULL && i < n->custom.count; i++)
        if (n->custom.items[i].amount >
            LIMIT_RESOURCE -
                custom_resources_amount(&u->custom, n->custom.items[i].name))
            return false;
    return true;
}

void extra_take(struct extra_use *u,
                const struct extra_needs *n,
                const uint16_t *ports,
                size_t count)
{
    for (size_t i = 0; i < count; i++)
        port_add(u, ports[i]);
    for (size_t i = 0; i < n->custom.count; i++)
        custom_resources_take(&u->custom, &n->custom.items[i]);
}

void extra_give(struct extra_use *u,
                const struct extra_needs *n,
                const uint16_t *ports,
                size_t count)
{
    for (size_t i = 0; i < count; i++)
        port_remove(u, ports[i]);
    for (size_t i = 0; i < n->custom.count; i++)
        custom_resources_give(&u->custom, &n->custom.items[i]);
}
