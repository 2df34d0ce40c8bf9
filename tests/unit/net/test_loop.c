/* test_loop.c - turns, timers, deferred work, signals, threads. */
#include "net_test.h"

#include "base/clock.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct loop *loop;
static char seen[64];

static void setup(void)
{
    loop = loop_create();
    seen[0] = '\0';
}

static void teardown(void)
{
    loop_destroy(loop);
}

static void see(void *user)
{
    strcat(seen, user);
}

static void see_and_stop(void *user)
{
    see(user);
    loop_stop(loop);
}

START_TEST(timers_expire_in_order)
{
    struct loop_timer a = {0}, b = {0}, c = {0}, d = {0}, e = {0};
    uint64_t now = loop_now_ms();

    timer_set_at(loop, &a, now + 3, see_and_stop, "a");
    timer_set_at(loop, &b, now + 1, see, "b");
    timer_set_at(loop, &c, now + 1, see, "c");
    timer_set_at(loop, &d, now + 5, see, "d");
    timer_set_at(loop, &d, now - 1, see, "D"); /* set again: the last one counts */
    timer_set_at(loop, &e, now, see, "e");
    timer_stop(loop, &e);
    timer_stop(loop, &e);
    loop_run(loop);
    ck_assert_str_eq(seen, "Dbca");
    ck_assert_uint_ge(loop_now_ms(), now + 3);
}
END_TEST

/* As by an error at start.  The teardown must not find it busy. */
START_TEST(stopped_before_it_ran)
{
    loop_stop(loop);
}
END_TEST

static struct loop_timer again_timer;

static void set_again(void *user)
{
    see("t");
    if (strlen(seen) < 4)
        timer_set_in(loop, &again_timer, 0, set_again, user);
    else
        loop_stop(loop);
}

START_TEST(a_timer_that_is_set_again_does_not_hold_up_the_loop)
{
    struct loop_timer other = {0};

    memset(&again_timer, 0, sizeof(again_timer));
    timer_set_in(loop, &again_timer, 0, set_again, NULL);
    timer_set_in(loop, &other, 0, see, "o");
    loop_run(loop);
    ck_assert_str_eq(seen, "tott");
}
END_TEST

static struct deferred work[4];

static void defer_again(void *user)
{
    see("1");
    if (strlen(seen) < 6)
        loop_defer(loop, &work[0], defer_again, user);
    else
        loop_stop(loop);
}

static void cancel_third(void *user)
{
    see(user);
    deferred_cancel(loop, &work[2]);
}

START_TEST(deferred_work_runs_once_at_the_end_of_the_turn)
{
    memset(work, 0, sizeof(work));
    loop_defer_output(loop, RANK_OTHER, &work[3], see, "o");
    loop_defer(loop, &work[0], defer_again, NULL);
    loop_defer(loop, &work[1], cancel_third, "2");
    loop_defer(loop, &work[1], see, "never");
    loop_defer(loop, &work[2], see, "3");
    loop_run(loop);
    /* Output last in its turn; what defers again comes once in each further turn. */
    ck_assert_str_eq(seen, "12o111");
}
END_TEST

static void on_signal(void *user, int signum)
{
    (void)user;
    strcat(seen, signum == SIGTERM ? "T" : "I");
    if (strlen(seen) == 2)
        loop_stop(loop);
    else
        raise(SIGINT);
}

START_TEST(signals_come_as_callbacks)
{
    loop_on_signal(loop, SIGTERM, on_signal, NULL);
    loop_on_signal(loop, SIGINT, on_signal, NULL);
    raise(SIGPIPE);
    raise(SIGTERM);
    loop_run(loop);
    ck_assert_str_eq(seen, "TI");
}
END_TEST

static void *signal_from_thread(void *wake)
{
    wake_signal(wake);
    return NULL;
}

START_TEST(a_thread_wakes_the_loop)
{
    struct wake *w = wake_create(loop, see_and_stop, "w");
    pthread_t thread;

    ck_assert_int_eq(pthread_create(&thread, NULL, signal_from_thread, w), 0);
    loop_run(loop);
    pthread_join(thread, NULL);
    wake_destroy(w);
    ck_assert_str_eq(seen, "w");
}
END_TEST

static void read_and_stop(void *user)
{
    char c;

    ck_assert_int_eq(read(*(int *)user, &c, 1), 1);
    see("r");
    loop_stop(loop);
}

static void say_and_stop(void *user)
{
    loop_defer_output(loop, RANK_OTHER, &work[0], see, "o");
    read_and_stop(user);
}

/* The last answers of a program that stops. */
START_TEST(output_of_the_last_turn_goes_out)
{
    struct watch *w;
    int fds[2];

    memset(work, 0, sizeof(work));
    ck_assert_int_eq(pipe(fds), 0);
    w = watch_create(loop, fds[0], say_and_stop, &fds[0]);
    ck_assert_int_eq(write(fds[1], "x", 1), 1);
    loop_run(loop);
    ck_assert_str_eq(seen, "ro");
    watch_destroy(w);
    close(fds[0]);
    close(fds[1]);
}
END_TEST

START_TEST(a_descriptor_is_watched)
{
    struct loop_timer t = {0};
    struct watch *w;
    int fds[2];

    ck_assert_int_eq(pipe(fds), 0);
    w = watch_create(loop, fds[0], read_and_stop, &fds[0]);
    ck_assert_int_eq(write(fds[1], "x", 1), 1);
    loop_run(loop);
    watch_pause(w);
    ck_assert_int_eq(write(fds[1], "x", 1), 1);
    timer_set_in(loop, &t, 2, see_and_stop, "t");
    loop_run(loop);
    watch_resume(w);
    loop_run(loop);
    watch_destroy(w);
    close(fds[0]);
    close(fds[1]);
    ck_assert_str_eq(seen, "rtr");
}
END_TEST

int main(void)
{
    TCase *c = net_case("loop",
                        stopped_before_it_ran,
                        timers_expire_in_order,
                        a_timer_that_is_set_again_does_not_hold_up_the_loop,
                        deferred_work_runs_once_at_the_end_of_the_turn,
                        signals_come_as_callbacks,
                        a_thread_wakes_the_loop,
                        output_of_the_last_turn_goes_out,
                        a_descriptor_is_watched);

    tcase_add_checked_fixture(c, setup, teardown);
    return unit_run("loop", &c, 1);
}
