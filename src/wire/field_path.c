/* field_path.c - where in a document a value stands. */
#include "wire/field_path.h"

#include "base/mem.h"
#include "base/text.h"

#include <stdio.h>
#include <string.h>

static size_t end_step(struct field_path *p)
{
    size_t before = p->size;

    p->size = strlen(p->text);
    return before;
}

size_t field_path_enter_key(struct field_path *p, const char *key)
{
    char *clean = text_clean(text_view(key));
    const char *dot = p->size > 0 ? "." : "";

    snprintf(p->text + p->size, sizeof(p->text) - p->size, "%s%s", dot, clean);
    mem_free(clean);
    return end_step(p);
}

size_t field_path_enter_element(struct field_path *p, size_t index)
{
    snprintf(p->text + p->size, sizeof(p->text) - p->size, "[%zu]", index);
    return end_step(p);
}

void field_path_leave(struct field_path *p, size_t before)
{
    p->size = before;
    p->text[before] = '\0';
}
