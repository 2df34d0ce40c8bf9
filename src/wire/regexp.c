/* regexp.c - regular expressions of constraints: PCRE2 with limits. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "wire/regexp.h"

#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"

#include <pcre2.h>
#include <string.h>

struct regexp {
    pcre2_code *code;
};

#define SAID_BYTES 128 /* of what PCRE2 says of a pattern */

/* Nothing that calls out, reads half a character, or gives captures memory. */
#define OPTIONS \
    (PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C | PCRE2_NO_AUTO_CAPTURE | PCRE2_AUTO_CALLOUT)

struct regexp *regexp_compile(const char *pattern, struct error *err)
{
    unsigned char said[SAID_BYTES];
    struct regexp *r;
    PCRE2_SIZE where;
    pcre2_code *code;
    int why;

    if (strlen(pattern) > LIMIT_ATTRIBUTE_BYTES) {
        error_set(err,
                  ERROR_TOO_LARGE,
                  "%zu bytes; the most is %d",
                  strlen(pattern),
                  LIMIT_ATTRIBUTE_BYTES);
        return NULL;
    }
    code = pcre2_compile(
        (PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, OPTIONS, &why, &where, NULL);
    if (code == NULL) {
        pcre2_get_error_message(why, said, sizeof(said));
        error_set(err,
                  ERROR_INVALID,
                  "'%.40s' is no regular expression: %s, at byte %zu",
                  pattern,
                  (const char *)said,
                  (size_t)where);
        return NULL;
    }
    r = mem_zalloc(sizeof(*r));
    r->code = code;
    return r;
}

void regexp_destroy(struct regexp *r)
{
    if (r == NULL)
        return;
    pcre2_code_free(r->code);
    mem_free(r);
}

static int count_step(pcre2_callout_block *at, void *steps)
{
    (void)at;
    return ++*(unsigned *)steps > LIMIT_REGEXP_STEPS ? PCRE2_ERROR_MATCHLIMIT : 0;
}

/* What it remembers of a search goes with it: many expressions are kept, few are searched for. */
bool regexp_finds(const struct regexp *r, const char *text, unsigned *steps)
{
    pcre2_match_data *match = pcre2_match_data_create(1, NULL);
    pcre2_match_context *context = pcre2_match_context_create(NULL);
    unsigned taken = 0;
    int rc;

    ASSERT(match != NULL && context != NULL);
    pcre2_set_callout(context, count_step, &taken);
    rc = pcre2_match(r->code, (PCRE2_SPTR)text, strlen(text), 0, 0, match, context);
    pcre2_match_context_free(context);
    pcre2_match_data_free(match);
    if (steps != NULL)
        *steps += taken + 1;
    return rc >= 0;
}
