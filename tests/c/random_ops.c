// SPDX-License-Identifier: Apache-2.0
/*
 * Random operations on one file, checked against a copy in memory after each. The kind of test that finds what nobody
 * thought of: all ways into a file (read, write, maps, O_DIRECT, truncate, fallocate, clone, copy, reopen, fsync, drop of
 * caches) in any order, from a seed.
 *
 *	random_ops DIRECTORY SEED OPERATIONS
 *
 * Prints "ok" and the number of operations, or the operation that went wrong and the last ones before it.
 */
#include "tap.h"
#include <linux/falloc.h>

#define MAX	(256 << 10)
#define BLOCK	4096
#define KEEP	40

static unsigned char model[MAX + BLOCK], buf[MAX + BLOCK] __attribute__((aligned(BLOCK)));
static size_t size;
static int fd = -1, direct_fd = -1, clone_fd = -1;
static char *map;
static uint64_t state;
static char history[KEEP][120];
static long number;

static uint64_t pick(uint64_t below)
{
	state = tap_mix(state);
	return below ? state % below : 0;
}

#define SAY(...) snprintf(history[number % KEEP], sizeof(history[0]), __VA_ARGS__)

__attribute__((noreturn)) static void wrong(const char *what, long long at)
{
	printf("not ok: operation %ld: %s at offset %lld (%s), size %zu; the last operations:\n", number, what, at,
	       errno ? strerrorname_np(errno) : "no errno", size);
	for (long n = number - KEEP + 1 < 0 ? 0 : number - KEEP + 1; n <= number; n++)
		printf("  %ld %s\n", n, history[n % KEEP]);
	exit(1);
}

static void compare(const void *got, size_t from, size_t len, const char *what)
{
	if (!memcmp(got, model + from, len))
		return;
	for (size_t i = 0; i < len; i++)
		if (((unsigned char *)got)[i] != model[from + i]) {
			errno = 0;
			wrong(what, from + i);
		}
}

/* A range within the limits; `inside` the file. */
static void choose(size_t *from, size_t *len, bool inside, size_t align)
{
	size_t end = inside ? size : MAX;

	*from = pick(end ? end : 1);
	*len = 1 + pick(pick(4) ? 20000 : 400);
	if (align > 1) {
		*from -= *from % align;
		*len = (*len + align - 1) / align * align;
	}
	if (*from + *len > end)
		*len = end - *from;
}

static void grow_model(size_t to)
{
	if (to > size) {
		memset(model + size, 0, to - size);
		size = to;
	}
}

static void must(bool good, const char *what, size_t at)
{
	if (!good)
		wrong(what, at);
}

