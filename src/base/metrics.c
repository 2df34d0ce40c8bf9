/* metrics.c - numbers that a program shows, in Prometheus's text format. */
#include "base/metrics.h"

#include "base/assert.h"
#include "base/mem.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

enum kind { KIND_COUNTER, KIND_GAUGE, KIND_HISTOGRAM };

static const char *const kind_names[] = {"counter", "gauge", "histogram"};

struct metric {
    const struct family *family;
    char *labels;      /* "" when there are none */
    uint64_t count;    /* counter: its value; histogram: observations */
    double value;      /* gauge: its value; histogram: sum */
    uint64_t *buckets; /* histogram: observations up to each bound, not cumulative */
    STAILQ_ENTRY(metric) next;
};

struct family {
    char *name;
    char *help;
    enum kind kind;
    double *bounds;
    size_t bound_count;
    STAILQ_HEAD(, metric) metrics;
    STAILQ_ENTRY(family) next;
};

struct metrics {
    STAILQ_HEAD(, family) families;
};

struct metrics *metrics_create(void)
{
    struct metrics *m = mem_alloc(sizeof(*m));

    STAILQ_INIT(&m->families);
    return m;
}

static void family_destroy(struct family *f)
{
    struct metric *metric;

    while ((metric = STAILQ_FIRST(&f->metrics)) != NULL) {
        STAILQ_REMOVE_HEAD(&f->metrics, next);
        mem_free(metric->labels);
        mem_free(metric->buckets);
        mem_free(metric);
    }
    mem_free(f->name);
    mem_free(f->help);
    mem_free(f->bounds);
    mem_free(f);
}

void metrics_destroy(struct metrics *m)
{
    struct family *f;

    if (m == NULL)
        return;
    while ((f = STAILQ_FIRST(&m->families)) != NULL) {
        STAILQ_REMOVE_HEAD(&m->families, next);
        family_destroy(f);
    }
    mem_free(m);
}

static bool name_is_valid(const char *name)
{
    if (!isalpha((unsigned char)name[0]) && name[0] != '_' && name[0] != ':')
        return false;
    while (isalnum((unsigned char)*name) || *name == '_' || *name == ':')
        name++;
    return *name == '\0';
}

static struct family *
family_get(struct metrics *m, enum kind kind, const char *name, const char *help)
{
    struct family *f;

    STAILQ_FOREACH (f, &m->families, next) {
        if (strcmp(f->name, name) == 0) {
            ASSERT(f->kind == kind);
            return f;
        }
    }
    ASSERT(name_is_valid(name));
    f = mem_zalloc(sizeof(*f));
    f->name = mem_strdup(name);
    f->help = mem_strdup(help);
    f->kind = kind;
    STAILQ_INIT(&f->metrics);
    STAILQ_INSERT_TAIL(&m->families, f, next);
    return f;
}

static struct metric *metric_get(struct family *f, const char *labels)
{
    struct metric *metric;

    if (labels == NULL)
        labels = "";
    STAILQ_FOREACH (metric, &f->metrics, next) {
        if (strcmp(metric->labels, labels) == 0)
            return metric;
    }
    metric = mem_zalloc(sizeof(*metric));
    metric->family = f;
    metric->labels = mem_strdup(labels);
    if (f->kind == KIND_HISTOGRAM)
        metric->buckets = mem_zalloc((f->bound_count + 1) * sizeof(*metric->buckets));
    STAILQ_INSERT_TAIL(&f->metrics, metric, next);
    return metric;
}

struct metric *metrics_counter(struct metrics *m,
                               const char *name,
                               const char *help,
                               const char *labels)
{
    return metric_get(family_get(m, KIND_COUNTER, name, help), labels);
}

struct metric *
metrics_gauge(struct metrics *m, const char *name, const char *help, const char *labels)
{
    return metric_get(family_get(m, KIND_GAUGE, name, help), labels);
}

struct metric *metrics_histogram(struct metrics *m,
                                 const char *name,
                                 const char *help,
                                 const char *labels,
                                 const double *bounds,
                                 size_t bound_count)
{
    struct family *f = family_get(m, KIND_HISTOGRAM, name, help);

    if (f->bounds == NULL) {
        for (size_t i = 0; i < bound_count; i++)
            ASSERT(isfinite(bounds[i]) && (i == 0 || bounds[i] > bounds[i - 1]));
        f->bounds = mem_dup(bounds, bound_count * sizeof(*bounds));
        f->bound_count = bound_count;
    }
    ASSERT(f->bound_count == bound_count);
    for (size_t i = 0; i < bound_count; i++)
        ASSERT(f->bounds[i] >= bounds[i] && f->bounds[i] <= bounds[i]);
    return metric_get(f, labels);
}

