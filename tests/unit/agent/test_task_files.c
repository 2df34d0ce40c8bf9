/* test_task_files.c - what is in a sandbox is shown, what a task puts there to lead out is not. */
#include "agent/task_files.h"
#include "base/limits.h"
#include "tests/lib/unit.h"
#include "tests/unit/agent/agent_test.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#define RACE_TRIES 3000

static int sandbox; /* of attempt 7; files beside it are not to be seen */
static struct error err;
static struct stat st;
static struct buffer out;

static void write_at(int directory, const char *name, const char *text)
{
    int fd = openat(directory, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void make_sandbox(void)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/runs", t.work_dir);
    ck_assert_int_eq(mkdir(path, 0755), 0);
    snprintf(path, sizeof(path), "%s/runs/7", t.work_dir);
    ck_assert_int_eq(mkdir(path, 0755), 0);
    sandbox = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    write_at(sandbox, "../secret", "secret");
    write_at(sandbox, "plain", "plain text");
    ck_assert_int_eq(mkdirat(sandbox, "dir", 0755), 0);
    write_at(sandbox, "dir/inner", "inner");
}

static void setup(void)
{
    agent_test_setup();
    make_sandbox();
}

/* As whoever we are: some attacks need more rights than our own tests have. */
static void setup_as_is(void)
{
    strcpy(t.work_dir, "/tmp/triarch-files-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(t.work_dir));
    make_sandbox();
}

static void teardown(void)
{
    close(sandbox);
    buffer_finish(&out);
    agent_test_teardown();
}

static int open_it(const char *path)
{
    err = (struct error){0};
    return task_files_open(t.work_dir, 7, path, &st, &err);
}

static void shows(const char *path, const char *text)
{
    char got[64] = "";
    int fd = open_it(path);

    ck_assert_msg(fd >= 0, "%s: %s", path, err.text);
    ck_assert_int_eq(read(fd, got, sizeof(got) - 1), (ssize_t)strlen(text));
    ck_assert_str_eq(got, text);
    close(fd);
}

static void refuses(const char *path, enum error_code code, const char *text)
{
    int fd = open_it(path);

    ck_assert_msg(fd == -(int)code, "%s: %d %s", path, fd, err.text);
    ck_assert_msg(strstr(err.text, text) != NULL, "%s: %s", path, err.text);
}

#define LEADS_OUT "leads out of the task's sandbox"

START_TEST(files_and_directories_are_opened)
{
    int fd;

    shows("plain", "plain text");
    ck_assert_int_eq(st.st_size, 10);
    shows("dir/inner", "inner");
    shows("dir//./inner", "inner");
    shows("dir/../plain", "plain text");
    ck_assert_int_ge(fd = open_it(""), 0);
    ck_assert(S_ISDIR(st.st_mode));
    close(fd);
    ck_assert_int_ge(fd = open_it("dir/"), 0);
    ck_assert(S_ISDIR(st.st_mode));
    close(fd);
    refuses("nothing", ERROR_NOT_FOUND, "no file \"nothing\"");
    refuses("plain/inner", ERROR_NOT_FOUND, "no file");
}
END_TEST

START_TEST(an_attempt_without_files_is_told)
{
    ck_assert_int_eq(task_files_open(t.work_dir, 8, "", &st, &err), -ERROR_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(err.text, "attempt id 8 has no files here"));
}
END_TEST

START_TEST(no_path_leads_out)
{
    refuses("..", ERROR_INVALID, LEADS_OUT);
    refuses("../secret", ERROR_INVALID, LEADS_OUT);
    refuses("dir/../../secret", ERROR_INVALID, LEADS_OUT);
    refuses("dir/../../7/plain", ERROR_INVALID, LEADS_OUT); /* not even back in */
    refuses("/etc/passwd", ERROR_INVALID, LEADS_OUT);
    refuses("//plain", ERROR_INVALID, LEADS_OUT);
    refuses("..%2fsecret", ERROR_NOT_FOUND, "no file"); /* it is decoded already */
}
END_TEST

START_TEST(links_are_followed_inside_only)
{
    ck_assert_int_eq(symlinkat("dir/inner", sandbox, "in"), 0);
    ck_assert_int_eq(symlinkat("../plain", sandbox, "dir/up"), 0);
    ck_assert_int_eq(symlinkat("dir", sandbox, "dirlink"), 0);
    ck_assert_int_eq(symlinkat("../secret", sandbox, "out"), 0);
    ck_assert_int_eq(symlinkat("/etc/passwd", sandbox, "absolute"), 0);
    ck_assert_int_eq(symlinkat("/", sandbox, "root"), 0);
    ck_assert_int_eq(symlinkat("/proc/self/fd/0", sandbox, "magic"), 0);
    ck_assert_int_eq(symlinkat("nowhere", sandbox, "dangling"), 0);
    ck_assert_int_eq(symlinkat("loop", sandbox, "loop"), 0);
    shows("in", "inner");
    shows("dir/up", "plain text");
    shows("dirlink/inner", "inner");
    refuses("out", ERROR_INVALID, LEADS_OUT);
    refuses("absolute", ERROR_INVALID, LEADS_OUT);
    refuses("root/etc/passwd", ERROR_INVALID, LEADS_OUT);
    refuses("magic", ERROR_INVALID, LEADS_OUT);
    refuses("dangling", ERROR_NOT_FOUND, "no file");
    refuses("loop", ERROR_INVALID, "leads round in a circle");
}
END_TEST

/* The sandbox itself is the agent's, but a link in its place would be one all the same. */
START_TEST(a_link_is_no_sandbox)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/runs/9", t.work_dir);
    ck_assert_int_eq(symlink("/etc", path), 0);
    ck_assert_int_eq(task_files_open(t.work_dir, 9, "passwd", &st, &err),
                     -ERROR_NOT_FOUND);
}
END_TEST

START_TEST(what_is_no_file_is_not_opened)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(at.sun_path, sizeof(at.sun_path), "%.80s/runs/7/socket", t.work_dir);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    ck_assert_int_eq(mkfifoat(sandbox, "fifo", 0666), 0); /* an open would wait */
    refuses("fifo", ERROR_INVALID, "neither a file nor a directory");
    refuses("socket", ERROR_INVALID, "neither a file nor a directory");
    close(fd);
}
END_TEST