static void remap(void)
{
	if (map)
		munmap(map, MAX);
	map = mmap(NULL, MAX, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(map != MAP_FAILED, "mmap", 0);
}

static void reopen(void)
{
	if (fd >= 0)
		close(fd);
	if (direct_fd >= 0)
		close(direct_fd);
	fd = open("random", O_RDWR | O_CREAT, 0644);
	direct_fd = open("random", O_RDWR | O_DIRECT);
	must(fd >= 0 && direct_fd >= 0, "open", 0);
}

static void step(void)
{
	size_t from, len, to;
	struct file_clone_range range = { 0 };
	off_t in, out;
	ssize_t n;

	errno = 0;
	switch (pick(24)) {
	case 0: case 1: case 2:
		choose(&from, &len, false, 1);
		SAY("write %zu+%zu", from, len);
		tap_pattern(buf, len, state, 0);
		must(pwrite(fd, buf, len, from) == (ssize_t)len, "write", from);
		grow_model(from + len);
		memcpy(model + from, buf, len);
		break;
	case 3: case 4:
		choose(&from, &len, false, 1);
		SAY("read %zu+%zu", from, len);
		n = pread(fd, buf, len, from);
		must(n == (ssize_t)(from >= size ? 0 : len < size - from ? len : size - from), "read length", from);
		compare(buf, from, n, "read");
		break;
	case 5: case 6: case 7:
		if (!size)
			break;
		choose(&from, &len, true, 1);
		SAY("store %zu+%zu", from, len);
		tap_pattern(model + from, len, state, 0);
		memcpy(map + from, model + from, len);
		break;
	case 8: case 9:
		if (!size)
			break;
		choose(&from, &len, true, 1);
		SAY("load %zu+%zu", from, len);
		compare(map + from, from, len, "map");
		break;
	case 10:
		to = pick(MAX);
		SAY("truncate %zu -> %zu", size, to);
		must(!ftruncate(fd, to), "truncate", to);
		if (to > size)
			grow_model(to);
		size = to;
		break;
	case 11:
		choose(&from, &len, false, 1);
		SAY("punch %zu+%zu", from, len);
		must(!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, from, len), "punch", from);
		if (from < size)
			memset(model + from, 0, from + len > size ? size - from : len);
		break;
	case 12:
		choose(&from, &len, false, 1);
		SAY("zero %zu+%zu", from, len);
		must(!fallocate(fd, FALLOC_FL_ZERO_RANGE, from, len), "zero range", from);
		grow_model(from + len);
		memset(model + from, 0, len);
		break;
	case 13:
		choose(&from, &len, true, BLOCK);
		len -= len % BLOCK;
		if (!len || from + len >= size)
			break;
		SAY("collapse %zu+%zu", from, len);
		must(!fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, from, len), "collapse", from);
		memmove(model + from, model + from + len, size - from - len);
		size -= len;
		break;
	case 14:
		choose(&from, &len, true, BLOCK);
		len -= len % BLOCK;
		if (!len || from >= size || size + len > MAX)
			break;
		SAY("insert %zu+%zu", from, len);
		must(!fallocate(fd, FALLOC_FL_INSERT_RANGE, from, len), "insert", from);
		memmove(model + from + len, model + from, size - from);
		memset(model + from, 0, len);
		size += len;
		break;
	case 15:
		choose(&from, &len, false, BLOCK);
		len -= len % BLOCK;
		if (!len)
			break;
		SAY("direct write %zu+%zu", from, len);
		tap_pattern(buf, len, state, 0);
		must(pwrite(direct_fd, buf, len, from) == (ssize_t)len, "direct write", from);
		grow_model(from + len);
		memcpy(model + from, buf, len);
		break;
	case 16:
		choose(&from, &len, false, BLOCK);
		len -= len % BLOCK;
		if (!len)
			break;
		SAY("direct read %zu+%zu", from, len);
		n = pread(direct_fd, buf, len, from);
		must(n == (ssize_t)(from >= size ? 0 : len < size - from ? len : size - from), "direct read length", from);
		compare(buf, from, n, "direct read");
		break;
	case 17:
		SAY("clone all of it");
		/* A tail that is no whole block cannot be cloned into the middle of a larger file. */
		must(!ftruncate(clone_fd, 0), "truncate of the clone", 0);
		must(!ioctl(clone_fd, FICLONE, fd), "clone", 0);
		n = pread(clone_fd, buf, MAX, 0);
		must(n == (ssize_t)size, "length of the clone", n);
		compare(buf, 0, size, "clone");
		break;
	case 18:
		choose(&from, &len, true, BLOCK);
		to = pick(MAX / BLOCK) * BLOCK;
		len -= len % BLOCK;
		if (!len || from + len > size || to + len > MAX || (to < from + len && from < to + len))
			break;
		SAY("clone %zu+%zu to %zu", from, len, to);
		range = (struct file_clone_range){ fd, from, len, to };
		must(!ioctl(fd, FICLONERANGE, &range), "clone range", from);
		grow_model(to + len);
		memcpy(model + to, model + from, len);
		break;
	case 19:
		choose(&from, &len, true, 1);
		to = pick(MAX);
		if (!len || to + len > MAX || (to < from + len && from < to + len))
			break;
		SAY("copy %zu+%zu to %zu", from, len, to);
		in = from;
		out = to;
		n = copy_file_range(fd, &in, fd, &out, len, 0);
		must(n > 0 && n <= (ssize_t)len, "copy", from);
		grow_model(to + n);
		memcpy(model + to, model + from, n);
		break;
	case 20:
		SAY("reopen");
		reopen();
		if (pick(2))
			remap();
		break;
	case 21:
		if (pick(2)) {
			SAY("fsync");
			must(!fsync(fd), "fsync", 0);
		} else {
			SAY("msync and drop");
			must(!msync(map, MAX, MS_SYNC), "msync", 0);
			must(!posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), "fadvise", 0);
		}
		break;
	case 22:
		choose(&from, &len, true, 1);
		to = pick(MAX);
		if (!len || to + len > MAX)
			break;
		/* From the map of the file itself; overlapping ranges have no defined order. */
		if (to < from + len && from < to + len)
			break;
		SAY("write from map %zu+%zu to %zu", from, len, to);
		must(pwrite(fd, map + from, len, to) == (ssize_t)len, "write from map", from);
		grow_model(to + len);
		memcpy(model + to, model + from, len);
		break;
	case 23:
		choose(&from, &len, true, 1);
		to = pick(size ? size : 1);
		if (!len || to + len > size || (to < from + len && from < to + len))
			break;
		SAY("read into map %zu+%zu to %zu", from, len, to);
		must(pread(fd, map + to, len, from) == (ssize_t)len, "read into map", from);
		memcpy(model + to, model + from, len);
		break;
	}
}

int main(int argc, char **argv)
{
	struct stat st;
	long operations;

	if (argc != 4 || chdir(argv[1])) {
		fprintf(stderr, "usage: %s DIRECTORY SEED OPERATIONS\n", argv[0]);
		return 2;
	}
	state = strtoull(argv[2], NULL, 0);
	operations = atol(argv[3]);
	unlink("random");
	reopen();
	clone_fd = open("random-clone", O_RDWR | O_CREAT | O_TRUNC, 0644);
	must(clone_fd >= 0, "open", 0);
	remap();
	for (number = 0; number < operations; number++) {
		SAY("-");
		step();
		must(!fstat(fd, &st) && (size_t)st.st_size == size, "size", st.st_size);
		if (number % 100 == 99) {
			must(pread(fd, buf, MAX, 0) == (ssize_t)size, "length of all", 0);
			compare(buf, 0, size, "all by read");
			compare(map, 0, size, "all by map");
		}
	}
	unlink("random");
	unlink("random-clone");
	printf("ok: %ld operations, seed %s\n", operations, argv[2]);
	return 0;
}
