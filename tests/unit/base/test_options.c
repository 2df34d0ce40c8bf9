/* test_options.c - sources and their order, errors that name the place, help and man
 * page. */
#include "base/options.h"
#include "tests/lib/unit.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct option_row master_rows[] = {
    {.name = "id",
     .kind = OPTION_NUMBER,
     .required = true,
     .argument = "N",
     .min = 1,
     .max = 99,
     .help = "number of this master in --cluster"},
    {.name = "data-dir",
     .letter = 'd',
     .kind = OPTION_TEXT,
     .argument = "DIR",
     .help =
         "directory of log and snapshots; it is made if it does not exist, and belongs "
         "to this master alone"},
    {.name = "election-timeout",
     .kind = OPTION_DURATION,
     .argument = "TIME",
     .fallback = "500ms",
     .min = 50,
     .max = 60000,
     .help = "silence after which a master stands for election"},
    {.name = "attribute",
     .letter = 'a',
     .kind = OPTION_LIST,
     .argument = "NAME:VALUE",
     .help = "a word about this machine"},
    {.name = "verbose", .letter = 'v', .kind = OPTION_FLAG, .help = "say more"},
    {.name = "quiet", .letter = 'q', .kind = OPTION_FLAG, .help = "say less"},
    {.name = "entries",
     .kind = OPTION_NUMBER,
     .argument = "N",
     .min = 2,
     .help = "how many"},
};

static const struct option_table master = {
    .program = "triarch-master",
    .purpose = "one master of a Triarch cluster",
    .details =
        "Three or five masters keep the state of the cluster.\n.A second paragraph.",
    .rows = master_rows,
    .row_count = sizeof(master_rows) / sizeof(master_rows[0]),
    .version = "0.1.0",
    .environment = "TRIARCH_MASTER_",
    .has_config = true,
    .man_section = "8",
};

static const struct option_row run_rows[] = {
    {.name = "name",
     .letter = 'n',
     .kind = OPTION_TEXT,
     .argument = "NAME",
     .help = "of the job"},
    {.name = "wait", .kind = OPTION_FLAG, .help = "until the job ends"},
};
static const struct option_table run = {
    .program = "run",
    .purpose = "start a command as a job",
    .rows = run_rows,
    .row_count = 2,
    .operands = "[--] CMD [ARG]...",
    .operands_min = 1,
    .operands_max = SIZE_MAX,
    .order = OPERANDS_LAST,
};
static const struct option_table status = {
    .program = "status",
    .purpose = "show jobs, or one of them",
    .operands = "[JOB]",
    .operands_max = 1,
};
static const struct option_table kill_table = {
    .program = "kill",
    .meant = "stop end",
    .purpose = "end a job",
    .operands = "JOB",
    .operands_min = 1,
    .operands_max = 1,
};
static const struct option_row client_rows[] = {
    {.name = "masters",
     .kind = OPTION_TEXT,
     .argument = "LIST",
     .help = "addresses of masters"},
    {.name = "json", .kind = OPTION_FLAG, .help = "one JSON document"},
};
static const struct option_table *const commands[] = {&run, &status, &kill_table};
static const struct option_table client = {
    .program = "triarch",
    .purpose = "submits jobs and shows them",
    .rows = client_rows,
    .row_count = 2,
    .version = "0.1.0",
    .environment = "TRIARCH_",
    .man_section = "1",
    .commands = commands,
    .command_count = 3,
};

static struct options *o;
static enum options_wish wish;
static struct error err;

/* Words of a command line, divided by single spaces. */
static int parse(const struct option_table *table, const char *line)
{
    char words[512];
    char *rest = words;
    char *argv[32];
    int argc = 0;

    snprintf(words, sizeof(words), "prog%s%s", *line == '\0' ? "" : " ", line);
    while (rest != NULL)
        argv[argc++] = strsep(&rest, " ");
    options_destroy(o);
    o = options_create(table);
    memset(&err, 0, sizeof(err));
    return options_parse(o, argc, argv, &wish, &err);
}

static void
check_error(const struct option_table *table, const char *line, const char *text)
{
    ck_assert_int_eq(parse(table, line), -(int)ERROR_USAGE);
    ck_assert_int_eq(err.code, ERROR_USAGE);
    ck_assert_str_eq(err.text, text);
}

