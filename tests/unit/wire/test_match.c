/* test_match.c - constraints and their like: texts, values, files, bytes and rules. */
#include "wire/match_view.h"

#include "base/mem.h"
#include "base/text.h"
#include "wire/job_file.h"
#include "wire/job_json.h"
#include "wire/match_value.h"
#include "wire_test.h"

static struct job_spec spec;
static struct error err;

static void teardown(void)
{
    job_spec_finish(&spec);
}

/* ---- texts ---- */

/* How it is printed; NULL when it cannot be read. */
static const char *reprint(const char *text)
{
    static char printed[256];
    struct buffer out = {0};
    struct match m = {0};
    int rc = condition_parse(match_add_constraint(&m), text, &err);

    if (rc == 0)
        rc = match_check(&m, &err);
    if (rc == 0) {
        condition_print(&m.constraints[0], &out);
        snprintf(printed, sizeof(printed), "%s", (const char *)out.data);
    }
    buffer_finish(&out);
    match_finish(&m);
    return rc == 0 ? printed : NULL;
}

START_TEST(test_texts_of_conditions)
{
    static const char *const TEXTS[][2] = {
        {"rack=a", "rack = a"},
        {" rack  =  a b ", "rack = a b"},
        {"rack==a", "rack = a"},
        {"rack=", "rack = "},
        {"rack!=a", "rack != a"},
        {"gen<10", "gen < 10"},
        {"gen <= -1.50", "gen <= -1.50"},
        {"gen>3", "gen > 3"},
        {"gen>=3", "gen >= 3"},
        {"rack in a, b,c", "rack in a, b, c"},
        {"rack not in a,b", "rack not_in a, b"},
        {"rack not_in a", "rack not_in a"},
        {"os regexp ^deb.*[0-9]$", "os regexp ^deb.*[0-9]$"},
        {"kernel version >= 5.10, < 7", "kernel version >= 5.10, < 7"},
        {"ssd is_set", "ssd is_set"},
        {"ssd is_not_set", "ssd is_not_set"},
        {"host distinct", "host distinct"},
        {"rack distinct 2", "rack distinct 2"},
        {"url = http://a:80/", "url = http://a:80/"},
    };

    for (int i = 0; i < COUNT(TEXTS); i++) {
        const char *printed = reprint(TEXTS[i][0]);

        ck_assert_msg(printed != NULL, "%s: %s", TEXTS[i][0], err.text);
        ck_assert_str_eq(printed, TEXTS[i][1]);
        ck_assert_str_eq(reprint(TEXTS[i][1]), TEXTS[i][1]);
    }
}
END_TEST

START_TEST(test_texts_that_are_no_conditions)
{
    static const char *const TEXTS[][2] = {
        {"", "is no condition"},
        {"rack", "is no condition"},
        {"=a", "is no condition"},
        {"rack a", "is no condition"},
        {"rack like a", "is no condition"},
        {"rack =! a", "is no condition"},
        {"gen < x", "'x' is no decimal number, which < compares"},
        {"gen < 1.", "is no decimal number"},
        {"kernel version 5.x", "is no range of versions"},
        {"kernel version >= 1,", "is no range of versions"},
        {"rack distinct 0", "' 0': behind distinct"},
        {"rack distinct two", "behind distinct"},
        {"ssd is_set yes", "is_set has none"},
        {"rack in a,\x01", "printable"},
        {"rack in", "missing"},
        {"rack in a,,b", "missing"},
        {"ra:ck = a", "no colons"},
    };

    for (int i = 0; i < COUNT(TEXTS); i++) {
        ck_assert_msg(reprint(TEXTS[i][0]) == NULL, "%s", TEXTS[i][0]);
        ck_assert_msg(
            strstr(err.text, TEXTS[i][1]) != NULL, "%s: %s", TEXTS[i][0], err.text);
    }
}
END_TEST

