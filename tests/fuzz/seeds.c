/* seeds.c - first inputs for the fuzz targets, written to DIR/fuzz_…/seed-…:
 *     ./tests/fuzz/seeds tests/fuzz/corpus
 * The bytes of valid values, so that a fuzzer begins behind the first checks. */
#include "tests/lib/wire_values.h"
#include "wire/message.h"
#include "wire/pack.h"

#include <stdio.h>
#include <stdlib.h>

static const char *directory;
static struct buffer out;

/* Write what is in `out` and clear it. */
static void write_seed(const char *target, const char *name)
{
    char path[4096];
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s/seed-%s", directory, target, name);
    f = fopen(path, "wb");
    if (f == NULL || fwrite(out.data, 1, out.size, f) != out.size || fclose(f) != 0) {
        perror(path);
        exit(1);
    }
    buffer_clear(&out);
}

static void write_commands(void)
{
    static const enum command_kind KINDS[] = {
#define X(number, name, text) COMMAND_##name,
        COMMAND_KINDS(X)
#undef X
    };
    struct command_elements elements;
    struct buffer spec = {0}, bytes = {0}, entry = {0};
    struct command c;

    entry_begin(&entry, 1717763696000001);
    for (size_t i = 0; i < sizeof(KINDS) / sizeof(KINDS[0]); i++) {
        sample_command(KINDS[i], &c, &elements, &spec);
        buffer_clear(&bytes);
        command_pack(&c, &bytes);
        entry_append(&entry, buffer_view(&bytes));
        buffer_append(&out, bytes.data, bytes.size);
        write_seed("fuzz_command", command_name(KINDS[i]));
        if (KINDS[i] == COMMAND_SUBMIT || KINDS[i] == COMMAND_AGENT_REGISTER) {
            buffer_append(&out, spec.data, spec.size);
            write_seed("fuzz_command",
                       KINDS[i] == COMMAND_SUBMIT ? "job_spec" : "agent_spec");
        }
    }
    buffer_append(&out, entry.data, entry.size);
    write_seed("fuzz_command", "entry");
    buffer_finish(&entry);
    buffer_finish(&bytes);
    buffer_finish(&spec);
}

/* Specs with all that they may say. */
static void write_full_specs(void)
{
    struct agent_spec agent;
    struct job_spec job;

    full_job_spec(&job);
    job_spec_pack(&job, &out);
    job_spec_finish(&job);
    write_seed("fuzz_command", "job_spec_full");
    full_agent_spec(&agent);
    agent_spec_pack(&agent, &out);
    agent_spec_finish(&agent);
    write_seed("fuzz_command", "agent_spec_full");
}

#define VIEW(text) ((struct bytes){(const uint8_t *)(text), sizeof(text) - 1})

static void write_agent_frames(void)
{
    const struct hello hello = {.protocol = PROTOCOL_VERSION,
                                .role = HELLO_MASTER,
                                .cluster = VIEW("0123456789abcdef"),
                                .id = 1,
                                .incarnation = UINT64_MAX,
                                .version = VIEW("0.1.0"),
                                .cluster_hash = VIEW("fedcba9876543210"),
                                .founding = FOUNDING_MEMBER,
                                .leads = true,
                                .term = 3};
    const struct register_request registration = {.spec = VIEW("spec"),
                                                  .runs_count = 1};
    const struct run_report runs[] = {
        {.attempt = 1, .state = TASK_RUNNING, .health = HEALTH_FAILING, .restarts = 2},
        {.attempt = 2,
         .state = TASK_FAILED,
         .reason = TASK_REASON_EXITED,
         .exit_code = 3,
         .message = VIEW("exited with status 3")}};
    const uint16_t ports[] = {80, 31000, UINT16_MAX};
    const struct launch launch = {.attempt = 1,
                                  .job = 2,
                                  .instance = 3,
                                  .number = 4,
                                  .spec = VIEW("spec"),
                                  .ports = ports,
                                  .port_count = 3};
    const struct stop stops[] = {{1, false}, {UINT64_MAX, true}};
    const struct ack acks[] = {{1, TASK_RUNNING, HEALTH_FAILING, 2},
                               {.attempt = 2, .state = TASK_LOST}};
    const struct heartbeat heartbeat = {
        .agent = 7, .term = 3, .flags = AGENT_FLAG_LOW_DISK, .sequence = 9};

    hello_pack(&hello, &out);
    write_seed("fuzz_frame", "hello");
    register_pack(&registration, 1, &out);
    register_result_pack(&(struct register_result){.agent = 7, .term = 3}, 1, &out);
    write_seed("fuzz_frame", "register");
    update_pack(7, runs, 2, &out);
    runs_pack(7, 1, 2, runs, 2, 2, &out);
    write_seed("fuzz_frame", "runs");
    leading_pack(3, &out);
    if (launch_pack(3, &launch, 1, &out) != 1)
        abort();
    stop_pack(3, stops, 2, &out);
    ack_pack(3, acks, 2, &out);
    heartbeat_pack(&heartbeat, &out);
    lease_pack(3, 9, &out);
    write_seed("fuzz_frame", "orders");
}

/* What runs use, from the agent and as clients list it. */
static void write_usage_frames(void)
{
    const struct usage_report reports[] = {{1, 1500, 99, 4096, 8192, 512, 513, 3},
                                           {.attempt = UINT64_MAX}};
    const struct usage_info info = {.report = reports[0],
                                    .known = true,
                                    .job = 2,
                                    .instance = 3,
                                    .agent = 7,
                                    .name = VIEW("n"),
                                    .placed_us = 1,
                                    .cpus_milli = 500,
                                    .limit_bytes = 1 << 20};
    struct list_writer w;

    usage_pack(7, 0, 1, reports, 2, &out);
    list_begin(&w, &out, 1, 300);
    usage_info_pack(&w, &info);
    list_end(&w, 1);
    write_seed("fuzz_frame", "usage");
}

