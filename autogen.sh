#!/bin/sh
# Makes ./configure from configure.ac.  Needed once after a clone.
set -e
cd "$(dirname "$0")"
exec autoreconf --install --force --warnings=all,no-obsolete