static void teardown(void)
{
    options_destroy(o);
    options_destroy(NULL);
}

START_TEST(all_kinds_on_the_command_line)
{
    ck_assert_int_eq(parse(&master,
                           "--id 7 --data-dir=/var/x --election-timeout 3s "
                           "--attribute rack:a -a zone:b -aroom:c -v"),
                     0);
    ck_assert_int_eq(wish, OPTIONS_RUN);
    ck_assert_uint_eq(options_number(o, "id"), 7);
    ck_assert_str_eq(options_text(o, "data-dir"), "/var/x");
    ck_assert_uint_eq(options_duration_ms(o, "election-timeout"), 3000);
    ck_assert_uint_eq(options_list_count(o, "attribute"), 3);
    ck_assert_str_eq(options_list_at(o, "attribute", 0), "rack:a");
    ck_assert_str_eq(options_list_at(o, "attribute", 1), "zone:b");
    ck_assert_str_eq(options_list_at(o, "attribute", 2), "room:c");
    ck_assert(options_flag(o, "verbose"));
    ck_assert(!options_flag(o, "quiet"));
    ck_assert_ptr_null(options_command(o));
}
END_TEST

START_TEST(what_is_not_given)
{
    ck_assert_int_eq(parse(&master, "--id 7"), 0);
    ck_assert_ptr_null(options_text(o, "data-dir"));
    ck_assert_uint_eq(options_duration_ms(o, "election-timeout"), 500);
    ck_assert(!options_given(o, "election-timeout"));
    ck_assert(options_given(o, "id"));
    ck_assert_uint_eq(options_list_count(o, "attribute"), 0);
    ck_assert_uint_eq(options_number(o, "entries"), 0);
    ck_assert_str_eq(options_origin(o, "data-dir"), "--data-dir");
}
END_TEST

START_TEST(last_one_wins)
{
    ck_assert_int_eq(parse(&master, "--id 7 --id 8 -v --verbose=no"), 0);
    ck_assert_uint_eq(options_number(o, "id"), 8);
    ck_assert(!options_flag(o, "verbose"));
}
END_TEST

START_TEST(flags_together_and_empty_values)
{
    ck_assert_int_eq(parse(&master, "-vqd /x --id=1"), 0);
    ck_assert(options_flag(o, "verbose") && options_flag(o, "quiet"));
    ck_assert_str_eq(options_text(o, "data-dir"), "/x");
    ck_assert_int_eq(parse(&master, "--id=1 --data-dir="), 0);
    ck_assert_str_eq(options_text(o, "data-dir"), "");
    ck_assert_int_eq(parse(&master, "--id=1 --data-dir=--odd"), 0);
    ck_assert_str_eq(options_text(o, "data-dir"), "--odd");
}
END_TEST

