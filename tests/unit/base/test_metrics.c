/* test_metrics.c - the text that Prometheus reads. */
#include "base/metrics.h"
#include "tests/lib/unit.h"

#include <math.h>
#include <signal.h>

static struct metrics *registry;
static struct buffer text;

static void setup(void)
{
    registry = metrics_create();
}

static void teardown(void)
{
    metrics_destroy(registry);
    buffer_finish(&text);
}

static const char *printed(void)
{
    buffer_clear(&text);
    metrics_print(registry, &text);
    buffer_append(&text, "", 1);
    return (const char *)text.data;
}

START_TEST(empty_registry_prints_nothing)
{
    ck_assert_str_eq(printed(), "");
}
END_TEST

START_TEST(families_have_help_and_type_once)
{
    struct metric *ok =
        metrics_counter(registry, "submits_total", "Jobs.", "result=\"ok\"");
    struct metric *term = metrics_gauge(registry, "term", "Raft term.", NULL);
    struct metric *busy =
        metrics_counter(registry, "submits_total", "Jobs.", "result=\"busy\"");

    metric_add(ok, 1);
    metric_add(ok, UINT64_MAX - 1);
    metric_add(busy, 2);
    metric_set(term, 7);
    ck_assert_str_eq(printed(),
                     "# HELP submits_total Jobs.\n"
                     "# TYPE submits_total counter\n"
                     "submits_total{result=\"ok\"} 18446744073709551615\n"
                     "submits_total{result=\"busy\"} 2\n"
                     "# HELP term Raft term.\n"
                     "# TYPE term gauge\n"
                     "term 7\n");
}
END_TEST

START_TEST(same_name_and_labels_is_the_same_metric)
{
    struct metric *a = metrics_counter(registry, "a_total", "A.", NULL);

    ck_assert_ptr_eq(metrics_counter(registry, "a_total", "A.", NULL), a);
    ck_assert_ptr_eq(metrics_counter(registry, "a_total", "A.", ""), a);
    ck_assert_ptr_ne(metrics_counter(registry, "a_total", "A.", "x=\"1\""), a);
}
END_TEST

START_TEST(histogram_counts_up_to_its_bounds)
{
    static const double bounds[] = {0.001, 0.01, 0.1};
    struct metric *h = metrics_histogram(
        registry, "commit_seconds", "Commit.", "peer=\"2\"", bounds, 3);

    metric_observe(h, 0.0005);
    metric_observe(h, 0.01); /* a bound belongs to its bucket */
    metric_observe(h, 0.02);
    metric_observe(h, 5);
    ck_assert_str_eq(printed(),
                     "# HELP commit_seconds Commit.\n"
                     "# TYPE commit_seconds histogram\n"
                     "commit_seconds_bucket{peer=\"2\",le=\"0.001\"} 1\n"
                     "commit_seconds_bucket{peer=\"2\",le=\"0.01\"} 2\n"
                     "commit_seconds_bucket{peer=\"2\",le=\"0.1\"} 3\n"
                     "commit_seconds_bucket{peer=\"2\",le=\"+Inf\"} 4\n"
                     "commit_seconds_sum{peer=\"2\"} 5.0305\n"
                     "commit_seconds_count{peer=\"2\"} 4\n");
}
END_TEST

START_TEST(histogram_without_labels_or_bounds)
{
    struct metric *h = metrics_histogram(registry, "h", "H.", NULL, NULL, 0);

    metric_observe(h, 1);
    ck_assert_str_eq(printed(),
                     "# HELP h H.\n# TYPE h histogram\n"
                     "h_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n");
}
END_TEST

START_TEST(histogram_takes_what_others_counted)
{
    static const double bounds[] = {1, 2};
    static const uint64_t counts[] = {4, 0, 3};
    struct metric *h = metrics_histogram(registry, "h", "H.", NULL, bounds, 2);

    metric_observe(h, 1);
    metric_take(h, counts, 12.5);
    ck_assert_str_eq(printed(),
                     "# HELP h H.\n# TYPE h histogram\n"
                     "h_bucket{le=\"1\"} 4\nh_bucket{le=\"2\"} 4\n"
                     "h_bucket{le=\"+Inf\"} 7\nh_sum 12.5\nh_count 7\n");
}
END_TEST

START_TEST(numbers_read_back)
{
    struct metric *g = metrics_gauge(registry, "g", "G.", NULL);
    static const struct {
        double value;
        const char *text;
    } cases[] = {
        {0.1, "g 0.1\n"},
        {1.0 / 3, "g 0.33333333333333331\n"},
        {-2.5, "g -2.5\n"},
        {9007199254740992.0, "g 9007199254740992\n"},
        {INFINITY, "g +Inf\n"},
        {-INFINITY, "g -Inf\n"},
        {NAN, "g NaN\n"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        metric_set(g, cases[i].value);
        ck_assert_str_eq(printed() + sizeof("# HELP g G.\n# TYPE g gauge\n") - 1,
                         cases[i].text);
    }
}
END_TEST

START_TEST(texts_are_escaped)
{
    struct buffer labels = {0};

    metrics_label(&labels, "path", "C:\\\"x\"\n");
    metrics_label(&labels, "peer", "2");
    buffer_append(&labels, "", 1);
    metrics_gauge(registry, "g", "a\\b\n\"c\"", (const char *)labels.data);
    buffer_finish(&labels);
    ck_assert_str_eq(printed(),
                     "# HELP g a\\\\b\\n\"c\"\n# TYPE g gauge\n"
                     "g{path=\"C:\\\\\\\"x\\\"\\n\",peer=\"2\"} 0\n");
}
END_TEST

START_TEST(one_name_with_two_kinds_is_our_mistake)
{
    metrics_counter(registry, "a", "A.", NULL);
    metrics_gauge(registry, "a", "A.", NULL);
}
END_TEST

START_TEST(bad_name_is_our_mistake)
{
    metrics_counter(registry, "1a-b", "A.", NULL);
}
END_TEST

START_TEST(adding_to_a_gauge_is_our_mistake)
{
    metric_add(metrics_gauge(registry, "a", "A.", NULL), 1);
}
END_TEST

START_TEST(bounds_must_rise)
{
    metrics_histogram(registry, "a", "A.", NULL, (double[]){1, 1}, 2);
}
END_TEST

static TCase *with_registry(TCase *c)
{
    tcase_add_checked_fixture(c, setup, teardown);
    return c;
}

UNIT_MAIN("metrics",
          with_registry(unit_case("text",
                                  empty_registry_prints_nothing,
                                  families_have_help_and_type_once,
                                  same_name_and_labels_is_the_same_metric,
                                  histogram_counts_up_to_its_bounds,
                                  histogram_without_labels_or_bounds,
                                  histogram_takes_what_others_counted,
                                  numbers_read_back,
                                  texts_are_escaped)),
          with_registry(unit_case_aborts("mistakes",
                                         one_name_with_two_kinds_is_our_mistake,
                                         bad_name_is_our_mistake,
                                         adding_to_a_gauge_is_our_mistake,
                                         bounds_must_rise)))
