/* match_text.c - constraints and their like as one line of text. */
#include "wire/match.h"

#include "base/mem.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

/* The bytes from `from` up to `to`, without spaces at the ends. */
static char *copy_trimmed(const char *from, const char *to)
{
    while (from < to && *from == ' ')
        from++;
    while (to > from && to[-1] == ' ')
        to--;
    return text_copy((struct bytes){(const uint8_t *)from, (size_t)(to - from)});
}

/* ---- operators ---- */

/* The operator at *at, which goes behind it; symbols need no spaces around them. */
static enum match_op take_op(const char **at)
{
    char word[16] = {0};
    size_t size = strspn(*at, "=!<>");

    if (size == 0)
        size = strcspn(*at, " ");
    if (size == 0 || size >= sizeof(word))
        return (enum match_op)0;
    memcpy(word, *at, size);
    *at += size;
    /* "not in a, b" is what people say. */
    if (strcmp(word, "not") == 0 && strncmp(*at, " in ", 4) == 0) {
        *at += 3;
        return MATCH_NOT_IN;
    }
    return match_op_of(strcmp(word, "==") == 0 ? "=" : word);
}

static void take_list(struct condition *c, const char *at, const char *end)
{
    for (;;) {
        const char *comma = memchr(at, ',', (size_t)(end - at));

        condition_add_value(c, copy_trimmed(at, comma == NULL ? end : comma));
        if (comma == NULL)
            return;
        at = comma + 1;
    }
}

/* How many tasks at most; 1 where nothing stands. */
static int take_most(struct condition *c, const char *at, struct error *err)
{
    const char *text = at;
    uint64_t most = 1;

    at += strspn(at, " ");
    if (*at != '\0' && (!text_take_uint(&at, UINT32_MAX, &most) || most == 0 ||
                        at[strspn(at, " ")] != '\0'))
        return error_set(err,
                         ERROR_INVALID,
                         "'%.40s': behind distinct stands how many tasks at most there "
                         "are on one value",
                         text);
    c->most = (uint32_t)most;
    return 0;
}

static int wrong_form(const char *text, struct error *err)
{
    return error_set(err,
                     ERROR_INVALID,
                     "'%.60s' is no condition; give one as \"rack = a\", \"rack in a, "
                     "b\", \"gen >= 3\", \"host distinct\"",
                     text);
}

/* Up to `end`, which is not in quotes or the like: a value goes to the end of the text. */
static int
parse(struct condition *c, const char *text, const char *end, struct error *err)
{
    const char *name = text + strspn(text, " ");
    const char *at = name + strcspn(name, "=!<> ");

    *c = (struct condition){0};
    if (at == name || at > end)
        return wrong_form(text, err);
    c->attribute = copy_trimmed(name, at);
    at += strspn(at, " ");
    c->op = take_op(&at);
    if (c->op == 0 || at > end)
        return wrong_form(text, err);
    if (c->op == MATCH_DISTINCT)
        return take_most(c, at, err);
    if (c->op == MATCH_IN || c->op == MATCH_NOT_IN)
        take_list(c, at, end);
    else if (c->op < MATCH_IS_SET || at[strspn(at, " ")] != '\0')
        condition_add_value(c, copy_trimmed(at, end));
    return 0;
}

int condition_parse(struct condition *c, const char *text, struct error *err)
{
    return parse(c, text, text + strlen(text), err);
}

/* ---- weights ---- */

/* Where the text before a weight ends, and the weight; at the end of the text when there is
 * none, and then *weight stays. */
static const char *find_weight(const char *text, int64_t *weight)
{
    const char *colon = strrchr(text, ':'), *at;
    bool negative;
    uint64_t n;

    if (colon == NULL)
        return text + strlen(text);
    negative = colon[1] == '-';
    at = colon + 1 + negative;
    if (!text_take_uint(&at, INT32_MAX, &n) || *at != '\0')
        return text + strlen(text);
    *weight = negative ? -(int64_t)n : (int64_t)n;
    return colon;
}

int affinity_parse(struct condition *c, const char *text, struct error *err)
{
    int64_t weight = MATCH_WEIGHT;
    const char *end = find_weight(text, &weight);
    int rc = parse(c, text, end, err);

    c->weight = (int32_t)weight;
    return rc;
}

int spread_parse(struct spread *s, const char *text, struct error *err)
{
    int64_t weight = MATCH_WEIGHT;
    const char *end = find_weight(text, &weight);

    (void)err;
    *s = (struct spread){copy_trimmed(text, end), weight < 0 ? 0 : (uint32_t)weight};
    return 0;
}

int apart_parse(struct apart *a, const char *text, struct error *err)
{
    int64_t weight = 0;
    const char *end = find_weight(text, &weight);

    *a = (struct apart){copy_trimmed(text, end), weight < 0 ? 0 : (uint32_t)weight};
    if (*end == '\0' || weight > 0)
        return 0;
    return error_set(err,
                     ERROR_INVALID,
                     "'%.60s': give a weight from 1 to %d, or none for never",
                     text,
                     LIMIT_WEIGHT);
}

/* ---- printing ---- */

void condition_print(const struct condition *c, struct buffer *out)
{
    buffer_printf(out, "%s %s", c->attribute, match_op_name(c->op));
    for (size_t i = 0; i < c->count; i++)
        buffer_printf(out, "%s%s", i == 0 ? " " : ", ", c->values[i]);
    if (c->op == MATCH_DISTINCT && c->most > 1)
        buffer_printf(out, " %u", c->most);
}