START_TEST(mistakes_on_the_command_line)
{
#define SEE " (see triarch-master --help)"
    static const struct {
        const char *line, *text;
    } cases[] = {
        {"--id 1 --data-dri x",
         "unknown option --data-dri: did you mean --data-dir?" SEE},
        {"--id 1 --data-dri=x",
         "unknown option --data-dri: did you mean --data-dir?" SEE},
        {"--zebra", "unknown option --zebra" SEE},
        {"--verison", "unknown option --verison: did you mean --version?" SEE},
        {"--data", "unknown option --data" SEE},
        {"-vx", "unknown option -x" SEE},
        {"--id", "--id needs a value: --id=N" SEE},
        {"--data-dir --id 1", "--data-dir needs a value: --data-dir=DIR" SEE},
        {"", "--id N is missing" SEE},
        {"--id 1 extra", "\"extra\" is too much" SEE},
        {"--id one", "--id: \"one\" is not a whole number"},
        {"--id -1", "--id: \"-1\" is not a whole number"},
        {"--id 100", "--id: 100 is not from 1 to 99"},
        {"--id 1 --entries 1", "--entries: 1 is not at least 2"},
        {"--id 1 --election-timeout 10ms",
         "--election-timeout: 10ms is not from 50ms to 1m"},
        {"--id 1 --election-timeout 3h",
         "--election-timeout: 3h is not from 50ms to 1m"},
        {"--id 1 --election-timeout 61s",
         "--election-timeout: 61s is not from 50ms to 1m"},
        {"--id 1 --election-timeout 5",
         "--election-timeout: \"5\" is not a duration: write a number with a unit, as "
         "500ms, "
         "3s, 2m, 1h or 7d"},
        {"--id 1 --verbose=maybe", "--verbose: \"maybe\" is neither yes nor no"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_error(&master, cases[i].line, cases[i].text);
}
END_TEST

START_TEST(error_may_be_null)
{
    char *argv[] = {(char[]){"prog"}, (char[]){"--zebra"}, NULL};

    o = options_create(&master);
    ck_assert_int_eq(options_parse(o, 2, argv, &wish, NULL), -(int)ERROR_USAGE);
}
END_TEST

/* ---- environment and file ---- */

static char config[] = "/tmp/test_options.XXXXXX";

static void config_create(void)
{
    int fd = mkstemp(config);

    ck_assert_int_ge(fd, 0);
    close(fd);
}

static void config_remove(void)
{
    unlink(config);
    teardown();
}

static int parse_with_config(const char *text, const char *line)
{
    char whole[256];
    FILE *file = fopen(config, "w");

    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
    snprintf(whole, sizeof(whole), "--config %s%s%s", config, *line ? " " : "", line);
    return parse(&master, whole);
}

START_TEST(environment_sets_all_kinds)
{
    setenv("TRIARCH_MASTER_ID", "3", 1);
    setenv("TRIARCH_MASTER_DATA_DIR", "/env", 1);
    setenv("TRIARCH_MASTER_ATTRIBUTE", "rack:a\n\nzone:b\n", 1);
    setenv("TRIARCH_MASTER_VERBOSE", "1", 1);
    ck_assert_int_eq(parse(&master, ""), 0);
    ck_assert_uint_eq(options_number(o, "id"), 3);
    ck_assert_str_eq(options_text(o, "data-dir"), "/env");
    ck_assert_str_eq(options_origin(o, "data-dir"), "TRIARCH_MASTER_DATA_DIR");
    ck_assert_uint_eq(options_list_count(o, "attribute"), 2);
    ck_assert_str_eq(options_list_at(o, "attribute", 1), "zone:b");
    ck_assert(options_flag(o, "verbose"));
}
END_TEST

START_TEST(file_sets_all_kinds)
{
    ck_assert_int_eq(
        parse_with_config("# a master\nid = 4\nattribute = a:1\nattribute = b:2\n"
                          "election-timeout = 1s\nquiet = on\n",
                          ""),
        0);
    ck_assert_uint_eq(options_number(o, "id"), 4);
    ck_assert_uint_eq(options_list_count(o, "attribute"), 2);
    ck_assert_uint_eq(options_duration_ms(o, "election-timeout"), 1000);
    ck_assert(options_flag(o, "quiet"));
}
END_TEST

START_TEST(stronger_source_wins)
{
    setenv("TRIARCH_MASTER_ENTRIES", "20", 1);
    setenv("TRIARCH_MASTER_DATA_DIR", "/env", 1);
    setenv("TRIARCH_MASTER_ATTRIBUTE", "env:1", 1);
    ck_assert_int_eq(parse_with_config("id = 4\nentries = 10\ndata-dir = /file\n"
                                       "attribute = file:1\nattribute = file:2\n",
                                       "--data-dir /line"),
                     0);
    ck_assert_uint_eq(options_number(o, "id"), 4);
    ck_assert_uint_eq(options_number(o, "entries"), 20);
    ck_assert_str_eq(options_text(o, "data-dir"), "/line");
    ck_assert_uint_eq(options_list_count(o, "attribute"), 1);
    ck_assert_str_eq(options_list_at(o, "attribute", 0), "env:1");
}
END_TEST

START_TEST(config_may_come_from_the_environment)
{
    FILE *file = fopen(config, "w");

    fputs("id = 9\n", file);
    fclose(file);
    setenv("TRIARCH_MASTER_CONFIG", config, 1);
    ck_assert_int_eq(parse(&master, ""), 0);
    ck_assert_uint_eq(options_number(o, "id"), 9);
    setenv("TRIARCH_MASTER_CONFIG", "/no/such", 1);
    check_error(
        &master,
        "",
        "TRIARCH_MASTER_CONFIG: cannot read /no/such: No such file or directory");
}
END_TEST

START_TEST(mistakes_name_their_place)
{
    static const struct {
        const char *text, *reason;
    } cases[] = {
        {"id = 1\n\ndata-dri = x\n",
         "3: unknown option \"data-dri\": did you mean data-dir?"},
        {"zebra = x\n", "1: unknown option \"zebra\""},
        {"config = x\n", "1: unknown option \"config\""},
        {"id = 100\n", "1: id: 100 is not from 1 to 99"},
        {"\nid = 1 # first\n", "2: id: a comment needs a line of its own"},
    };
    char expected[ERROR_TEXT_MAX];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ck_assert_int_eq(parse_with_config(cases[i].text, "--id 1"), -(int)ERROR_USAGE);
        snprintf(expected, sizeof(expected), "%s:%s", config, cases[i].reason);
        ck_assert_str_eq(err.text, expected);
    }
    ck_assert_int_eq(parse_with_config("entries = 5\nentries = 6\n", "--id 1"),
                     -(int)ERROR_USAGE);
    snprintf(expected,
             sizeof(expected),
             "%s:2: entries: was set before at %s:1: entries",
             config,
             config);
    ck_assert_str_eq(err.text, expected);
    check_error(&master,
                "--id 1 --config /no/such",
                "--config: cannot read /no/such: No such file or directory");
    setenv("TRIARCH_MASTER_ID", "x", 1);
    check_error(&master, "--id 1", "TRIARCH_MASTER_ID: \"x\" is not a whole number");
}
END_TEST

START_TEST(refusing_a_value_names_its_place)
{
    char expected[ERROR_TEXT_MAX];

    ck_assert_int_eq(parse_with_config("id = 4\n", ""), 0);
    ck_assert_int_eq(options_refuse(o, "id", &err, "%d is not in --cluster", 4),
                     -(int)ERROR_USAGE);
    snprintf(expected, sizeof(expected), "%s:1: id: 4 is not in --cluster", config);
    ck_assert_str_eq(err.text, expected);
}
END_TEST

/* ---- commands ---- */

START_TEST(command_with_options_on_both_sides)
{
    ck_assert_int_eq(parse(&client, "--masters a:1 status 17 --json"), 0);
    ck_assert_ptr_eq(options_command(o), &status);
    ck_assert_str_eq(options_text(o, "masters"), "a:1");
    ck_assert(options_flag(o, "json"));
    ck_assert_uint_eq(options_operand_count(o), 1);
    ck_assert_str_eq(options_operand(o, 0), "17");
}
END_TEST

START_TEST(first_operand_ends_the_options_of_run)
{
    ck_assert_int_eq(parse(&client, "run -n x --wait -- ls --json -l"), 0);
    ck_assert_str_eq(options_text(o, "name"), "x");
    ck_assert(options_flag(o, "wait"));
    ck_assert(!options_flag(o, "json"));
    ck_assert_uint_eq(options_operand_count(o), 3);
    ck_assert_str_eq(options_operand(o, 1), "--json");
    ck_assert_int_eq(parse(&client, "run sh -c --"), 0);
    ck_assert_uint_eq(options_operand_count(o), 3);
    ck_assert_str_eq(options_operand(o, 2), "--");
    ck_assert_int_eq(parse(&client, "run -- --help"), 0);
    ck_assert_int_eq(wish, OPTIONS_RUN);
}
END_TEST

START_TEST(two_dashes_end_mixed_options)
{
    ck_assert_int_eq(parse(&client, "status -- --json"), 0);
    ck_assert(!options_flag(o, "json"));
    ck_assert_str_eq(options_operand(o, 0), "--json");
    ck_assert_int_eq(parse(&client, "status -"), 0);
    ck_assert_str_eq(options_operand(o, 0), "-");
}
END_TEST

START_TEST(environment_of_the_program_not_of_commands)
{
    setenv("TRIARCH_MASTERS", "b:2", 1);
    setenv("TRIARCH_NAME", "wrong", 1);
    ck_assert_int_eq(parse(&client, "run true"), 0);
    ck_assert_str_eq(options_text(o, "masters"), "b:2");
    ck_assert_ptr_null(options_text(o, "name"));
}
END_TEST

START_TEST(mistakes_with_commands)
{
    static const struct {
        const char *line, *text;
    } cases[] = {
        {"", "a command is missing (see triarch --help)"},
        {"staus",
         "unknown command \"staus\": did you mean status? (see triarch --help)"},
        {"stop", "unknown command \"stop\": did you mean kill? (see triarch --help)"},
        {"end", "unknown command \"end\": did you mean kill? (see triarch --help)"},
        {"sto", "unknown command \"sto\" (see triarch --help)"},
        {"zebra", "unknown command \"zebra\" (see triarch --help)"},
        {"kill", "kill needs JOB (see triarch kill --help)"},
        {"kill 1 2", "\"2\" is too much (see triarch kill --help)"},
        {"run", "run needs [--] CMD [ARG]... (see triarch run --help)"},
        {"run --wiat true",
         "unknown option --wiat: did you mean --wait? (see triarch run --help)"},
        {"run --jsno true",
         "unknown option --jsno: did you mean --json? (see triarch run --help)"},
        {"--wait run true", "unknown option --wait (see triarch --help)"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_error(&client, cases[i].line, cases[i].text);
}
END_TEST

/* ---- help and man page ---- */

static struct buffer text;

static const char *wished(const struct option_table *table, const char *line)
{
    ck_assert_int_eq(parse(table, line), 0);
    ck_assert_int_ne(wish, OPTIONS_RUN);
    buffer_clear(&text);
    options_print(o, wish, &text);
    buffer_append(&text, "", 1);
    return (const char *)text.data;
}

static void check_width(const char *lines)
{
    for (; *lines != '\0'; lines += strcspn(lines, "\n") + 1) {
        size_t size = strcspn(lines, "\n");

        ck_assert_msg(size <= 80, "%zu columns: %.*s", size, (int)size, lines);
        ck_assert_msg(
            size == 0 || lines[size - 1] != ' ', "space at the end: %.80s", lines);
    }
}

START_TEST(help_is_asked_for_before_mistakes_of_the_rest)
{
    wished(&master, "--help --zebra");
    ck_assert_int_eq(wish, OPTIONS_HELP);
    wished(&master, "-h");
    ck_assert_int_eq(wish, OPTIONS_HELP);
    wished(&client, "run --help");
    ck_assert_int_eq(wish, OPTIONS_HELP);
    ck_assert_str_eq(wished(&master, "--version"), "triarch-master 0.1.0\n");
}
END_TEST

START_TEST(help_of_a_program)
{
    const char *help = wished(&master, "--help");

    check_width(help);
    ck_assert_str_eq(
        help,
        "Usage: triarch-master --id N [OPTION]...\n"
        "One master of a Triarch cluster.\n"
        "\n"
        "Options:\n"
        "      --id N              number of this master in --cluster (required)\n"
        "  -d, --data-dir DIR      directory of log and snapshots; it is made if it "
        "does\n"
        "                          not exist, and belongs to this master alone\n"
        "      --election-timeout TIME\n"
        "                          silence after which a master stands for election\n"
        "                          (default 500ms)\n"
        "  -a, --attribute NAME:VALUE\n"
        "                          a word about this machine (may be repeated)\n"
        "  -v, --verbose           say more\n"
        "  -q, --quiet             say less\n"
        "      --entries N         how many\n"
        "\n"
        "General:\n"
        "  -h, --help              print this and exit\n"
        "      --version           print the version and exit\n"
        "      --man               print the manual page (roff) and exit\n"
        "      --config FILE       read options from FILE, one `name = value` a line\n"
        "\n"
        "Options may also stand in the file of --config (id = ...) and in the "
        "environment\n"
        "(TRIARCH_MASTER_ID); the command line wins.\n"
        "\n"
        "Three or five masters keep the state of the cluster.\n"
        "\n"
        ".A second paragraph.\n");
}
END_TEST

START_TEST(help_of_commands)
{
    const char *help = wished(&client, "--help");

    check_width(help);
    ck_assert_ptr_nonnull(
        strstr(help, "Usage: triarch [OPTION]... COMMAND [ARGUMENT]...\n"));
    ck_assert_ptr_nonnull(strstr(help,
                                 "\nCommands:\n"
                                 "  run     start a command as a job\n"
                                 "  status  show jobs, or one of them\n"
                                 "  kill    end a job\n"));
    ck_assert_ptr_nonnull(strstr(help, "\n`triarch COMMAND --help` tells more.\n"));
    ck_assert_ptr_null(strstr(help, "--config"));
    help = wished(&client, "run --help");
    check_width(help);
    ck_assert_ptr_nonnull(
        strstr(help, "Usage: triarch run [OPTION]... [--] CMD [ARG]...\n"));
    ck_assert_ptr_nonnull(strstr(help, "  -n, --name NAME"));
    ck_assert_ptr_nonnull(
        strstr(help, "Options of all commands:\n      --masters LIST"));
}
END_TEST

START_TEST(man_page_has_all_and_no_stray_control_lines)
{
    const char *page = wished(&master, "--man");

    ck_assert_int_eq(strncmp(page, ".TH \"triarch-master\" \"8\"", 24), 0);
    ck_assert_ptr_nonnull(
        strstr(page, "triarch\\-master \\- one master of a Triarch cluster\n"));
    ck_assert_ptr_nonnull(
        strstr(page, "\\fB\\-d\\fR, \\fB\\-\\-data\\-dir\\fR \\fIDIR\\fR\n"));
    ck_assert_ptr_nonnull(strstr(page, "\n.PP\n\\&.A second paragraph.\n"));
    ck_assert_ptr_nonnull(strstr(page, "TRIARCH_MASTER_ID"));
    ck_assert_ptr_nonnull(strstr(page, ".SH FILES\n"));
    page = wished(&client, "--man");
    ck_assert_ptr_nonnull(
        strstr(page, "\n.SS run [OPTION]... [\\-\\-] CMD [ARG]...\n"));
    ck_assert_ptr_null(strstr(page, ".SH FILES\n"));
}
END_TEST

static void help_teardown(void)
{
    buffer_finish(&text);
    teardown();
}

/* ---- our own mistakes ---- */

START_TEST(name_in_no_table)
{
    parse(&master, "--id 1");
    options_text(o, "no-such");
}
END_TEST

START_TEST(option_of_another_kind)
{
    parse(&master, "--id 1");
    options_text(o, "id");
}
END_TEST

START_TEST(operand_that_is_not_there)
{
    parse(&client, "status");
    options_operand(o, 0);
}
END_TEST

static TCase *fixture(TCase *c, SFun before, SFun after)
{
    tcase_add_checked_fixture(c, before, after);
    return c;
}

UNIT_MAIN("options",
          fixture(unit_case("command line",
                            all_kinds_on_the_command_line,
                            what_is_not_given,
                            last_one_wins,
                            flags_together_and_empty_values,
                            mistakes_on_the_command_line,
                            error_may_be_null),
                  NULL,
                  teardown),
          fixture(unit_case("sources",
                            environment_sets_all_kinds,
                            file_sets_all_kinds,
                            stronger_source_wins,
                            config_may_come_from_the_environment,
                            mistakes_name_their_place,
                            refusing_a_value_names_its_place),
                  config_create,
                  config_remove),
          fixture(unit_case("commands",
                            command_with_options_on_both_sides,
                            first_operand_ends_the_options_of_run,
                            two_dashes_end_mixed_options,
                            environment_of_the_program_not_of_commands,
                            mistakes_with_commands),
                  NULL,
                  teardown),
          fixture(unit_case("help",
                            help_is_asked_for_before_mistakes_of_the_rest,
                            help_of_a_program,
                            help_of_commands,
                            man_page_has_all_and_no_stray_control_lines),
                  NULL,
                  help_teardown),
          unit_case_aborts("mistakes",
                           name_in_no_table,
                           option_of_another_kind,
                           operand_that_is_not_there))
