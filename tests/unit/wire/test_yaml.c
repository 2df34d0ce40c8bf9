/* test_yaml.c - YAML text as JSON values. */
#include "wire/yaml.h"

#include "base/limits.h"
#include "wire_test.h"

static struct error err;

static json_t *load(const char *text)
{
    struct bytes bytes = {(const uint8_t *)text, strlen(text)};

    return yaml_load("f.yaml", bytes, &err);
}

/* The YAML says what the JSON says. */
static const struct {
    const char *yaml;
    const char *json;
} SAME[] = {
    {"a", "\"a\""},
    {"5", "5"},
    {"-5", "-5"},
    {"0.5", "0.5"},
    {"1e3", "1000.0"},
    {"true", "true"},
    {"null", "null"},
    {"~", "null"},
    {"a:", "{\"a\": null}"},
    {"\"5\"", "\"5\""},
    {"'true'", "\"true\""},
    /* What other YAML readers take for something else is text. */
    {"yes", "\"yes\""},
    {"True", "\"True\""},
    {"010", "\"010\""},
    {"0x10", "\"0x10\""},
    {"1:30", "\"1:30\""},
    {"1_000", "\"1_000\""},
    {".5", "\".5\""},
    {"+1", "\"+1\""},
    {"99999999999999999999", "\"99999999999999999999\""},
    {"2001-01-01", "\"2001-01-01\""},
    {"[1, [a, {}], []]", "[1, [\"a\", {}], []]"},
    {"- 1\n- b: 2\n  c: 3\n", "[1, {\"b\": 2, \"c\": 3}]"},
    {"a: {b: c}\nd: |\n  two\n  lines\n",
     "{\"a\": {\"b\": \"c\"}, \"d\": \"two\\nlines\\n\"}"},
    {"---\na: 1\n...\n", "{\"a\": 1}"},
    {"# only\na: 1 # words\n", "{\"a\": 1}"},
    {"5: five", "{\"5\": \"five\"}"},
    {"\xef\xbb\xbf"
     "a: \xc3\xbc",
     "{\"a\": \"\xc3\xbc\"}"},
    {"{\"json\": [\"is\", true, null]}", "{\"json\": [\"is\", true, null]}"},
};

START_TEST(test_same)
{
    json_t *value = load(SAME[_i].yaml);
    json_t *json = json_loads(SAME[_i].json, JSON_DECODE_ANY, NULL);

    ck_assert_ptr_nonnull(json);
    ck_assert_msg(value != NULL, "%s", err.text);
    ck_assert_msg(
        json_equal(value, json), "'%s' is not %s", SAME[_i].yaml, SAME[_i].json);
    json_decref(value);
    json_decref(json);
}
END_TEST

static const struct {
    const char *yaml;
    const char *error;
} WRONG[] = {
    {"", "f.yaml: the file is empty"},
    {"# nothing\n", "f.yaml: the file is empty"},
    {" \n \n\n", "f.yaml: the file is empty"},
    {"a: 1\nb: 2\na: 3\n", "f.yaml:3: a: given twice"},
    {"r: {x: 1,\n x: 2}", "f.yaml:2: r.x: given twice"},
    {"a: &x 1\n", "f.yaml:1: anchors (&name) are not supported"},
    {"a: 1\nb: &x [1]\n", "f.yaml:2: anchors"},
    {"a: &x {}\n", "anchors"},
    {"&x a: 1\n", "anchors"},
    {"a: *x\n", "aliases (*name) are not supported"},
    {"- !!python/object x\n", "tags (!name) are not supported"},
    {"a: !x [1]\n", "tags"},
    {"a: !x {}\n", "tags"},
    {"!x 1", "tags"},
    {"a: 1\n---\nb: 2\n", "f.yaml:2: there is a second document"},
    {"a: 1\n b: 2\n", "f.yaml:2: "},
    {"a: [1, 2\nb: 3\n", "f.yaml:"},
    {"\ta: 1", "f.yaml:1: there is a tab; YAML indents with spaces"},
    {"a:\n\tb: 1\n", "f.yaml:2: there is a tab"},
    {"\xef\xbb\xbf\xc3\xbc: \xc3\xbc\n\xc3\xa4:\n  b: 1\n\tc: 1\n",
     "f.yaml:4: there is a tab"},
    {"a: 1\n\tb: 2\n", "f.yaml:2: there is a tab"},
    {"a: |\n\tb\n", "f.yaml:2: there is a tab"},
    {"- a\n-\tb: 1\n", "f.yaml:2: there is a tab"},
    {"a:\n  b\tc: [\n", "f.yaml:3: did not find"},
    {"? [a]\n: 1", "f.yaml:1: a key is not a text"},
    {"a: \"x\\0y\"", "f.yaml:1: a text has a zero byte inside"},
    {"\"x\\0y\": 1", "f.yaml:1: a text has a zero byte inside"},
    {"a: \xff", "f.yaml:1: invalid leading UTF-8 octet"},
    {"a: 1\r\nb: 2\nc:\n  d\xc3", "f.yaml:4: incomplete UTF-8 octet sequence"},
    {"a: \x01", "f.yaml:1: control characters are not allowed"},
    {"a: 1\nb: 2\nc: \x01", "f.yaml:3: control characters are not allowed"},
    {"[[[[[[[[[1]]]]]]]]]", "f.yaml:1: values are nested too deeply"},
    {"a: {a: {a: {a: {a: {a: {a: {a: {a: 1}}}}}}}}", "values are nested too deeply"},
};

