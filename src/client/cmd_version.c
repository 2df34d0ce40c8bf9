/* cmd_version.c - triarch version. */
#include "client/session.h"

#include <stdlib.h>

static const struct option_row rows[] = {
    {.name = "json", .kind = OPTION_FLAG, .help = "as JSON"},
};

static int run(struct session *s, struct error *err)
{
    struct buffer line = {0};

    (void)err;
    if (options_flag(s->options, "json")) {
        session_write_json(s,
                           json_pack("{s:s, s:s, s:i}",
                                     "program",
                                     "triarch",
                                     "version",
                                     PACKAGE_VERSION,
                                     "protocol",
                                     PROTOCOL_VERSION));
        return EXIT_SUCCESS;
    }
    buffer_printf(&line, "triarch %s\n", PACKAGE_VERSION);
    screen_write(&s->out, &line);
    buffer_finish(&line);
    return EXIT_SUCCESS;
}

const struct subcommand subcommand_version = {
    .table =
        {
            .program = "version",
            .purpose = "print the version of this program",
            .rows = rows,
            .row_count = sizeof(rows) / sizeof(rows[0]),
        },
    .run = run,
};
