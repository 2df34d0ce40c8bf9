/* fuzz_command.c - entries and commands.
 *
 * Whatever decodes says the same after it was encoded and decoded again, specs included, and
 * canonical bytes are a fixed point: encoding a second time changes nothing. */
#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"
#include "tests/lib/wire_values.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_job(struct bytes spec)
{
    struct job_spec first, second;
    struct buffer packed = {0};

    if (job_spec_unpack(&first, spec, NULL) != 0)
        return;
    ASSERT(job_spec_check(&first, NULL) == 0);
    job_spec_pack(&first, &packed);
    ASSERT(job_spec_unpack(&second, buffer_view(&packed), NULL) == 0);
    ASSERT(job_specs_equal(&first, &second));
    job_spec_finish(&first);
    job_spec_finish(&second);
    buffer_finish(&packed);
}

static void check_agent(struct bytes spec)
{
    struct agent_spec first, second;
    struct buffer packed = {0};

    if (agent_spec_unpack(&first, spec, NULL) != 0)
        return;
    ASSERT(agent_spec_check(&first, NULL) == 0);
    agent_spec_pack(&first, &packed);
    ASSERT(agent_spec_unpack(&second, buffer_view(&packed), NULL) == 0);
    ASSERT(agent_specs_equal(&first, &second));
    agent_spec_finish(&first);
    agent_spec_finish(&second);
    buffer_finish(&packed);
}

/* The arrays that command_pack() wants, from the walk over a decoded command. */
struct arrays {
    struct placement placements[LIMIT_PLACEMENTS];
    struct task_update updates[LIMIT_UPDATES];
};

static void fill_arrays(struct command *c, struct arrays *a)
{
    struct command_cursor at = {0};
    uint32_t n = 0;

    if (c->kind == COMMAND_PLACE) {
        while (command_next_placement(c, &at, &a->placements[n]))
            n++;
        ASSERT(n == c->place.count);
        c->place.placements = a->placements;
    } else if (c->kind == COMMAND_TASK_UPDATE) {
        while (command_next_update(c, &at, &a->updates[n]))
            n++;
        ASSERT(n == c->task_update.count);
        c->task_update.updates = a->updates;
    }
}

static void check_command(struct bytes bytes)
{
    static struct arrays first_arrays, second_arrays;
    struct command first, second;
    struct buffer packed = {0}, again = {0};

    if (command_unpack(&first, bytes, NULL) != 0)
        return;
    fill_arrays(&first, &first_arrays);
    command_pack(&first, &packed);
    ASSERT(command_unpack(&second, buffer_view(&packed), NULL) == 0);
    ASSERT(commands_equal(&first, &second));
    fill_arrays(&second, &second_arrays);
    command_pack(&second, &again);
    ASSERT(again.size == packed.size &&
           memcmp(again.data, packed.data, again.size) == 0);
    if (first.kind == COMMAND_SUBMIT)
        check_job(first.submit.spec);
    if (first.kind == COMMAND_AGENT_REGISTER)
        check_agent(first.agent_register.spec);
    buffer_finish(&packed);
    buffer_finish(&again);
}

static void check_entry(struct bytes bytes)
{
    struct buffer again = {0};
    struct entry_reader r;
    struct bytes command;

    if (entry_open(&r, bytes, NULL) != 0)
        return;
    entry_begin(&again, r.stamp_us);
    again.data[0] = r.version;
    while (entry_next(&r, &command)) {
        entry_append(&again, command);
        check_command(command);
    }
    ASSERT(again.size == bytes.size && memcmp(again.data, bytes.data, bytes.size) == 0);
    buffer_finish(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes input = {data, size};

    check_entry(input);
    check_command(input);
    check_job(input);
    check_agent(input);
    return 0;
}
