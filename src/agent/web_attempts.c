/* web_attempts.c - which attempts of a task have a sandbox here.
 *
 * Who asks knows how many attempts there were, and looks for one that a newer one replaced: its
 * agent is in nobody's state any more.
 */
#include "agent/web.h"

#include "agent/sandboxes.h"
#include "base/limits.h"
#include "base/text.h"
#include "wire/task.h"

static int
read_wish(const struct http_request *r, struct attempt_name *out, struct error *err)
{
    const char *to = http_query(r, "to");
    uint64_t number;

    if (!task_name_parse(http_path_rest(r), &out->job, &out->instance))
        return error_set(err, ERROR_INVALID, "ask for /attempts/JOB.INSTANCE");
    if (to == NULL || !text_parse_u64(&number, to) || number == 0 ||
        number > UINT32_MAX)
        return error_set(err, ERROR_INVALID, "to is the number of an attempt, from 1");
    out->number = (uint32_t)number;
    return 0;
}

void web_attempts(struct agent *a, struct http_request *r)
{
    json_t *list = json_array();
    struct attempt_name name;
    struct error err;
    uint32_t to;

    if (read_wish(r, &name, &err) != 0) {
        json_decref(list);
        http_answer_error(r, &err);
        return;
    }
    to = name.number;
    name.number = to > LIMIT_ATTEMPTS_LISTED ? to - LIMIT_ATTEMPTS_LISTED : 0;
    while (name.number++ < to) {
        uint64_t id = sandboxes_find(a->sandboxes, &name);

        if (id != 0)
            json_array_append_new(list,
                                  json_pack("{s:I, s:I}",
                                            "number",
                                            (json_int_t)name.number,
                                            "id",
                                            (json_int_t)id));
    }
    web_answer_json(r, json_pack("{s:o}", "attempts", list));
}