static void append_escaped(struct buffer *out, const char *text, bool quoted)
{
    for (; *text != '\0'; text++) {
        if (*text == '\n')
            buffer_append_text(out, "\\n");
        else if (*text == '\\')
            buffer_append_text(out, "\\\\");
        else if (*text == '"' && quoted)
            buffer_append_text(out, "\\\"");
        else
            buffer_append(out, text, 1);
    }
}

void metrics_label(struct buffer *labels, const char *name, const char *value)
{
    buffer_printf(labels, "%s%s=\"", labels->size > 0 ? "," : "", name);
    append_escaped(labels, value, true);
    buffer_append_text(labels, "\"");
}

void metric_add(struct metric *counter, uint64_t n)
{
    ASSERT(counter->family->kind == KIND_COUNTER);
    counter->count += n;
}

void metric_set(struct metric *gauge, double value)
{
    ASSERT(gauge->family->kind == KIND_GAUGE);
    gauge->value = value;
}

void metric_observe(struct metric *histogram, double value)
{
    const struct family *f = histogram->family;
    size_t i = 0;

    ASSERT(f->kind == KIND_HISTOGRAM);
    while (i < f->bound_count && !(value <= f->bounds[i]))
        i++;
    histogram->buckets[i]++;
    histogram->count++;
    histogram->value += value;
}

void metric_take(struct metric *histogram, const uint64_t *counts, double sum)
{
    const struct family *f = histogram->family;

    ASSERT(f->kind == KIND_HISTOGRAM);
    histogram->count = 0;
    for (size_t i = 0; i <= f->bound_count; i++) {
        histogram->buckets[i] = counts[i];
        histogram->count += counts[i];
    }
    histogram->value = sum;
}

/* The shortest of two forms that reads back as the same number. */
static void print_number(struct buffer *out, double value)
{
    char text[32];

    if (isnan(value)) {
        buffer_append_text(out, "NaN");
    } else if (isinf(value)) {
        buffer_append_text(out, value > 0 ? "+Inf" : "-Inf");
    } else {
        snprintf(text, sizeof(text), "%.15g", value);
        if (strtod(text, NULL) != value)
            snprintf(text, sizeof(text), "%.17g", value);
        buffer_append_text(out, text);
    }
}

/* name_suffix{labels,le="bound"} and a space */
static void print_head(struct buffer *out,
                       const struct metric *m,
                       const char *suffix,
                       const double *bound)
{
    bool labelled = m->labels[0] != '\0';

    buffer_printf(out, "%s%s", m->family->name, suffix);
    if (labelled || bound != NULL) {
        buffer_printf(out, "{%s", m->labels);
        if (bound != NULL) {
            buffer_append_text(out, labelled ? ",le=\"" : "le=\"");
            print_number(out, *bound);
            buffer_append_text(out, "\"");
        }
        buffer_append_text(out, "}");
    }
    buffer_append_text(out, " ");
}

static void print_histogram(struct buffer *out, const struct metric *m)
{
    const struct family *f = m->family;
    const double infinity = INFINITY;
    uint64_t sum = 0;

    for (size_t i = 0; i <= f->bound_count; i++) {
        sum += m->buckets[i];
        print_head(out, m, "_bucket", i < f->bound_count ? &f->bounds[i] : &infinity);
        buffer_printf(out, "%" PRIu64 "\n", sum);
    }
    print_head(out, m, "_sum", NULL);
    print_number(out, m->value);
    buffer_append_text(out, "\n");
    print_head(out, m, "_count", NULL);
    buffer_printf(out, "%" PRIu64 "\n", m->count);
}

static void print_metric(struct buffer *out, const struct metric *m)
{
    switch (m->family->kind) {
    case KIND_COUNTER:
        print_head(out, m, "", NULL);
        buffer_printf(out, "%" PRIu64 "\n", m->count);
        break;
    case KIND_GAUGE:
        print_head(out, m, "", NULL);
        print_number(out, m->value);
        buffer_append_text(out, "\n");
        break;
    case KIND_HISTOGRAM:
        print_histogram(out, m);
        break;
    }
}

void metrics_print(const struct metrics *m, struct buffer *out)
{
    const struct family *f;
    const struct metric *metric;

    STAILQ_FOREACH (f, &m->families, next) {
        buffer_printf(out, "# HELP %s ", f->name);
        append_escaped(out, f->help, false);
        buffer_printf(out, "\n# TYPE %s %s\n", f->name, kind_names[f->kind]);
        STAILQ_FOREACH (metric, &f->metrics, next) {
            print_metric(out, metric);
        }
    }
}