START_TEST(test_weights)
{
    struct match m = {0};

    ck_assert_int_eq(affinity_parse(match_add_affinity(&m), "zone = b:70", &err), 0);
    ck_assert_str_eq(m.affinities[0].values[0], "b");
    ck_assert_int_eq(m.affinities[0].weight, 70);
    ck_assert_int_eq(affinity_parse(match_add_affinity(&m), "zone=b", &err), 0);
    ck_assert_int_eq(m.affinities[1].weight, MATCH_WEIGHT);
    ck_assert_int_eq(affinity_parse(match_add_affinity(&m), "u=a:80:-5", &err), 0);
    ck_assert_str_eq(m.affinities[2].values[0], "a:80");
    ck_assert_int_eq(m.affinities[2].weight, -5);
    ck_assert_int_eq(spread_parse(match_add_spread(&m), "rack:20", &err), 0);
    ck_assert_str_eq(m.spreads[0].attribute, "rack");
    ck_assert_uint_eq(m.spreads[0].weight, 20);
    ck_assert_int_eq(spread_parse(match_add_spread(&m), "rack:1.5", &err), 0);
    ck_assert_error(
        match_check(&m, &err),
        err,
        ERROR_INVALID,
        "spread[1].attribute: 'rack:1.5': names of attributes have no spaces");
    mem_free(m.spreads[--m.spread_count].attribute);
    ck_assert_int_eq(apart_parse(match_add_apart(&m), "my db", &err), 0);
    ck_assert_uint_eq(m.aparts[0].weight, 0);
    ck_assert_int_eq(apart_parse(match_add_apart(&m), "db:9", &err), 0);
    ck_assert_uint_eq(m.aparts[1].weight, 9);
    ck_assert_int_eq(match_check(&m, &err), 0);
    ck_assert_error(apart_parse(match_add_apart(&m), "db:0", &err),
                    err,
                    ERROR_INVALID,
                    "give a weight");
    m.affinities[0].weight = 101;
    ck_assert_error(
        match_check(&m, &err), err, ERROR_INVALID, "affinities[0].weight: 101");
    m.affinities[0].weight = 0;
    ck_assert_error(
        match_check(&m, &err), err, ERROR_INVALID, "affinities[0].weight: 0");
    match_finish(&m);
}
END_TEST

/* ---- values ---- */

START_TEST(test_numbers_are_exact)
{
    static const char *const UP[] = {"-99999999999999999999999",
                                     "-10",
                                     "-9.99",
                                     "-0.5",
                                     "0",
                                     "0.000000000000000000001",
                                     "0.5",
                                     "0.51",
                                     "2",
                                     "10",
                                     "123456789012345678901234567890"};

    for (int i = 0; i < COUNT(UP); i++) {
        ck_assert(number_is_valid(UP[i]));
        for (int k = 0; k < COUNT(UP); k++) {
            int order = number_compare(UP[i], UP[k]);

            ck_assert_int_eq((order > 0) - (order < 0), (i > k) - (i < k));
        }
    }
    ck_assert_int_eq(number_compare("-0.0", "000"), 0);
    ck_assert_int_eq(number_compare("1.50", "01.5"), 0);
    ck_assert(!number_is_valid("") && !number_is_valid("-") && !number_is_valid("1e3"));
    ck_assert(!number_is_valid("1.") && !number_is_valid(".5") &&
              !number_is_valid("1 "));
}
END_TEST