static void write_exec_frames(void)
{
    const struct bytes argv[] = {VIEW("sh"), VIEW("-c"), VIEW("")};
    const struct bytes env[] = {VIEW("TERM=xterm")};
    const struct exec_size size = {24, 100};

    exec_pack(
        &(struct exec_request){1, EXEC_TERMINAL | EXEC_INPUT, size, argv, 3, env, 1},
        1,
        &out);
    exec_result_pack(1, &out);
    exec_resize_pack(&size, &out);
    exec_data_pack(&(struct exec_data){EXEC_STDERR, VIEW("text")}, &out);
    exec_credit_pack(LIMIT_EXEC_WINDOW_BYTES, &out);
    exec_close_input_pack(&out);
    exec_exit_pack(&(struct exec_exit){EXEC_NOT_STARTED, 127, VIEW("why")}, &out);
    write_seed("fuzz_frame", "exec");
}

static void write_client_frames(void)
{
    static const uint16_t PORTS[] = {80, 31000};
    struct list_writer w;

    submit_pack(&(struct submit_request){.key = VIEW("key"), .spec = VIEW("spec")}, 1, &out);
    submit_result_pack(&(struct submit_result){.id = 1, .index = 9}, 1, &out);
    id_request_pack(METHOD_KILL, 1, 2, &out);
    agent_mode_pack(
        &(struct agent_mode_request){7, AGENT_DRAINING, LIMIT_DRAIN_MS}, 4, &out);
    list_pack(METHOD_TASKS, &(struct list_request){.of = 1, .limit = 100}, 3, &out);
    rpc_error(&out, 3, ERROR_NOT_LEADER, "not the leader", "127.0.0.1:5049");
    write_seed("fuzz_frame", "requests");
    list_begin(&w, &out, 1, 300);
    job_summary_pack(
        &w, &(struct job_summary){.id = 1, .name = VIEW("n"), .why = VIEW("w")});
    list_end(&w, 0);
    write_seed("fuzz_frame", "jobs");
    list_begin(&w, &out, 1, 300);
    spec_info_pack(&w, &(struct spec_info){.job = 1, .spec = VIEW("spec")});
    list_end(&w, 0);
    write_seed("fuzz_frame", "spec");
    list_begin(&w, &out, 1, 300);
    task_info_pack(&w,
                   &(struct task_info){.agent_http = VIEW("h:1"),
                                       .message = VIEW("m"),
                                       .agent_rpc = VIEW("h:2"),
                                       .placed_us = 1,
                                       .health = HEALTH_PASSING,
                                       .restarts = 2,
                                       .ports = PORTS,
                                       .port_count = 2,
                                       .why = VIEW("retry 1 of 2 in 3 s")});
    list_end(&w, 1);
    write_seed("fuzz_frame", "tasks");
    list_begin(&w, &out, 1, 300);
    agent_info_pack(&w,
                    &(struct agent_info){.id = 1,
                                         .spec = VIEW("spec"),
                                         .mode = AGENT_DRAINING,
                                         .drain_us = 1,
                                         .flags = AGENT_FLAG_LOW_DISK,
                                         .ports = {{31000, 31003}},
                                         .range_count = 1,
                                         .custom = {{VIEW("licence"), 1500}},
                                         .custom_count = 1});
    list_end(&w, 0);
    write_seed("fuzz_frame", "agents");
    list_begin(&w, &out, 1, 300);
    master_info_pack(&w,
                     &(struct master_info){.address = VIEW("h:1"),
                                           .role = VIEW("leader"),
                                           .digest = VIEW("0123456789abcdef")});
    list_end(&w, 0);
    write_seed("fuzz_frame", "masters");
}

/* Each form of each kind, as other writers may choose it. */
static void write_values(void)
{
    static const char FORMS[] =
        "\xdc\x00\x1a\x05\xff\xcc\x80\xcd\x01\x00\xce\x00\x01\x00\x00"
        "\xcf\x00\x00\x00\x01\x00\x00\x00\x00\xd0\x80\xd1\x80\x00\xd2\x80\x00\x00\x00"
        "\xd3\x80\x00\x00\x00\x00\x00\x00\x00\xc0\xc2\xc3\xca\x00\x00\x00\x00"
        "\xcb\x00\x00\x00\x00\x00\x00\x00\x00\xa1s\xd9\x01s\xda\x00\x01s"
        "\xc4\x01z\xc5\x00\x01z\x81\x01\x02\xde\x00\x01\x03\x04\xd4\x01\x02\xc7\x01\x01"
        "\x02"
        "\x91\x90\xdd\x00\x00\x00\x01\x80";

    buffer_append(&out, FORMS, sizeof(FORMS) - 1);
    write_seed("fuzz_pack", "forms");
    for (int i = 0; i < 7; i++)
        pack_array(&out, 1);
    pack_nil(&out);
    write_seed("fuzz_pack", "deep");
    pack_array(&out, 3);
    pack_uint(&out, UINT64_MAX);
    pack_int(&out, INT64_MIN);
    pack_text(&out, "für");
    write_seed("fuzz_pack", "values");
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s CORPUS-DIRECTORY\n", argv[0]);
        return 2;
    }
    directory = argv[1];
    write_commands();
    write_full_specs();
    write_agent_frames();
    write_usage_frames();
    write_exec_frames();
    write_client_frames();
    write_values();
    buffer_finish(&out);
    return 0;
}
