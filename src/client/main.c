/* main.c - triarch, the command line: finds the command, says what went wrong. */
#include "base/standard_files.h"
#include "client/session.h"

#include <stdlib.h>
#include <string.h>

#define EXIT_USAGE 2

static const struct subcommand *const commands[] = {
    &subcommand_run,
    &subcommand_submit,
    &subcommand_plan,
    &subcommand_dispatch,
    &subcommand_wait,
    &subcommand_status,
    &subcommand_show,
    &subcommand_kill,
    &subcommand_purge,
    &subcommand_logs,
    &subcommand_files,
    &subcommand_top,
    &subcommand_exec,
    &subcommand_agents,
    &subcommand_roles,
    &subcommand_failures,
    &subcommand_masters,
    &subcommand_version,
    &subcommand_dev,
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static const struct option_row rows[] = {
    {.name = "masters",
     .letter = 'm',
     .kind = OPTION_TEXT,
     .argument = "HOST:PORT,...",
     .fallback = "127.0.0.1:5049",
     .help = "masters of the cluster; one that answers is enough"},
    {.name = "timeout",
     .kind = OPTION_DURATION,
     .argument = "TIME",
     .fallback = "30s",
     .min = 100,
     .max = 24 * 3600 * 1000,
     .help = "give up a request after TIME, during which it is repeated through every "
             "change of leader"},
};

static const struct option_table *tables[COMMAND_COUNT];

static const struct option_table program = {
    .program = "triarch",
    .purpose = "run jobs on a Triarch cluster",
    .details =
        "A command that is given while the leader dies succeeds all the same: it is "
        "repeated with the same key, and the same key never makes a second job.\n"
        "Listings take --json: one JSON document on standard output, and nothing else. "
        "On a terminal they are coloured unless NO_COLOR is set.",
    .rows = rows,
    .row_count = sizeof(rows) / sizeof(rows[0]),
    .version = PACKAGE_VERSION,
    .environment = "TRIARCH_",
    .man_section = "1",
    .commands = tables,
    .command_count = COMMAND_COUNT,
};

static int fail(struct session *s, const struct error *err)
{
    session_error(s, err);
    return err->code == ERROR_USAGE ? EXIT_USAGE : EXIT_FAILURE;
}

static int run_command(struct session *s)
{
    const struct option_table *table = options_command(s->options);
    struct error err = {0};
    const struct subcommand *command = NULL;
    int status;

    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (table == &commands[i]->table)
            command = commands[i];
    status = command->run(s, &err);
    if (status >= 0 && screen_close(&s->out, &err) != 0)
        status = -1;
    if (status >= 0)
        return status;
    status = fail(s, &err);
    return status == EXIT_FAILURE && command->failed != 0 ? command->failed : status;
}

static int print_wish(struct session *s, enum options_wish wish)
{
    struct buffer text = {0};
    struct error err;

    options_print(s->options, wish, &text);
    screen_write(&s->out, &text);
    buffer_finish(&text);
    return screen_close(&s->out, &err) == 0 ? EXIT_SUCCESS : fail(s, &err);
}

/* `triarch help COMMAND` is `triarch COMMAND --help`, as people try it. */
static int parse(struct options *options,
                 int argc,
                 char **argv,
                 enum options_wish *wish,
                 struct error *err)
{
    char flag[] = "--help";
    char *words[] = {argv[0], flag, flag, NULL};

    if (argc < 2 || argc > 3 || strcmp(argv[1], "help") != 0)
        return options_parse(options, argc, argv, wish, err);
    if (argc == 3)
        words[1] = argv[2];
    return options_parse(options, argc, words, wish, err);
}

int main(int argc, char **argv)
{
    struct session s = {.out = screen_of(stdout), .err = screen_of(stderr)};
    struct options *options;
    enum options_wish wish;
    struct error err;
    int status;

    standard_files_reserve();
    screen_locale();
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        tables[i] = &commands[i]->table;
    options = options_create(&program);
    s.options = options;
    if (parse(options, argc, argv, &wish, &err) != 0)
        status = fail(&s, &err);
    else if (wish != OPTIONS_RUN)
        status = print_wish(&s, wish);
    else
        status = run_command(&s);
    session_close(&s);
    options_destroy(options);
    return status;
}