/* The order of semver.org item 11, and what people write. */
START_TEST(test_versions_are_in_order)
{
    static const char *const UP[] = {"0.9",
                                     "1.0.0-alpha",
                                     "1.0.0-alpha.1",
                                     "1.0.0-alpha.beta",
                                     "1.0.0-beta",
                                     "1.0.0-beta.2",
                                     "1.0.0-beta.11",
                                     "1.0.0-rc.1",
                                     "v1",
                                     "1.0.1",
                                     "1.2",
                                     "1.10",
                                     "6.1.0-13-amd64",
                                     "6.1.0"};

    for (int i = 0; i < COUNT(UP); i++) {
        ck_assert_msg(version_is_valid(UP[i]), "%s", UP[i]);
        for (int k = 0; k < COUNT(UP); k++) {
            int order = version_compare(UP[i], UP[k]);

            ck_assert_msg((order > 0) - (order < 0) == (i > k) - (i < k),
                          "%s, %s: %d",
                          UP[i],
                          UP[k],
                          order);
        }
    }
    ck_assert_int_eq(version_compare("1.0.0+a", "v1.0+b.c"), 0);
    ck_assert(!version_is_valid("") && !version_is_valid("1.") &&
              !version_is_valid("1.2.3.4") && !version_is_valid("1.0-") &&
              !version_is_valid("1.0+") && !version_is_valid("a.b"));
}
END_TEST

START_TEST(test_ranges_of_versions)
{
    ck_assert(version_is_in("1.4.2", ">= 1.2, < 2"));
    ck_assert(!version_is_in("2", ">=1.2,<2"));
    ck_assert(version_is_in("1.2", "1.2.0") && version_is_in("1.3", "!= 1.2"));
    ck_assert(version_is_in("1.9", "~> 1.2") && !version_is_in("2.0", "~> 1.2"));
    ck_assert(version_is_in("1.2.9", "~> 1.2.3") && !version_is_in("1.3", "~> 1.2.3"));
    ck_assert(version_is_in("1.3", "> 1.2") && !version_is_in("1.2", "> 1.2"));
    ck_assert(version_is_in("1.2", "<= 1.2") && !version_is_in("newest", "> 0"));
    ck_assert(!version_range_is_valid("") && !version_range_is_valid(">=") &&
              !version_range_is_valid("1.2 1.3") && !version_range_is_valid(",1"));
}
END_TEST

START_TEST(test_regular_expressions)
{
    struct regexp *r = regexp_compile("^r[0-9]+$", &err);

    ck_assert(regexp_finds(r, "r17", NULL) && !regexp_finds(r, "r17x", NULL));
    regexp_destroy(r);
    r = regexp_compile("ö.$", &err);
    ck_assert(regexp_finds(r, "xöä", NULL));
    regexp_destroy(r);
    ck_assert_ptr_null(regexp_compile("a(b", &err));
    ck_assert_int_eq(err.code, ERROR_INVALID);
    ck_assert_ptr_nonnull(strstr(err.text, "'a(b' is no regular expression: "));
    ck_assert_ptr_null(regexp_compile("\\C", &err));
}
END_TEST

/* What would take for ever is not found; wherever it may begin. */
START_TEST(test_a_search_has_an_end)
{
    static const char *const PATTERNS[] = {"^(a+)+$",
                                           "(?:.|b?){12}[#@]",
                                           "(?:[^c]*+c|[^d]*+d|[^e]*+e)#|q",
                                           "(?=(a+)+[cd])"};
    char text[LIMIT_ATTRIBUTE_BYTES + 1];

    memset(text, 'a', LIMIT_ATTRIBUTE_BYTES - 1);
    text[LIMIT_ATTRIBUTE_BYTES - 1] = 'b';
    text[LIMIT_ATTRIBUTE_BYTES] = '\0';
    for (size_t i = 0; i < sizeof(PATTERNS) / sizeof(*PATTERNS); i++) {
        struct regexp *r = regexp_compile(PATTERNS[i], &err);
        unsigned steps = 0;

        ck_assert(!regexp_finds(r, text, &steps));
        ck_assert_uint_gt(steps, LIMIT_REGEXP_STEPS / 2);
        ck_assert_uint_le(steps, LIMIT_REGEXP_STEPS + 2);
        regexp_destroy(r);
    }
}
END_TEST