START_TEST(test_wrong)
{
    json_t *value = load(WRONG[_i].yaml);

    ck_assert_msg(value == NULL, "'%s' was accepted", WRONG[_i].yaml);
    ck_assert_int_eq(err.code, ERROR_INVALID);
    ck_assert_msg(strstr(err.text, WRONG[_i].error) != NULL, "%s", err.text);
}
END_TEST

START_TEST(test_deepest)
{
    json_t *value = load("[[[[[[[[1]]]]]]]]");

    ck_assert_ptr_nonnull(value);
    json_decref(value);
}
END_TEST

/* The famous one: nine lines, 10^9 elements if aliases were followed. */
START_TEST(test_billion_laughs)
{
    ck_assert_ptr_null(
        load("a: &a [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n"
             "b: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]\n"
             "c: [*b, *b, *b, *b, *b, *b, *b, *b, *b, *b]\n"));
    ck_assert_ptr_nonnull(strstr(err.text, "f.yaml:1: anchors"));
}
END_TEST

START_TEST(test_without_error)
{
    ck_assert_ptr_null(yaml_load("f", LITERAL("*x"), NULL));
}
END_TEST

static const char LINES[] =
    "name: x\n"    /* 1 */
    "resources:\n" /* 2 */
    "  cpus: 1\n"  /* 3 */
    "  mem:\n"     /* 4 */
    "    64\n"     /* 5 */
    "argv:\n"      /* 6 */
    "  - a\n"      /* 7 */
    "  - [b,\n"    /* 8 */
    "     c]\n"    /* 9 */
    "\"odd\\e key\": 5\n" /* 10 */;

static const struct {
    const char *path;
    unsigned line;
} PATHS[] = {
    {"name", 1},
    {"resources", 2},
    {"resources.cpus", 3},
    {"resources.mem", 4},
    {"argv[0]", 7},
    {"argv[1]", 8},
    {"argv[1][1]", 9},
    {"odd\xef\xbf\xbd key", 10},
    {"cpus", 0},
    {"argv[2]", 0},
};

START_TEST(test_lines)
{
    ck_assert_uint_eq(yaml_line(LITERAL(LINES), PATHS[_i].path), PATHS[_i].line);
}
END_TEST

/* The line is found although the text is wrong further on. */
START_TEST(test_line_before_an_error)
{
    ck_assert_uint_eq(yaml_line(LITERAL("a: 1\nb: 2\nc: *x\n"), "b"), 2);
    ck_assert_uint_eq(yaml_line(LITERAL("a: 1\nb: *x\nc: 3\n"), "c"), 0);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("yaml");

    tcase_add_loop_test(t, test_same, 0, COUNT(SAME));
    tcase_add_loop_test(t, test_wrong, 0, COUNT(WRONG));
    tcase_add_test(t, test_deepest);
    tcase_add_test(t, test_billion_laughs);
    tcase_add_test(t, test_without_error);
    tcase_add_loop_test(t, test_lines, 0, COUNT(PATHS));
    tcase_add_test(t, test_line_before_an_error);
    return unit_run("yaml", &t, 1);
}
