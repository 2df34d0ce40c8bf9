/* metrics.h - numbers that a program shows: counters, gauges, histograms.
 *
 * A registry belongs to its creator and to one thread; there are no globals.  Creating
 * a metric with a name and labels that exist returns the one that exists.  Metrics live
 * as long as their registry, so that counting is one addition through a pointer:
 *
 *     m->submits = metrics_counter(registry, "triarch_submits_total",
 *                                  "Jobs submitted, by result.", "result=\"ok\"");
 *     metric_add(m->submits, 1);
 *
 * metrics_print() writes the Prometheus text format 0.0.4: families in the order of
 * their creation, each with HELP and TYPE once.
 */
#ifndef BASE_METRICS_H
#define BASE_METRICS_H

#include "base/buffer.h"

#include <stddef.h>
#include <stdint.h>

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct metrics;
struct metric;

struct metrics *metrics_create(void);
void metrics_destroy(struct metrics *m); /* NULL is fine */

/* name: [a-zA-Z_:][a-zA-Z0-9_:]*, one kind and one help for all its labels.
 * labels: 'a="x",b="y"' or NULL; values from outside go through metrics_label(). */
struct metric *metrics_counter(struct metrics *m,
                               const char *name,
                               const char *help,
                               const char *labels);
struct metric *metrics_gauge(struct metrics *m,
                             const char *name,
                             const char *help,
                             const char *labels);
/* bounds: upper ends of the buckets, rising; +Inf is added.  Copied. */
struct metric *metrics_histogram(struct metrics *m,
                                 const char *name,
                                 const char *help,
                                 const char *labels,
                                 const double *bounds,
                                 size_t bound_count);

/* Append name="value" with the value escaped, after a comma if there is something
 * before. */
void metrics_label(struct buffer *labels, const char *name, const char *value);

void metric_add(struct metric *counter, uint64_t n);
void metric_set(struct metric *gauge, double value);
void metric_observe(struct metric *histogram, double value);
/* Take over what somebody else counted: one number for each bound and one for all above,
 * not cumulative, and the sum of the values. */
void metric_take(struct metric *histogram, const uint64_t *counts, double sum);

void metrics_print(const struct metrics *m, struct buffer *out);

#endif
