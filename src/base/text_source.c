/* text_source.c - where something is fetched from, for people (text.h); static programs link it
 * alone.
 */
#include "base/text.h"

#include <stdio.h>
#include <string.h>

/* An '@' in a secret is none of the host: the last one ends it. */
const char *text_source(char out[TEXT_SOURCE_MAX], const char *source)
{
    bool url = strncmp(source, "http", 4) == 0 && strstr(source, "://") != NULL;
    const char *host = url ? strstr(source, "://") + 3 : source;
    const char *at = url ? memrchr(host, '@', strcspn(host, "/?#")) : NULL;
    const char *rest = at == NULL ? host : at + 1;
    int scheme = (int)(host - source), size = (int)strcspn(rest, url ? "?#" : "");
    int room = scheme < TEXT_SOURCE_BYTES ? TEXT_SOURCE_BYTES - scheme : 0;
    bool whole = size <= room;

    for (size = whole ? size : room; !whole && size > 0 && (rest[size] & 0xc0) == 0x80;)
        size--;
    snprintf(out,
             TEXT_SOURCE_MAX,
             "%.*s%.*s%s",
             scheme,
             source,
             size,
             rest,
             whole ? "" : "…");
    return out;
}