START_TEST(devices_are_not_opened)
{
    if (mknodat(sandbox, "device", S_IFCHR | 0666, makedev(1, 3)) == 0)
        refuses("device", ERROR_INVALID, "neither a file nor a directory");
    else
        printf("# skipped: cannot make a device: %s\n", strerror(errno));
}
END_TEST

/* Or moved it from a directory of its own. */
START_TEST(a_file_of_another_is_shown_if_everybody_may_read_it)
{
    if (getuid() != 0) {
        printf("# skipped: only root can give files away\n");
        return;
    }
    ck_assert_int_eq(fchmodat(sandbox, "plain", 0640, 0), 0);
    shows("plain", "plain text"); /* both are root's */
    ck_assert_int_eq(fchownat(sandbox, "", 1000, 1000, AT_EMPTY_PATH), 0);
    refuses("plain", ERROR_INVALID, "a file of somebody else");
    ck_assert_int_eq(fchmodat(sandbox, "plain", 0644, 0), 0);
    shows("plain", "plain text");
    ck_assert_int_eq(fchmodat(sandbox, "plain", 0640, 0), 0);
    ck_assert_int_eq(fchownat(sandbox, "plain", 1000, 1000, 0), 0);
    shows("plain", "plain text");
}
END_TEST

/* A task of another user could link to a file that it cannot read, where the system lets it. */
START_TEST(a_hard_link_to_the_file_of_another_is_refused)
{
    if (getuid() != 0) {
        printf("# skipped: only root can give files away\n");
        return;
    }
    ck_assert_int_eq(linkat(sandbox, "../secret", sandbox, "secret", 0), 0);
    shows("secret", "secret"); /* both are the agent's own */
    ck_assert_int_eq(fchownat(sandbox, "", 1000, 1000, AT_EMPTY_PATH), 0);
    refuses("secret", ERROR_INVALID, "a file of somebody else");
    ck_assert_int_eq(linkat(sandbox, "plain", sandbox, "dir/plain", 0), 0);
    ck_assert_int_eq(fchownat(sandbox, "plain", 1000, 1000, 0), 0);
    shows("dir/plain", "plain text");
}
END_TEST

