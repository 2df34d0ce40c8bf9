/* fuzz_frame.c - a stream of frames from an untrusted peer.
 *
 * Each frame goes through every decoder that could be asked to read it; lists that were
 * accepted are walked to their end.  What rpc_unpack() accepts is MessagePack to msgpack-c. */
#include "base/assert.h"
#include "base/limits.h"
#include "wire/message.h"

#include <msgpack.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_with_msgpack(struct bytes frame)
{
    msgpack_unpacked other;
    size_t offset = 0;

    msgpack_unpacked_init(&other);
    ASSERT(msgpack_unpack_next(&other, (const char *)frame.data, frame.size, &offset) ==
           MSGPACK_UNPACK_SUCCESS);
    ASSERT(offset == frame.size);
    ASSERT(other.data.type == MSGPACK_OBJECT_ARRAY);
    msgpack_unpacked_destroy(&other);
}

static void check_view(struct bytes view, struct bytes whole)
{
    ASSERT(view.size == 0 || (view.data >= whole.data && view.size <= whole.size &&
                              view.data + view.size <= whole.data + whole.size));
}

static void read_runs(struct bytes params)
{
    struct command_cursor at = {0};
    struct run_report run;
    struct run_list list;
    uint32_t n = 0;

    if (run_list_unpack(&list, params, NULL) != 0)
        return;
    for (; run_list_next(&list, &at, &run); n++)
        check_view(run.message, params);
    ASSERT(n == list.count && n <= LIMIT_UPDATES);
}

static void read_orders(struct bytes params)
{
    struct command_cursor launches = {0}, stops = {0}, acks = {0};
    struct order_list list;
    struct launch launch;
    struct stop stop;
    struct ack ack;

    if (order_list_unpack(&list, METHOD_LAUNCH, params, NULL) == 0)
        while (launch_next(&list, &launches, &launch))
            check_view(launch.spec, params);
    if (order_list_unpack(&list, METHOD_STOP, params, NULL) == 0)
        while (stop_next(&list, &stops, &stop))
            continue;
    if (order_list_unpack(&list, METHOD_ACK, params, NULL) == 0)
        while (ack_next(&list, &acks, &ack))
            ASSERT(ack.state < TASK_STATE_COUNT);
}

static void read_exec(struct bytes params)
{
    struct exec_request request;
    struct exec_data data;
    struct exec_size size;
    struct exec_exit end;
    uint32_t credit;

    if (exec_unpack(&request, params, NULL) == 0) {
        for (size_t i = 0; i < request.argc; i++)
            check_view(request.argv[i], params);
        for (size_t i = 0; i < request.envc; i++)
            check_view(request.env[i], params);
        exec_request_finish(&request);
    }
    if (exec_data_unpack(&data, params, NULL) == 0)
        check_view(data.bytes, params);
    if (exec_credit_unpack(&credit, params, NULL) == 0)
        ASSERT(credit <= LIMIT_EXEC_WINDOW_BYTES);
    exec_resize_unpack(&size, params, NULL);
    if (exec_exit_unpack(&end, params, NULL) == 0)
        check_view(end.text, params);
}

static void read_usage(struct bytes params)
{
    struct command_cursor at = {0};
    struct usage_report report;
    struct usage_list list;
    uint32_t n = 0;

    if (usage_unpack(&list, params, NULL) != 0)
        return;
    while (usage_next(&list, &at, &report))
        n++;
    ASSERT(n == list.count && n <= LIMIT_USAGE_REPORTS);
}

static void read_params(struct bytes params)
{
    struct agent_mode_request mode;
    struct register_request registration;
    struct submit_request submit;
    struct list_request list;
    struct heartbeat heartbeat;
    struct hello hello;
    uint64_t number, sequence;

    if (hello_unpack(&hello, params, NULL) == 0)
        check_view(hello.version, params);
    if (register_unpack(&registration, params, NULL) == 0)
        check_view(registration.spec, params);
    if (submit_unpack(&submit, params, NULL) == 0)
        ASSERT(submit.key.size <= LIMIT_KEY_BYTES);
    heartbeat_unpack(&heartbeat, params, NULL);
    leading_unpack(&number, params, NULL);
    lease_unpack(&number, &sequence, params, NULL);
    if (agent_mode_unpack(&mode, params, NULL) == 0)
        ASSERT(mode.mode < AGENT_MODE_COUNT);
    id_request_unpack(&number, params, NULL);
    list_unpack(&list, params, NULL);
    read_runs(params);
    read_orders(params);
    read_exec(params);
    read_usage(params);
}

static void read_listings(struct bytes result)
{
    struct command_cursor jobs = {0}, tasks = {0}, agents = {0}, masters = {0};
    struct command_cursor usages = {0}, specs = {0};
    struct spec_info spec;
    struct master_info master;
    struct agent_info agent;
    struct list_result list;
    struct usage_info usage;
    struct job_summary job;
    struct task_info task;

    if (list_result_unpack(&list, METHOD_JOBS, result, NULL) == 0)
        while (job_summary_next(&list, &jobs, &job))
            check_view(job.name, result);
    if (list_result_unpack(&list, METHOD_TASKS, result, NULL) == 0)
        while (task_info_next(&list, &tasks, &task))
            check_view(task.message, result);
    if (list_result_unpack(&list, METHOD_AGENTS, result, NULL) == 0)
        while (agent_info_next(&list, &agents, &agent))
            check_view(agent.spec, result);
    if (list_result_unpack(&list, METHOD_MASTERS, result, NULL) == 0)
        while (master_info_next(&list, &masters, &master))
            check_view(master.digest, result);
    if (list_result_unpack(&list, METHOD_USAGE, result, NULL) == 0)
        while (usage_info_next(&list, &usages, &usage))
            check_view(usage.name, result);
    if (list_result_unpack(&list, METHOD_SPEC, result, NULL) == 0)
        while (spec_info_next(&list, &specs, &spec))
            check_view(spec.spec, result);
}

static void read_result(struct bytes result)
{
    struct register_result registration;
    struct submit_result submit;

    register_result_unpack(&registration, result, NULL);
    submit_result_unpack(&submit, result, NULL);
    read_listings(result);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes input = {data, size};
    int64_t n;

    while ((n = rpc_frame_size(input, NULL)) > 0) {
        struct bytes frame = {input.data + 4, (size_t)n - 4};
        struct rpc rpc;

        if (rpc_unpack(&rpc, frame, NULL) == 0) {
            check_with_msgpack(frame);
            check_view(rpc.params, frame);
            if (rpc.type == RPC_RESPONSE)
                read_result(rpc.params);
            else
                read_params(rpc.params);
        }
        input.data += n;
        input.size -= (size_t)n;
    }
    return 0;
}
