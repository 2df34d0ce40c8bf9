/* settings.c - reads a file of `name = value` lines. */
#include "base/settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WHERE_MAX 300

/* The text without white space at its ends; cuts it in place. */
static char *trim(char *text)
{
    static const char white[] = " \t\r\n";
    size_t size;

    text += strspn(text, white);
    for (size = strlen(text); size > 0 && strchr(white, text[size - 1]) != NULL; size--)
        text[size - 1] = '\0';
    return text;
}

static int read_line(
    char *line, const char *where, settings_fn *function, void *user, struct error *err)
{
    char *name = trim(line);
    char *value;

    if (*name == '\0' || *name == '#')
        return 0;
    value = strchr(name, '=');
    if (value == NULL || value == name)
        return error_set(err, ERROR_USAGE, "%s: not of the form name = value", where);
    *value++ = '\0';
    name = trim(name);
    value = trim(value);
    if (*value == '"' || *value == '\'')
        return error_set(
            err, ERROR_USAGE, "%s: %s: values are written without quotes", where, name);
    if (strstr(value, " #") != NULL || strstr(value, "\t#") != NULL)
        return error_set(
            err, ERROR_USAGE, "%s: %s: a comment needs a line of its own", where, name);
    return function(user, where, name, value, err);
}

int settings_read(const char *path,
                  settings_fn *function,
                  void *user,
                  struct error *err)
{
    FILE *file = fopen(path, "re");
    char where[WHERE_MAX];
    char *line = NULL;
    size_t capacity = 0;
    int rc = 0;

    if (file == NULL)
        return error_set(err, ERROR_IO, "cannot read %s: %s", path, strerror(errno));
    for (unsigned number = 1; rc == 0 && getline(&line, &capacity, file) >= 0;
         number++) {
        snprintf(where, sizeof(where), "%s:%u", path, number);
        rc = read_line(line, where, function, user, err);
    }
    if (rc == 0 && ferror(file))
        rc = error_set(err, ERROR_IO, "cannot read %s: %s", path, strerror(errno));
    free(line);
    fclose(file);
    return rc;
}