START_TEST(long_names_and_paths)
{
    char name[400], path[8192] = "";

    memset(name, 'n', sizeof(name));
    name[255] = '\0';
    write_at(sandbox, name, "long");
    shows(name, "long");
    name[255] = 'n';
    name[399] = '\0';
    refuses(name, ERROR_INVALID, "too long");
    for (size_t i = 0; i + 3 < sizeof(path); i += 2)
        strcpy(path + i, "./");
    refuses(path, ERROR_INVALID, "too long");
}
END_TEST

/* ---- logs ---- */

static int open_log(const char *name, int flags)
{
    err = (struct error){0};
    return task_files_open_log(t.work_dir, 7, name, flags, &err);
}

static void refuses_log(const char *text)
{
    ck_assert_int_eq(open_log("stdout", O_RDONLY), -(int)ERROR_NOT_FOUND);
    ck_assert_msg(strstr(err.text, text) != NULL, "%s", err.text);
    ck_assert_int_eq(open_log("stdout", O_WRONLY), -(int)ERROR_NOT_FOUND);
    unlinkat(sandbox, "stdout", 0);
}

#define REPLACED "stdout of attempt id 7 is not a file of it any more"

START_TEST(logs_are_plain_files)
{
    int fd;

    refuses_log("the task has no file \"stdout\"");
    ck_assert_int_eq(symlinkat("plain", sandbox, "stdout"), 0);
    refuses_log(REPLACED);
    ck_assert_int_eq(symlinkat("/etc/shadow", sandbox, "stdout"), 0);
    refuses_log(REPLACED);
    ck_assert_int_eq(mkfifoat(sandbox, "stdout", 0666), 0);
    refuses_log(REPLACED);
    ck_assert_int_eq(mkdirat(sandbox, "stdout", 0755), 0);
    refuses_log(REPLACED);
    ck_assert_int_eq(unlinkat(sandbox, "stdout", AT_REMOVEDIR), 0);
    write_at(sandbox, "stdout", "out");
    ck_assert_int_ge(fd = open_log("stdout", O_RDONLY), 0);
    ck_assert_int_eq(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
    close(fd);
    ck_assert_int_ge(fd = open_log("stdout", O_WRONLY), 0);
    ck_assert_int_eq(fcntl(fd, F_GETFL) & O_ACCMODE, O_WRONLY);
    close(fd);
}
END_TEST

/* Whoever waits to write to it would else go on. */
START_TEST(a_pipe_in_the_place_of_a_log_is_not_touched)
{
    int fd;

    ck_assert_int_eq(mkfifoat(sandbox, "stdout", 0666), 0);
    ck_assert_int_lt(open_log("stdout", O_RDONLY), 0);
    fd = openat(sandbox, "stdout", O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    ck_assert_int_lt(fd, 0);
    ck_assert_int_eq(errno, ENXIO);
}
END_TEST

START_TEST(a_log_is_no_hard_link_to_the_file_of_another)
{
    int fd;

    if (getuid() != 0) {
        printf("# skipped: only root can give files away\n");
        return;
    }
    ck_assert_int_eq(fchownat(sandbox, "", 1000, 1000, AT_EMPTY_PATH), 0);
    ck_assert_int_eq(linkat(sandbox, "../secret", sandbox, "stdout", 0), 0);
    refuses_log(REPLACED);
    write_at(sandbox, "stdout", "out");
    ck_assert_int_eq(fchownat(sandbox, "stdout", 1000, 1000, 0), 0);
    ck_assert_int_eq(linkat(sandbox, "stdout", sandbox, "kept", 0), 0);
    ck_assert_int_ge(fd = open_log("stdout", O_RDONLY), 0);
    close(fd);
}
END_TEST

/* ---- races ---- */

static atomic_bool racing;

static void *swap(void *arg)
{
    (void)arg;
    while (racing) { /* now a directory of ours, now a link out of the sandbox */
        renameat2(sandbox, "dir", sandbox, "other", RENAME_EXCHANGE);
        renameat2(sandbox, "victim", sandbox, "bait", RENAME_EXCHANGE);
    }
    return NULL;
}

START_TEST(renames_do_not_open_a_way_out)
{
    char got[16], runs[256];
    unsigned inside = 0;
    pthread_t thread;

    snprintf(runs, sizeof(runs), "%s/runs", t.work_dir);
    write_at(sandbox, "../inner", "outside");
    ck_assert_int_eq(symlinkat(runs, sandbox, "other"), 0);
    ck_assert_int_eq(symlinkat("../secret", sandbox, "bait"), 0);
    write_at(sandbox, "victim", "inner");
    racing = true;
    ck_assert_int_eq(pthread_create(&thread, NULL, swap, NULL), 0);
    for (unsigned i = 0; i < RACE_TRIES; i++) {
        int fd = open_it(i % 2 == 0 ? "dir/inner" : "victim");

        if (fd < 0)
            continue;
        inside++;
        ck_assert_int_eq(read(fd, got, sizeof(got)), 5);
        ck_assert_int_eq(memcmp(got, "inner", 5), 0);
        close(fd);
    }
    racing = false;
    pthread_join(thread, NULL);
    ck_assert_uint_gt(inside, 0);
}
END_TEST

/* ---- listings ---- */

static json_t *list(const char *path, uint64_t cursor)
{
    int fd = open_it(path);
    json_t *listing;

    ck_assert_int_ge(fd, 0);
    buffer_clear(&out);
    ck_assert_int_eq(task_files_list(fd, cursor, &out, &err), 0);
    close(fd);
    listing = json_loadb((const char *)out.data, out.size, 0, NULL);
    ck_assert_ptr_nonnull(listing);
    return listing;
}

static const json_t *entry(const json_t *listing, const char *url)
{
    const json_t *entries = json_object_get(listing, "entries");

    for (size_t i = 0; i < json_array_size(entries); i++) {
        const json_t *e = json_array_get(entries, i);

        if (strcmp(json_string_value(json_object_get(e, "url")), url) == 0)
            return e;
    }
    ck_abort_msg("no %s in %.*s", url, (int)out.size, (char *)out.data);
}

static const char *field(const json_t *entry, const char *name)
{
    return json_string_value(json_object_get(entry, name));
}

START_TEST(a_directory_is_listed)
{
    json_t *listing;
    const json_t *e;

    ck_assert_int_eq(symlinkat("/etc/passwd", sandbox, "link"), 0);
    ck_assert_int_eq(mkfifoat(sandbox, "fifo", 0600), 0);
    listing = list("", 0);
    ck_assert_uint_eq(json_array_size(json_object_get(listing, "entries")), 4);
    ck_assert(json_is_null(json_object_get(listing, "next")));
    e = entry(listing, "plain");
    ck_assert_str_eq(field(e, "name"), "plain");
    ck_assert_str_eq(field(e, "type"), "file");
    ck_assert_str_eq(field(e, "mode"), "0600");
    ck_assert_int_eq(json_integer_value(json_object_get(e, "size")), 10);
    ck_assert_ptr_nonnull(strstr(field(e, "mtime"), "Z"));
    ck_assert_str_eq(field(entry(listing, "dir"), "type"), "directory");
    ck_assert_str_eq(field(entry(listing, "link"), "type"), "link");
    ck_assert_str_eq(field(entry(listing, "link"), "target"), "/etc/passwd");
    ck_assert_ptr_null(field(e, "target"));
    ck_assert_str_eq(field(entry(listing, "fifo"), "type"), "fifo");
    json_decref(listing);
}
END_TEST

START_TEST(names_of_any_bytes_are_listed)
{
    static const struct {
        const char *name, *shown, *url;
    } cases[] = {
        {"dir/a b", "a b", "a%20b"},
        {"dir/\xc3\xa4", "\xc3\xa4", "%C3%A4"},
        {"dir/bad\xff \\", "bad\\xff\\x20\\x5c", "bad%FF%20%5C"},
        {"dir/\x1b[2J\n", "\\x1b[2J\\x0a", "%1B%5B2J%0A"},
        {"dir/%2e", "%2e", "%252e"},
    };
    json_t *listing;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        write_at(sandbox, cases[i].name, "x");
    listing = list("dir", 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        ck_assert_str_eq(field(entry(listing, cases[i].url), "name"), cases[i].shown);
    json_decref(listing);
}
END_TEST

/* Bytes that take most when they are shown. */
START_TEST(what_links_lead_to_makes_no_large_answer)
{
    char target[4000], name[32];
    uint64_t cursor = 0;
    json_t *listing;
    size_t seen = 0;

    memset(target, 0xff, sizeof(target) - 1);
    target[sizeof(target) - 1] = 0;
    for (unsigned i = 0; i < 500; i++) {
        snprintf(name, sizeof(name), "dir/l%u", i);
        ck_assert_int_eq(symlinkat(target, sandbox, name), 0);
    }
    do {
        listing = list("dir", cursor);
        ck_assert_uint_le(out.size, 8 * LIMIT_FILES_TARGETS);
        seen += json_array_size(json_object_get(listing, "entries"));
        cursor = (uint64_t)json_integer_value(json_object_get(listing, "next"));
        json_decref(listing);
    } while (cursor != 0);
    ck_assert_uint_eq(seen, 500 + 1);
}
END_TEST

START_TEST(a_large_directory_has_pages)
{
    uint64_t cursor = 0;
    size_t seen = 0, pages = 0;
    json_t *listing;
    char name[32];

    for (unsigned i = 0; i < 2 * LIMIT_FILES_PAGE; i++) {
        snprintf(name, sizeof(name), "dir/f%u", i);
        write_at(sandbox, name, "");
    }
    do {
        listing = list("dir", cursor);
        seen += json_array_size(json_object_get(listing, "entries"));
        ck_assert_uint_le(json_array_size(json_object_get(listing, "entries")),
                          LIMIT_FILES_PAGE);
        cursor = (uint64_t)json_integer_value(json_object_get(listing, "next"));
        pages++;
        json_decref(listing);
    } while (cursor != 0 && pages < 10);
    ck_assert_uint_ge(pages, 3);
    ck_assert_uint_eq(seen, 2 * LIMIT_FILES_PAGE + 1);
}
END_TEST

START_TEST(one_file_is_described)
{
    json_t *listing;

    close(open_it("dir/inner"));
    task_files_describe("inner", &st, &out);
    listing = json_loadb((const char *)out.data, out.size, 0, NULL);
    ck_assert_int_eq(
        json_integer_value(json_object_get(entry(listing, "inner"), "size")), 5);
    json_decref(listing);
}
END_TEST

static TCase *prepared(TCase *c)
{
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 60);
    return c;
}

static TCase *as_is(TCase *c)
{
    tcase_add_checked_fixture(c, setup_as_is, teardown);
    return c;
}

UNIT_MAIN("task_files",
          prepared(unit_case("open",
                             files_and_directories_are_opened,
                             an_attempt_without_files_is_told,
                             no_path_leads_out,
                             links_are_followed_inside_only,
                             a_link_is_no_sandbox,
                             what_is_no_file_is_not_opened,
                             logs_are_plain_files,
                             a_pipe_in_the_place_of_a_log_is_not_touched,
                             long_names_and_paths,
                             renames_do_not_open_a_way_out)),
          as_is(unit_case("root",
                          devices_are_not_opened,
                          a_file_of_another_is_shown_if_everybody_may_read_it,
                          a_log_is_no_hard_link_to_the_file_of_another,
                          a_hard_link_to_the_file_of_another_is_refused)),
          prepared(unit_case("list",
                             a_directory_is_listed,
                             names_of_any_bytes_are_listed,
                             a_large_directory_has_pages,
                             what_links_lead_to_makes_no_large_answer,
                             one_file_is_described)))