static bool holds(const char *text, const char *value)
{
    struct match m = {0};
    struct condition *c = match_add_constraint(&m);
    struct regexp *re = NULL;
    bool result;

    ck_assert_int_eq(condition_parse(c, text, &err), 0);
    if (c->op == MATCH_REGEXP)
        re = regexp_compile(c->values[0], &err);
    result = condition_holds(c, value, re, NULL);
    regexp_destroy(re);
    match_finish(&m);
    return result;
}

START_TEST(test_conditions_hold)
{
    ck_assert(holds("a = x", "x") && !holds("a = x", "X") && !holds("a = x", NULL));
    ck_assert(holds("a != x", "y") && !holds("a != x", "x") && holds("a != x", NULL));
    ck_assert(holds("a < 10", "9.5") && !holds("a < 10", "10") &&
              !holds("a < 10", "x"));
    ck_assert(holds("a <= 10", "10.0") && !holds("a > 10", "10") &&
              holds("a >= 10", "10"));
    ck_assert(!holds("a > 1", NULL) && !holds("a > 1", ""));
    ck_assert(holds("a in x,y", "y") && !holds("a in x,y", "z"));
    ck_assert(holds("a not in x,y", "z") && holds("a not in x,y", NULL));
    ck_assert(holds("a regexp b+", "abc") && !holds("a regexp b+", NULL));
    ck_assert(!holds("a regexp b(", "b("));
    ck_assert(holds("a version > 1", "1.0.1") && !holds("a version > 1", "x"));
    ck_assert(holds("a is_set", "") && !holds("a is_set", NULL));
    ck_assert(holds("a is_not_set", NULL) && !holds("a is_not_set", ""));
}
END_TEST

/* ---- files ---- */

static int parse(const char *text)
{
    struct buffer whole = {0};
    int rc;

    job_spec_finish(&spec);
    buffer_printf(&whole, "name: a\ncommand: b\n%s", text);
    rc = job_file_parse(&spec, "j.yaml", buffer_view(&whole), &err);
    buffer_finish(&whole);
    return rc;
}

static const char FILE_TEXT[] =
    "constraints:\n"
    "  - rack in a, b\n"
    "  - {attribute: gen, op: \">=\", value: 3}\n"
    "  - {attribute: zone, op: not_in, value: [x, y]}\n"
    "  - {attribute: rack, op: distinct, value: 2}\n"
    "  - {attribute: ssd, op: is_set}\n"
    "affinities: [\"zone = b:-20\", {attribute: os, op: regexp, value: ^deb, weight: "
    "7}]\n"
    "spread: [rack, {attribute: zone, weight: 10}]\n"
    "anti_affinity: [database, {job: cache, weight: 30}]\n";

static void check_file(void)
{
    const struct match *m = &spec.match;

    ck_assert_uint_eq(m->constraint_count, 5);
    ck_assert_uint_eq(m->constraints[0].count, 2);
    ck_assert_int_eq(m->constraints[1].op, MATCH_AT_LEAST);
    ck_assert_str_eq(m->constraints[1].values[0], "3");
    ck_assert_str_eq(m->constraints[2].values[1], "y");
    ck_assert_uint_eq(m->constraints[3].most, 2);
    ck_assert_uint_eq(m->constraints[3].count, 0);
    ck_assert_uint_eq(m->affinity_count, 2);
    ck_assert_int_eq(m->affinities[0].weight, -20);
    ck_assert_int_eq(m->affinities[1].weight, 7);
    ck_assert_uint_eq(m->spreads[0].weight, MATCH_WEIGHT);
    ck_assert_str_eq(m->spreads[1].attribute, "zone");
    ck_assert_str_eq(m->aparts[0].job, "database");
    ck_assert_uint_eq(m->aparts[0].weight, 0);
    ck_assert_uint_eq(m->aparts[1].weight, 30);
}

START_TEST(test_a_file_says_it_all)
{
    ck_assert_done(parse(FILE_TEXT), err);
    check_file();
}
END_TEST

