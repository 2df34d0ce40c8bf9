/* oci_seccomp.h - which system calls a container may not make (pure).
 *
 * A list of what is refused, in the words of the OCI runtime specification 1.0 (docs/spec/10).
 */
#ifndef FETCH_OCI_SECCOMP_H
#define FETCH_OCI_SECCOMP_H

#include <jansson.h>

json_t *oci_seccomp(void); /* "seccomp" of "linux"; the caller's */

#endif
