/* download.h - the bytes of a URL into a file, with a known sum and a bounded size.
 *
 * http:// and https:// through libcurl: at most LIMIT_FETCH_REDIRECTS redirects, never to
 * another scheme but from http to https.  file:// is a regular file that this user can read.
 * The sum is taken while bytes pass; who gets 0 has a file that verifies.
 */
#ifndef FETCH_DOWNLOAD_H
#define FETCH_DOWNLOAD_H

#include "base/error.h"

#include <stdint.h>

struct download {
    const char *source;
    const char *sha256; /* 64 hex digits */
    uint64_t max_bytes;
    int to; /* a descriptor, empty */
};

int download(const struct download *d, struct error *err);

#endif