START_TEST(test_json_and_bytes_say_the_same)
{
    struct buffer packed = {0}, again = {0};
    struct bytes match;
    json_t *json;

    ck_assert_done(parse(FILE_TEXT), err);
    job_spec_pack(&spec, &packed);
    match = job_spec_match(buffer_view(&packed));
    match_pack(&spec.match, &again);
    ck_assert_bytes_eq(match, buffer_view(&again));
    ck_assert(match_bytes_distinct(match));
    json = job_spec_to_json(&spec);
    job_spec_finish(&spec);
    ck_assert_done(job_spec_from_json(&spec, json, NULL, &err), err);
    json_decref(json);
    check_file();
    buffer_clear(&again);
    job_spec_pack(&spec, &again);
    ck_assert_bytes_eq(buffer_view(&again), buffer_view(&packed));
    job_spec_finish(&spec);
    ck_assert_done(job_spec_unpack(&spec, buffer_view(&packed), &err), err);
    check_file();
    match_finish(&spec.match);
    buffer_clear(&packed);
    job_spec_pack(&spec, &packed);
    ck_assert_uint_eq(job_spec_match(buffer_view(&packed)).size, 0);
    buffer_finish(&packed);
    buffer_finish(&again);
}
END_TEST

/* Every condition of a list as it is read in place is the one that was packed. */
static void check_views(const struct condition_view *views,
                        const struct condition *list,
                        size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t size = condition_room(&views[i]);
        void *room = mem_alloc(size);
        struct buffer ours = {0}, theirs = {0};
        struct condition c;

        condition_lay(&c, &views[i], room);
        c.most = list[i].most;
        condition_print(&c, &ours);
        condition_print(&list[i], &theirs);
        ck_assert_bytes_eq(buffer_view(&ours), buffer_view(&theirs));
        ck_assert_str_eq(c.attribute, list[i].attribute);
        ck_assert_bytes_eq(views[i].attribute, text_view(list[i].attribute));
        ck_assert_int_eq(views[i].op, list[i].op);
        buffer_finish(&ours);
        buffer_finish(&theirs);
        mem_free(room);
    }
}

START_TEST(test_bytes_are_read_in_place)
{
    struct buffer packed = {0};
    struct match_view v;

    ck_assert_done(parse(FILE_TEXT), err);
    match_pack(&spec.match, &packed);
    match_view(&v, buffer_view(&packed));
    ck_assert_uint_eq(v.constraint_count, spec.match.constraint_count);
    check_views(v.constraints, spec.match.constraints, v.constraint_count);
    ck_assert_int_eq(v.constraints[3].number, 2);
    ck_assert_uint_eq(v.affinity_count, 2);
    check_views(v.affinities, spec.match.affinities, 2);
    ck_assert_int_eq(v.affinities[0].number, -20);
    ck_assert_int_eq(v.affinities[1].number, 7);
    ck_assert_uint_eq(v.spread_count, 2);
    ck_assert_bytes_eq(v.spreads[1].name, text_view("zone"));
    ck_assert_uint_eq(v.spreads[0].weight, MATCH_WEIGHT);
    ck_assert_uint_eq(v.apart_count, 2);
    ck_assert_bytes_eq(v.aparts[0].name, text_view("database"));
    ck_assert_uint_eq(v.aparts[1].weight, 30);
    buffer_finish(&packed);
}
END_TEST

/* A condition and the same with a weight are one. */
START_TEST(test_views_of_the_same_are_the_same)
{
    struct condition c = {0}, wish;
    struct match m = {.constraint_count = 1, .affinity_count = 1};
    struct buffer packed = {0};
    struct match_view v;

    ck_assert_done(condition_parse(&c, "rack in a, b", &err), err);
    wish = c;
    wish.weight = 50;
    m.constraints = &c;
    m.affinities = &wish;
    match_pack(&m, &packed);
    match_view(&v, buffer_view(&packed));
    ck_assert_bytes_eq(v.constraints[0].of, v.affinities[0].of);
    ck_assert_int_eq(v.affinities[0].number, 50);
    condition_finish(&c);
    buffer_finish(&packed);
}
END_TEST

