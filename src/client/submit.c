/* submit.c - what `run` and `submit` have in common. */
#include "client/submit.h"

#include "base/entropy.h"
#include "base/text.h"
#include "client/job_wait.h"

#include <inttypes.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEY_BYTES 16 /* random: two never meet */

static void random_key(char out[2 * KEY_BYTES + 1])
{
    uint8_t bytes[KEY_BYTES];

    entropy_fill(bytes, sizeof(bytes));
    for (size_t i = 0; i < KEY_BYTES; i++)
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

static int take_key(struct session *s, const char **key, char *drawn, struct error *err)
{
    *key = options_text(s->options, "key");
    if (*key == NULL) {
        random_key(drawn);
        *key = drawn;
        return 0;
    }
    if ((*key)[0] == '\0' || strlen(*key) > LIMIT_KEY_BYTES)
        return options_refuse(
            s->options, "key", err, "a key has 1 to %d bytes", LIMIT_KEY_BYTES);
    if (!text_is_printable(text_view(*key)))
        return options_refuse(
            s->options, "key", err, "a key is printable text in UTF-8");
    return 0;
}

/* Who we are, for the shares of a `fair` role. */
static const char *user_name(char out[LIMIT_OWNER_BYTES + 1])
{
    const struct passwd *entry = getpwuid(getuid());

    if (entry != NULL && strlen(entry->pw_name) <= LIMIT_OWNER_BYTES &&
        text_is_printable(text_view(entry->pw_name)))
        snprintf(out, LIMIT_OWNER_BYTES + 1, "%s", entry->pw_name);
    else
        snprintf(out, LIMIT_OWNER_BYTES + 1, "%u", (unsigned)getuid());
    return out;
}

static int send_job(struct session *s,
                    const struct job_spec *spec,
                    const char *key,
                    struct submit_result *job,
                    struct error *err)
{
    struct buffer packed = {0}, frame = {0}, result = {0};
    struct submit_request request;
    char user[LIMIT_OWNER_BYTES + 1];
    int rc;

    job_spec_pack(spec, &packed);
    request = (struct submit_request){
        text_view(key), buffer_view(&packed), text_view(user_name(user))};
    submit_pack(&request, 0, &frame);
    rc = session_call(s, buffer_view(&frame), CLIENT_LEADER, &result, NULL, err);
    if (rc == 0)
        rc = submit_result_unpack(job, buffer_view(&result), err);
    buffer_finish(&packed);
    buffer_finish(&frame);
    buffer_finish(&result);
    return rc;
}

int submit_job(struct session *s, const struct job_spec *spec, struct error *err)
{
    char drawn[2 * KEY_BYTES + 1];
    struct submit_result job;
    struct buffer line = {0};
    const char *key;
    int rc = job_spec_check(spec, err);

    if (rc == 0)
        rc = take_key(s, &key, drawn, err);
    if (rc == 0)
        rc = session_open(s, err);
    if (rc == 0)
        rc = send_job(s, spec, key, &job, err);
    if (rc != 0)
        return rc;
    buffer_printf(&line, "%" PRIu64 "\n", job.id);
    screen_write(&s->out, &line);
    buffer_finish(&line);
    if (options_flag(s->options, "wait"))
        return job_wait(s, job.id, true, &s->err, err);
    return EXIT_SUCCESS;
}
