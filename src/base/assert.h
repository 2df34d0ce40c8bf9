/* assert.h - assertions that stay on in every build.
 *
 * ASSERT() is for our own mistakes: a state that the code around it rules out.  It prints the
 * condition, the place and a backtrace, and aborts: a master that goes on with a broken
 * invariant could lose what it acknowledged.  What the world can cause is an error (error.h).
 */
#ifndef BASE_ASSERT_H
#define BASE_ASSERT_H

#define ASSERT(condition) \
    ((condition) ? (void)0 : assert_failed(#condition, __FILE__, __LINE__, __func__))

/* A place that must not be reached; why says what rules it out. */
#define ASSERT_NEVER(why) assert_failed(why, __FILE__, __LINE__, __func__)

_Noreturn void
assert_failed(const char *condition, const char *file, int line, const char *function);

#endif