START_TEST(test_what_is_wrong_is_told)
{
    static const char *const WRONG[][2] = {
        {"constraints: {rack: a}\n", "j.yaml:3: constraints: it is a map; give a list"},
        {"constraints: [rack]\n", "j.yaml:3: constraints[0]: 'rack' is no condition"},
        {"constraints: [{attribute: a, op: like}]\n", "'like' is none of =, !="},
        {"constraints: [{attribute: a, op: '='}]\n", "constraints[0].value: missing"},
        {"constraints: [{op: is_set}]\n", "constraints[0].attribute: missing"},
        {"constraints: [{attribute: a, op: '=', value: [1, 2]}]\n",
         "2 values; = takes one"},
        {"constraints: [{attribute: a, op: distinct, value: x}]\n",
         "constraints[0].value: "},
        {"constraints: [rack distinct 1000001]\n", "from 1 to 1000000"},
        {"constraints: [{attribute: a b, op: is_set}]\n", "have no spaces"},
        {"constraints: ['os regexp a(']\n",
         "j.yaml:3: constraints[0].value: 'a(' is no regular expression"},
        {"affinities: [rack distinct]\n", "distinct is a constraint"},
        {"affinities: [{attribute: a, op: is_set, weight: 0}]\n", "weight: 0; give"},
        {"spread: [{attribute: rack, weight: 200}]\n", "from 1 to 100"},
        {"anti_affinity: ['']\n", "anti_affinity[0].job: missing"},
        {"constraint: [a = b]\n", "did you mean constraints?"},
        {"instances: 65537\nspread: rack\n",
         "with distinct or spread the most is 65536"},
    };

    for (int i = 0; i < COUNT(WRONG); i++) {
        ck_assert_msg(parse(WRONG[i][0]) != 0, "%s", WRONG[i][0]);
        ck_assert_msg(
            strstr(err.text, WRONG[i][1]) != NULL, "%s%s", WRONG[i][0], err.text);
    }
}
END_TEST

START_TEST(test_limits)
{
    struct match m = {0};
    struct condition *c;

    for (int i = 0; i <= LIMIT_CONSTRAINTS; i++)
        condition_parse(match_add_constraint(&m), "a = b", NULL);
    ck_assert_error(
        match_check(&m, &err), err, ERROR_TOO_LARGE, "constraints: 17; the most is 16");
    match_finish(&m);
    c = match_add_constraint(&m);
    *c = (struct condition){.attribute = mem_strdup("a"), .op = MATCH_IN};
    for (int i = 0; i <= LIMIT_CONDITION_VALUES; i++)
        condition_add_value(c, mem_strdup("b"));
    ck_assert_error(match_check(&m, &err), err, ERROR_TOO_LARGE, "65 values");
    match_finish(&m);
    c = match_add_constraint(&m);
    *c = (struct condition){
        .attribute = mem_strdup("a"), .op = MATCH_DISTINCT, .most = UINT32_MAX};
    ck_assert_error(match_check(&m, &err), err, ERROR_INVALID, "from 1 to 1000000");
    match_finish(&m);
}
END_TEST

int main(void)
{
    TCase *cases[] = {
        unit_case("texts",
                  test_texts_of_conditions,
                  test_texts_that_are_no_conditions,
                  test_weights),
        unit_case("values",
                  test_numbers_are_exact,
                  test_versions_are_in_order,
                  test_ranges_of_versions,
                  test_regular_expressions,
                  test_a_search_has_an_end,
                  test_conditions_hold),
        unit_case("files",
                  test_a_file_says_it_all,
                  test_json_and_bytes_say_the_same,
                  test_bytes_are_read_in_place,
                  test_views_of_the_same_are_the_same,
                  test_what_is_wrong_is_told,
                  test_limits),
    };

    tcase_add_checked_fixture(cases[2], NULL, teardown);
    return unit_run("match", cases, sizeof(cases) / sizeof(*cases));
}
