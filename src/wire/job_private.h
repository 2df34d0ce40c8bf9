/* job_private.h - what job.c, job_check.c and job_pack.c share. */
#ifndef WIRE_JOB_PRIVATE_H
#define WIRE_JOB_PRIVATE_H

#include "wire/job.h"

/* Append an owned string and the NULL behind it. */
void job_append_string(char ***strings, size_t *count, char *owned);
/* Order of the names before '='. */
int job_compare_env(const char *a, const char *b);

#endif
