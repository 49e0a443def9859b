"""System calls that fail as those of a bad file system do, for another process: libraries to preload."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def preloading(folder: Path, source: str) -> dict[str, str]:
    """Compile a library, and return the environment of a process that has it preloaded; skip without cc."""
    compiler = shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("needs a C compiler and LD_PRELOAD")
    (folder / "shim.c").write_text(source)
    command = [compiler, "-shared", "-fPIC", "-o", str(folder / "shim.so"), str(folder / "shim.c"), "-ldl"]
    subprocess.run(command, check=True, capture_output=True)
    return {**os.environ, "LD_PRELOAD": str(folder / "shim.so")}


# what a mount without a lock service does to every lock: grants it, or knows none
LOCKS_THAT_DO_NOT_WORK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
static int answer(const char *name, int fd, int what, void *argument) {
    int locks = what == F_SETLK || what == F_SETLKW || what == F_GETLK;
#ifdef F_OFD_SETLK
    locks |= what == F_OFD_SETLK || what == F_OFD_SETLKW || what == F_OFD_GETLK;
#endif
    if (locks && getenv("NO_LOCK_SERVICE")) { errno = ENOLCK; return -1; }
    if (locks) { if (what == F_GETLK) ((struct flock *)argument)->l_type = F_UNLCK; return 0; }
    int (*real)(int, int, ...) = (int (*)(int, int, ...))dlsym(RTLD_NEXT, name);
    return real(fd, what, argument);
}
int fcntl(int fd, int what, ...) {
    va_list rest; va_start(rest, what); void *argument = va_arg(rest, void *); va_end(rest);
    return answer("fcntl", fd, what, argument);
}
int fcntl64(int fd, int what, ...) {
    va_list rest; va_start(rest, what); void *argument = va_arg(rest, void *); va_end(rest);
    return answer("fcntl64", fd, what, argument);
}
"""

# files below $FULL take no byte more than $ROOM after their process began
DISK_THAT_IS_FULL = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>
static long long used;
static int is_full(int fd, size_t count) {
    char link[64], path[4096];
    const char *full = getenv("FULL"), *room = getenv("ROOM");
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (!full || length < 0) return 0;
    path[length] = 0;
    if (strncmp(path, full, strlen(full))) return 0;
    used += count;
    if (used <= (room ? atoll(room) : 0)) return 0;
    errno = ENOSPC;
    return 1;
}
#define REAL(name, type) ((type)dlsym(RTLD_NEXT, name))
ssize_t write(int fd, const void *data, size_t count) {
    if (is_full(fd, count)) return -1;
    return REAL("write", ssize_t (*)(int, const void *, size_t))(fd, data, count);
}
ssize_t pwrite(int fd, const void *data, size_t count, off_t at) {
    if (is_full(fd, count)) return -1;
    return REAL("pwrite", ssize_t (*)(int, const void *, size_t, off_t))(fd, data, count, at);
}
ssize_t pwrite64(int fd, const void *data, size_t count, off64_t at) {
    if (is_full(fd, count)) return -1;
    return REAL("pwrite64", ssize_t (*)(int, const void *, size_t, off64_t))(fd, data, count, at);
}
"""
