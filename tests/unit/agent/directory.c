/* directory.c - a directory of users that may hang. */
#include "tests/unit/agent/directory.h"

#include "base/mem.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool open_now;
static unsigned waiting;

void directory_find(const char *name, struct found_user *out)
{
    if (name != NULL && strncmp(name, "slow", 4) == 0) {
        pthread_mutex_lock(&mutex);
        waiting++;
        pthread_cond_broadcast(&changed);
        while (!open_now)
            pthread_cond_wait(&changed, &mutex);
        waiting--;
        pthread_mutex_unlock(&mutex);
    }
    if (name != NULL && strcmp(name, "nobody-here") == 0)
        return;
    if (name != NULL && strcmp(name, "unsure") == 0) {
        out->reason = ETIMEDOUT;
        return;
    }
    *out = (struct found_user){.name = mem_strdup(name == NULL ? "me" : name),
                               .home = mem_strdup("/home"),
                               .uid = geteuid(),
                               .gid = getegid()};
}

void directory_let_go(void)
{
    pthread_mutex_lock(&mutex);
    open_now = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

void directory_wait_for(unsigned count)
{
    pthread_mutex_lock(&mutex);
    while (waiting != count)
        pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
}
