/* words.c - what explanations are made of: amounts, needs, and what agents can do. */
#include "sched/words.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MORE "…"

/* ---- text ---- */

/* The text, which is longer, ends before the first character that is not whole within so many
 * bytes, and an ellipsis says so; its size. */
size_t words_cut(char *text, size_t max)
{
    size_t size = max > sizeof(MORE) - 1 ? max - (sizeof(MORE) - 1) : 0;

    while (size > 0 && (text[size] & 0xc0) == 0x80)
        size--;
    strcpy(text + size, size + sizeof(MORE) - 1 <= max ? MORE : "");
    return strlen(text);
}

void say(struct text *t, const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(t->at, t->room, format, args);
    va_end(args);
    if (n < 0 || t->room == 0)
        return;
    if ((size_t)n >= t->room)
        n = (int)words_cut(t->at, t->room - 1);
    t->at += n;
    t->room -= (size_t)n;
}

/* ---- amounts ---- */

/* 1500 -> "1.5" */
void say_thousandths(struct text *t, uint64_t amount)
{
    unsigned part = (unsigned)(amount % 1000);
    int digits = 3;

    say(t, "%llu", (unsigned long long)(amount / 1000));
    if (part == 0)
        return;
    for (; part % 10 == 0; part /= 10)
        digits--;
    say(t, ".%0*u", digits, part);
}

/* In MiB; what is needed is rounded up and what there is is rounded down. */
static void say_mib(struct text *t, uint64_t bytes, bool up)
{
    uint64_t part = bytes % MIB * 1000;

    say_thousandths(t, bytes / MIB * 1000 + (part + (up ? MIB - 1 : 0)) / MIB);
}

void say_amount(struct text *t, int kind, uint64_t amount, bool up)
{
    switch ((enum resource_kind)kind) {
    case RESOURCE_CPUS:
        say_thousandths(t, amount);
        break;
    case RESOURCE_MEM:
    case RESOURCE_DISK:
        say_mib(t, amount, up);
        break;
    case RESOURCE_GPUS:
    case RESOURCE_KINDS:
        say(t, "%llu", (unsigned long long)amount);
        break;
    }
}

static const char *const UNITS[RESOURCE_KINDS] = {"cpus", "MiB", "MiB of disk", "gpus"};
static const char *const UNIT_OF_ONE[RESOURCE_KINDS] = {
    "cpu", "MiB", "MiB of disk", "gpu"};

void say_need(struct text *t, int kind, uint64_t amount)
{
    bool one = amount == (kind == RESOURCE_CPUS ? 1000 : 1);

    say_amount(t, kind, amount, true);
    say(t, " %s", one ? UNIT_OF_ONE[kind] : UNITS[kind]);
}

static void say_ports(struct text *t, const struct extra_needs *n, const char **comma)
{
    if (n->port_count > 0) {
        say(t, "%s%u port%s", *comma, n->port_count, n->port_count == 1 ? "" : "s");
        *comma = ", ";
    }
    for (size_t i = 0; i < n->fixed_count; i++) {
        if (n->fixed[i].first == n->fixed[i].last)
            say(t, "%sport %u", *comma, n->fixed[i].first);
        else
            say(t, "%sports %u-%u", *comma, n->fixed[i].first, n->fixed[i].last);
        *comma = ", ";
    }
}

void say_custom(struct text *t, const struct custom_resource *r)
{
    say_thousandths(t, r->amount);
    say(t, " %s", r->name);
}

static const struct {
    uint32_t feature;
    const char *need, *ability;
} FEATURES[] = {
#define X(bit, name, word, need, ability) {AGENT_FEATURE_##name, need, ability},
    AGENT_FEATURES(X)
#undef X
};
#define FEATURE_COUNT (sizeof(FEATURES) / sizeof(FEATURES[0]))

static void say_features(struct text *t, uint32_t features, const char *comma)
{
    for (size_t i = 0; i < FEATURE_COUNT; i++) {
        if ((features & FEATURES[i].feature) == 0 || FEATURES[i].need[0] == '\0')
            continue;
        say(t, "%s%s", comma, FEATURES[i].need);
        comma = ", ";
    }
}

/* What the first of these is that one can or cannot do. */
const char *ability_word(uint32_t features)
{
    for (size_t i = 0; i < FEATURE_COUNT; i++)
        if ((features & FEATURES[i].feature) != 0)
            return FEATURES[i].ability;
    return "";
}

/* "2 cpus, 4096 MiB, port 8080, 1 licence" */
void say_needs(struct text *t, const struct demand *d)
{
    const char *comma = "";

    for (int k = 0; k < RESOURCE_KINDS; k++) {
        if (d->need.amount[k] == 0)
            continue;
        say(t, "%s", comma);
        say_need(t, k, d->need.amount[k]);
        comma = ", ";
    }
    if (d->extras == NULL)
        return;
    say_ports(t, d->extras, &comma);
    for (size_t i = 0; i < d->extras->custom.count; i++) {
        say(t, "%s", comma);
        say_custom(t, &d->extras->custom.items[i]);
        comma = ", ";
    }
    say_features(t, d->extras->features, comma);
}
