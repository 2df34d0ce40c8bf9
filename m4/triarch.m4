# Build switches of Triarch.  One macro per switch; configure.ac reads as the list.

# TRIARCH_WARNINGS: the project's warning set, and --enable-werror.
AC_DEFUN([TRIARCH_WARNINGS], [
  AC_ARG_ENABLE([werror],
    [AS_HELP_STRING([--enable-werror], [treat compiler warnings as errors])],
    [], [enable_werror=no])
  WARN_CFLAGS="-Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wformat=2 -Wvla"
  AC_MSG_CHECKING([whether $CC takes -Wimplicit-fallthrough=5])
  save_CFLAGS=$CFLAGS
  CFLAGS="$CFLAGS -Werror -Wimplicit-fallthrough=5"
  AC_COMPILE_IFELSE([AC_LANG_PROGRAM([], [])],
    [AC_MSG_RESULT([yes]); WARN_CFLAGS="$WARN_CFLAGS -Wimplicit-fallthrough=5"],
    [AC_MSG_RESULT([no]); WARN_CFLAGS="$WARN_CFLAGS -Wimplicit-fallthrough"])
  CFLAGS=$save_CFLAGS
  AS_IF([test "x$enable_werror" = xyes], [WARN_CFLAGS="$WARN_CFLAGS -Werror"])
  AC_SUBST([WARN_CFLAGS])
])

# TRIARCH_SANITIZERS: --enable-sanitizers=address,undefined | thread | fuzzer,address …
# Then SANITIZED is defined, and THREAD_SANITIZER where it is that one.
AC_DEFUN([TRIARCH_SANITIZERS], [
  AC_ARG_ENABLE([sanitizers],
    [AS_HELP_STRING([--enable-sanitizers=LIST], [build with -fsanitize=LIST, e.g. address,undefined or thread])],
    [], [enable_sanitizers=no])
  AS_CASE([$enable_sanitizers],
    [no], [SANITIZER_CFLAGS=],
    [yes], [SANITIZER_CFLAGS="-fsanitize=address,undefined"],
    [SANITIZER_CFLAGS="-fsanitize=$enable_sanitizers"])
  AS_IF([test -n "$SANITIZER_CFLAGS"],
    [SANITIZER_CFLAGS="$SANITIZER_CFLAGS -fno-omit-frame-pointer -fno-sanitize-recover=all -g -DSANITIZED"])
  AS_CASE([$enable_sanitizers], [*thread*], [SANITIZER_CFLAGS="$SANITIZER_CFLAGS -DTHREAD_SANITIZER"])
  AC_SUBST([SANITIZER_CFLAGS])
  # The thread sanitizer turns vfork() into fork(): not for programs that need the difference.
  AS_CASE([$enable_sanitizers], [*thread*], [FORKING_CFLAGS=], [FORKING_CFLAGS=$SANITIZER_CFLAGS])
  AC_SUBST([FORKING_CFLAGS])
])

# TRIARCH_COVERAGE: --enable-coverage, for `make coverage` (gcovr).
AC_DEFUN([TRIARCH_COVERAGE], [
  AC_ARG_ENABLE([coverage],
    [AS_HELP_STRING([--enable-coverage], [instrument for gcov; then `make coverage`])],
    [], [enable_coverage=no])
  AS_IF([test "x$enable_coverage" = xyes], [COVERAGE_CFLAGS="--coverage -O0 -g"], [COVERAGE_CFLAGS=])
  AC_SUBST([COVERAGE_CFLAGS])
  AM_CONDITIONAL([COVERAGE], [test "x$enable_coverage" = xyes])
])

# TRIARCH_STATIC: flags that link a small program statically, where that works: not with
# sanitizers or coverage, and not without a static libc.
AC_DEFUN([TRIARCH_STATIC], [
  STATIC_LDFLAGS=
  AC_MSG_CHECKING([whether small programs can be linked statically])
  save_CFLAGS=$CFLAGS save_LDFLAGS=$LDFLAGS
  CFLAGS="$CFLAGS $FORKING_CFLAGS $COVERAGE_CFLAGS" LDFLAGS="$LDFLAGS -static"
  AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <stdio.h>]], [[puts("");]])],
    [AC_MSG_RESULT([yes]); STATIC_LDFLAGS=-static],
    [AC_MSG_RESULT([no])])
  CFLAGS=$save_CFLAGS LDFLAGS=$save_LDFLAGS
  AC_SUBST([STATIC_LDFLAGS])
])

# TRIARCH_MUTANT: --enable-mutant=NAME builds one deliberate bug of the zoo
# (docs/testing.md).  Such a build is only ever run by tests/zoo.
AC_DEFUN([TRIARCH_MUTANT], [
  AC_ARG_ENABLE([mutant],
    [AS_HELP_STRING([--enable-mutant=NAME], [build one deliberate bug; for tests/zoo only])],
    [], [enable_mutant=no])
  MUTANT_CPPFLAGS=
  AS_IF([test "x$enable_mutant" != xno],
    [MUTANT_CPPFLAGS="-DMUTANT_$(echo "$enable_mutant" | tr 'a-z-' 'A-Z_')"
     AC_MSG_WARN([this build has the deliberate bug '$enable_mutant': never install it])])
  AC_SUBST([MUTANT_CPPFLAGS])
])

# TRIARCH_LIBRAFT: only the 0.22 line of libraft keeps what is acknowledged.
AC_DEFUN([TRIARCH_LIBRAFT], [
  PKG_CHECK_EXISTS([raft], [],
    [AC_MSG_ERROR([libraft is missing.  Triarch needs libraft 0.22.x: package libraft-dev of Debian 12 bookworm-backports or Debian 13 trixie; deploy/deps build installs it.])])
  raft_version=$($PKG_CONFIG --modversion raft)
  AC_MSG_CHECKING([for libraft 0.22.x])
  AS_CASE([$raft_version],
    [0.22.*], [AC_MSG_RESULT([$raft_version])],
    [AC_MSG_RESULT([no, found $raft_version])
     AC_MSG_ERROR([libraft $raft_version is refused.  The 0.15 line, Debian 12's own, loses entries that were acknowledged; other lines have another contract.  Install libraft-dev 0.22.x from bookworm-backports or from Debian 13 (trixie), or run deploy/deps build.])])
  PKG_CHECK_MODULES([RAFT], [raft >= 0.22 raft < 0.23])
  save_CPPFLAGS=$CPPFLAGS
  CPPFLAGS="$CPPFLAGS $RAFT_CFLAGS"
  AC_COMPILE_IFELSE([AC_LANG_PROGRAM([[#include <raft.h>
#if RAFT_VERSION_NUMBER / 100 != 22
#error raft.h is not of the 0.22 line
#endif]], [])], [],
    [AC_MSG_ERROR([raft.h is not of the 0.22 line although pkg-config says $raft_version: remove the other libraft-dev])])
  CPPFLAGS=$save_CPPFLAGS
])
