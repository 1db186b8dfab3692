// SPDX-License-Identifier: Apache-2.0
/*
 * File data: reading and writing, holes, fallocate, sharing of blocks, O_DIRECT, asynchronous I/O, durability calls,
 * splice, a full volume.
 *
 * LDLIBS: -luring
 */
#include "tap.h"
#include <liburing.h>
#include <linux/aio_abi.h>
#include <linux/falloc.h>
#include <linux/fiemap.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>

#define BLOCK 4096

static char *aligned(size_t len)
{
	void *p;

	if (posix_memalign(&p, BLOCK, len))
		tap_fail(__LINE__, ENOMEM, "posix_memalign");
	return p;
}

static long long blocks_of(int fd)
{
	struct stat st;

	OK(fstat(fd, &st));
	return st.st_blocks;
}

static void read_write(void)
{
	char buf[100], one[10], two[20];
	struct iovec iov[2] = { { one, 10 }, { two, 20 } };
	int fd = MAKE_FILE("f", 50000, 1), dup_fd;

	CHECK_EQ(pread(fd, buf, 100, 50000), 0);
	CHECK_EQ(pread(fd, buf, 100, 49990), 10);
	CHECK_EQ(pread(fd, buf, 100, 1 << 30), 0);
	CHECK_EQ(lseek(fd, 5, SEEK_SET), 5);
	CHECK_EQ(readv(fd, iov, 2), 30);
	CHECK_EQ(tap_differs(one, 10, 1, 5), -1);
	CHECK_EQ(tap_differs(two, 20, 1, 15), -1);
	CHECK_EQ(preadv(fd, iov, 2, 4090), 30);
	CHECK_EQ(tap_differs(two, 20, 1, 4100), -1);
	tap_pattern(one, 10, 2, 0);
	tap_pattern(two, 20, 2, 10);
	CHECK_EQ(pwritev(fd, iov, 2, 8180), 30);
	HOLDS(fd, 8180, 30, 2, 0);
	HOLDS(fd, 8210, 1000, 1, 8210);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 35);
	dup_fd = OK(dup(fd));
	CHECK_EQ(lseek(dup_fd, 100, SEEK_SET), 100);
	CHECK_EQ(read(fd, buf, 50), 50);
	CHECK_EQ(lseek(dup_fd, 0, SEEK_CUR), 150);
	CHECK_EQ(tap_differs(buf, 50, 1, 100), -1);
	IN_CHILD(
		CHECK_EQ(read(fd, buf, 25), 25);
	);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 175);
	CHECK_EQ(write(fd, buf, 0), 0);
	CHECK_EQ(SIZE_OF(fd), 50000);
	FAILS(lseek(fd, -1, SEEK_SET), EINVAL);
	CHECK_EQ(lseek(fd, -10, SEEK_END), 49990);
	FAILS(pread(fd, buf, 1, -1), EINVAL);
}

static void holes(void)
{
	int fd = OK(open("f", O_CREAT | O_RDWR, 0644));

	CHECK_EQ(pwrite(fd, "x", 1, 10 << 20), 1);
	CHECK_EQ(SIZE_OF(fd), (10 << 20) + 1);
	HOLDS_ZEROS(fd, 0, 1 << 20);
	OK(fsync(fd));
	CHECK(blocks_of(fd) < 2048);
}

static void big_offsets(void)
{
	const off_t tera = 1ll << 40, last = 0x7fffffffffffffffll;
	int fd = OK(open("f", O_CREAT | O_RDWR, 0644));
	char c;

	CHECK_EQ(pwrite(fd, "T", 1, tera), 1);
	CHECK_EQ(SIZE_OF(fd), tera + 1);
	CHECK_EQ(lseek(fd, 0, SEEK_DATA), tera);
	CHECK_EQ(pread(fd, &c, 1, tera), 1);
	CHECK_EQ(c, 'T');
	FAILS(pwrite(fd, "x", 1, last), EINVAL);	/* position and length overflow (fs/read_write.c: rw_verify_area()) */
	FAILS(ftruncate(fd, -1), EINVAL);
	CHECK_EQ(pwrite(fd, "e", 1, last - 1), 1);
	CHECK_EQ(SIZE_OF(fd), last);
	CHECK_EQ(pread(fd, &c, 1, last - 1), 1);
	CHECK_EQ(c, 'e');
	OK(ftruncate(fd, tera + 1));
	CHECK_EQ(pread(fd, &c, 1, tera), 1);
	OK(ftruncate(fd, 0));
}

static void bad_buffers(void)
{
	char *page = OK(mmap(NULL, 2 * BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	int fd = MAKE_FILE("f", 3 * BLOCK, 1);
	ssize_t n;

	OK(munmap(page + BLOCK, BLOCK));
	FAILS(pwrite(fd, page + BLOCK, 10, 0), EFAULT);
	FAILS(pread(fd, page + BLOCK, 10, 0), EFAULT);
	HOLDS(fd, 0, BLOCK, 1, 0);
	/* What could be had is written, and nothing else. */
	tap_pattern(page, BLOCK, 2, 0);
	n = pwrite(fd, page + BLOCK - 100, 200, 1000);
	CHECK(n == 100 || (n == -1 && errno == EFAULT));
	HOLDS(fd, 0, 1000, 1, 0);
	if (n == 100)
		HOLDS(fd, 1000, 100, 2, BLOCK - 100);
	HOLDS(fd, 1100, 2 * BLOCK, 1, 1100);
	n = pread(fd, page + BLOCK - 100, 200, 5000);
	CHECK(n == 100 || (n == -1 && errno == EFAULT));
	CHECK_EQ(SIZE_OF(fd), 3 * BLOCK);
}

/* The kernel copies without page faults first, and has to come back for what was not in memory. */
static void absent_source(void)
{
	enum { LEN = (2 << 20) + 3 * BLOCK, FIRST = 1 << 20 };
	int flags[] = { 0, O_APPEND, O_DIRECT };
	int source = MAKE_FILE("source", LEN, 21);

	for (int i = 0; i < 3; i++) {
		int fd = OK(open("f", O_CREAT | O_TRUNC | O_RDWR | flags[i], 0644));
		char *map = OK(mmap(NULL, LEN, PROT_READ, MAP_PRIVATE, source, 0));
		struct iovec parts[] = { { map + FIRST, BLOCK }, { map, LEN - BLOCK } };

		/* The first part is there and the second is not. */
		CHECK_EQ(tap_differs(map + FIRST, BLOCK, 21, FIRST), -1);
		CHECK_EQ(writev(fd, parts, 2), LEN);
		OK(munmap(map, LEN));
		OK(close(fd));
		fd = OK(open("f", O_RDONLY));
		CHECK_EQ(SIZE_OF(fd), LEN);
		HOLDS(fd, 0, BLOCK, 21, FIRST);
		HOLDS(fd, BLOCK, LEN - BLOCK, 21, 0);
		OK(close(fd));
	}
}

static void large_write(void)
{
	enum { LEN = 24 << 20 };
	char *buf = malloc(LEN);
	int fd = OK(open("f", O_CREAT | O_RDWR, 0644));

	tap_pattern(buf, LEN, 77, 0);
	CHECK_EQ(write(fd, buf, LEN), LEN);
	OK(fsync(fd));
	OK(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) ? -1 : 0);
	memset(buf, 0, LEN);
	CHECK_EQ(pread(fd, buf, LEN, 0), LEN);
	CHECK_EQ(tap_differs(buf, LEN, 77, 0), -1);
}

static void fallocate_modes(void)
{
	enum { LEN = 64 * BLOCK };
	int fd = OK(open("f", O_CREAT | O_RDWR, 0644));
	long long before;

	OK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, LEN));
	CHECK_EQ(SIZE_OF(fd), 0);
	CHECK_EQ(blocks_of(fd), LEN / 512);
	OK(fallocate(fd, 0, 0, LEN));
	CHECK_EQ(SIZE_OF(fd), LEN);
	HOLDS_ZEROS(fd, 0, LEN);
	close(fd);

	fd = MAKE_FILE("g", LEN, 5);
	OK(fsync(fd));
	before = blocks_of(fd);
	OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4 * BLOCK + 100, 2 * BLOCK));
	HOLDS(fd, 0, 4 * BLOCK + 100, 5, 0);
	HOLDS_ZEROS(fd, 4 * BLOCK + 100, 2 * BLOCK);
	HOLDS(fd, 6 * BLOCK + 100, BLOCK, 5, 6 * BLOCK + 100);
	CHECK_EQ(before - blocks_of(fd), 8);
	FAILS(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, BLOCK), EOPNOTSUPP);

	OK(fallocate(fd, FALLOC_FL_ZERO_RANGE, 10 * BLOCK + 7, BLOCK));
	HOLDS(fd, 9 * BLOCK, BLOCK + 7, 5, 9 * BLOCK);
	HOLDS_ZEROS(fd, 10 * BLOCK + 7, BLOCK);
	HOLDS(fd, 11 * BLOCK + 7, BLOCK, 5, 11 * BLOCK + 7);
	OK(fallocate(fd, FALLOC_FL_ZERO_RANGE, LEN - BLOCK, 2 * BLOCK));
	CHECK_EQ(SIZE_OF(fd), LEN + BLOCK);
	HOLDS_ZEROS(fd, LEN - BLOCK, 2 * BLOCK);

	OK(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 20 * BLOCK, 3 * BLOCK));
	CHECK_EQ(SIZE_OF(fd), LEN - 2 * BLOCK);
	HOLDS(fd, 12 * BLOCK, 8 * BLOCK, 5, 12 * BLOCK);
	HOLDS(fd, 20 * BLOCK, 10 * BLOCK, 5, 23 * BLOCK);
	OK(fallocate(fd, FALLOC_FL_INSERT_RANGE, 20 * BLOCK, 3 * BLOCK));
	CHECK_EQ(SIZE_OF(fd), LEN + BLOCK);
	HOLDS_ZEROS(fd, 20 * BLOCK, 3 * BLOCK);
	HOLDS(fd, 23 * BLOCK, 10 * BLOCK, 5, 23 * BLOCK);
	FAILS(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 100, BLOCK), EINVAL);
	FAILS(fallocate(fd, FALLOC_FL_INSERT_RANGE, 0, 100), EINVAL);
	FAILS(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, 1 << 30), EINVAL);
	FAILS(fallocate(fd, 0, -1, 1), EINVAL);
	FAILS(fallocate(fd, 0, 0, 0), EINVAL);
	FAILS(fallocate(OK(open("g", O_RDONLY)), 0, 0, 1), EBADF);
	FAILS(fallocate(OK(open("g", O_RDWR)), 1 << 30, 0, 1), EOPNOTSUPP);
}

static void seek_hole_data(void)
{
	int fd = OK(open("f", O_CREAT | O_RDWR, 0644));
	char block[BLOCK] = { 1 };

	OK(ftruncate(fd, 40 * BLOCK));
	CHECK_EQ(pwrite(fd, block, BLOCK, 16 * BLOCK), BLOCK);
	OK(fsync(fd));
	CHECK_EQ(lseek(fd, 0, SEEK_DATA), 16 * BLOCK);
	CHECK_EQ(lseek(fd, 0, SEEK_HOLE), 0);
	CHECK_EQ(lseek(fd, 16 * BLOCK, SEEK_HOLE), 17 * BLOCK);
	CHECK_EQ(lseek(fd, 16 * BLOCK + 5, SEEK_DATA), 16 * BLOCK + 5);
	FAILS(lseek(fd, 17 * BLOCK, SEEK_DATA), ENXIO);
	FAILS(lseek(fd, 40 * BLOCK, SEEK_HOLE), ENXIO);
	FAILS(lseek(fd, 50 * BLOCK, SEEK_DATA), ENXIO);
	CHECK_EQ(lseek(fd, 39 * BLOCK, SEEK_HOLE), 39 * BLOCK);
	/* Data that is only in memory is data. */
	CHECK_EQ(pwrite(fd, block, BLOCK, 32 * BLOCK), BLOCK);
	CHECK_EQ(lseek(fd, 17 * BLOCK, SEEK_DATA), 32 * BLOCK);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 32 * BLOCK);
}

static void copy_ranges(void)
{
	enum { LEN = 100000 };
	int in = MAKE_FILE("in", LEN, 3), out = OK(open("out", O_CREAT | O_RDWR, 0644)), other;
	off_t from = 0, to = 0;
	size_t done = 0;

	while (done < LEN) {
		ssize_t n = OK(copy_file_range(in, &from, out, &to, LEN + 1000 - done, 0));

		CHECK(n > 0);
		done += n;
	}
	CHECK_EQ(done, LEN);
	CHECK_EQ(from, LEN);
	CHECK_EQ(copy_file_range(in, &from, out, &to, 100, 0), 0);
	HOLDS(out, 0, LEN, 3, 0);
	from = 777;
	to = 12345;
	CHECK_EQ(copy_file_range(in, &from, out, &to, 5000, 0), 5000);
	HOLDS(out, 0, 12345, 3, 0);
	HOLDS(out, 12345, 5000, 3, 777);
	HOLDS(out, 17345, LEN - 17345, 3, 17345);
	/* Within one file, and overlapping. */
	from = 0;
	to = 200000;
	CHECK_EQ(copy_file_range(in, &from, in, &to, 4096, 0), 4096);
	HOLDS(in, 200000, 4096, 3, 0);
	from = 0;
	to = 100;
	FAILS(copy_file_range(in, &from, in, &to, 4096, 0), EINVAL);
	from = to = 0;
	FAILS(copy_file_range(in, &from, OK(open("out", O_RDONLY)), &to, 10, 0), EBADF);
	FAILS(copy_file_range(in, &from, OK(open("out", O_RDWR | O_APPEND)), &to, 10, 0), EBADF);
	/* To a descriptor that appended, and does not any more. */
	other = OK(open("out", O_RDWR | O_APPEND));
	CHECK_EQ(write(other, "x", 1), 1);
	from = to = 0;
	FAILS(copy_file_range(in, &from, other, &to, 10, 0), EBADF);
	OK(fcntl(other, F_SETFL, 0));
	CHECK_EQ(copy_file_range(in, &from, other, &to, 10, 0), 10);
	/* To another file system. */
	other = OK(memfd_create("other", 0));
	from = to = 0;
	ssize_t n = copy_file_range(in, &from, other, &to, 4096, 0);

	CHECK(n == 4096 || (n == -1 && errno == EXDEV));
}

/* What a stacked file system may do in pieces is whole to who asked for it. */
static void large_ranges(void)
{
	const off_t len = 70 << 20, marks[] = { 0, (32 << 20) - 1, 32 << 20, (64 << 20) + 5, len - 1 };
	const off_t gib = 1 << 30;
	struct rlimit limit = { .rlim_cur = 1 << 20, .rlim_max = RLIM_INFINITY };
	int in = OK(open("in", O_RDWR | O_CREAT, 0644)), out = OK(open("out", O_RDWR | O_CREAT, 0644));
	off_t from = 0, to = 0;
	struct stat st;
	unsigned i;
	char c;

	OK(ftruncate(in, len));
	for (i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
		CHECK_EQ(pwrite(in, "m", 1, marks[i]), 1);
	CHECK_EQ(copy_file_range(in, &from, out, &to, 100 << 20, 0), len);
	CHECK_EQ(from, len);
	CHECK_EQ(to, len);
	OK(fstat(out, &st));
	CHECK_EQ(st.st_size, len);
	for (i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
		CHECK_EQ(pread(out, &c, 1, marks[i]), 1);
		CHECK_EQ(c, 'm');
	}

	OK(ftruncate(out, 3 * gib + 5));
	for (i = 1; i <= 3; i++)
		CHECK_EQ(pwrite(out, "mm", 2, i * gib - 1), 2);
	OK(fallocate(out, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 100, 3 * gib - 100));
	OK(fstat(out, &st));
	CHECK_EQ(st.st_size, 3 * gib + 5);
	for (i = 1; i <= 3; i++) {
		char two[2];

		CHECK_EQ(pread(out, two, 2, i * gib - 1), 2);
		CHECK_EQ(two[0], 0);
		CHECK_EQ(two[1], i == 3 ? 'm' : 0);
	}

	signal(SIGXFSZ, SIG_IGN);
	OK(setrlimit(RLIMIT_FSIZE, &limit));
	OK(ftruncate(in, 0));
	FAILS(fallocate(in, 0, 0, 20 * gib), EFBIG);
	OK(fstat(in, &st));
	CHECK_EQ(st.st_size, 0);
	CHECK_EQ(st.st_blocks, 0);
}

static void clones(void)
{
	enum { LEN = 32 * BLOCK };
	int in = MAKE_FILE("in", LEN, 3), out = OK(open("out", O_CREAT | O_RDWR, 0644));
	struct file_clone_range range = { .src_fd = in };
	char block[BLOCK];

	OK(ioctl(out, FICLONE, in));
	CHECK_EQ(SIZE_OF(out), LEN);
	HOLDS(out, 0, LEN, 3, 0);
	tap_pattern(block, BLOCK, 4, 0);
	CHECK_EQ(pwrite(out, block, BLOCK, 8 * BLOCK), BLOCK);
	HOLDS(in, 0, LEN, 3, 0);
	HOLDS(out, 8 * BLOCK, BLOCK, 4, 0);
	HOLDS(out, 9 * BLOCK, LEN - 9 * BLOCK, 3, 9 * BLOCK);
	CHECK_EQ(pwrite(in, block, 100, 50), 100);
	HOLDS(out, 0, 8 * BLOCK, 3, 0);
	range.src_offset = 16 * BLOCK;
	range.src_length = 2 * BLOCK;
	range.dest_offset = 100 * BLOCK;
	OK(ioctl(out, FICLONERANGE, &range));
	HOLDS(out, 100 * BLOCK, 2 * BLOCK, 3, 16 * BLOCK);
	HOLDS_ZEROS(out, LEN, 68 * BLOCK);
	range.dest_offset = 100;
	FAILS(ioctl(out, FICLONERANGE, &range), EINVAL);
	FAILS(ioctl(OK(memfd_create("other", 0)), FICLONE, in), EXDEV);
	OK(unlink("in"));
	close(in);
	HOLDS(out, 9 * BLOCK, LEN - 9 * BLOCK, 3, 9 * BLOCK);
}

static void dedupe(void)
{
	enum { LEN = 8 * BLOCK };
	struct { struct file_dedupe_range head; struct file_dedupe_range_info info; } arg = { 0 };
	int a = MAKE_FILE("a", LEN, 3), b = MAKE_FILE("b", LEN, 3), c = MAKE_FILE("c", LEN, 4);

	arg.head.src_length = LEN;
	arg.head.dest_count = 1;
	arg.info.dest_fd = b;
	OK(ioctl(a, FIDEDUPERANGE, &arg));
	CHECK_EQ(arg.info.status, FILE_DEDUPE_RANGE_SAME);
	CHECK_EQ(arg.info.bytes_deduped, LEN);
	HOLDS(b, 0, LEN, 3, 0);
	arg.info.dest_fd = c;
	arg.info.bytes_deduped = 0;
	OK(ioctl(a, FIDEDUPERANGE, &arg));
	CHECK_EQ(arg.info.status, FILE_DEDUPE_RANGE_DIFFERS);
	HOLDS(c, 0, LEN, 4, 0);
	CHECK_EQ(pwrite(b, "x", 1, 0), 1);
	HOLDS(a, 0, LEN, 3, 0);
}

static void extents(void)
{
	union {
		struct fiemap map;
		char room[sizeof(struct fiemap) + 32 * sizeof(struct fiemap_extent)];
	} u = { 0 };
	int fd = OK(open("f", O_CREAT | O_RDWR, 0644));
	char block[BLOCK] = { 1 };

	CHECK_EQ(pwrite(fd, block, BLOCK, 0), BLOCK);
	CHECK_EQ(pwrite(fd, block, BLOCK, 20 * BLOCK), BLOCK);
	u.map.fm_length = FIEMAP_MAX_OFFSET;
	u.map.fm_flags = FIEMAP_FLAG_SYNC;
	u.map.fm_extent_count = 32;
	OK(ioctl(fd, FS_IOC_FIEMAP, &u));
	CHECK_EQ(u.map.fm_mapped_extents, 2);
	CHECK_EQ(u.map.fm_extents[1].fe_logical, 20 * BLOCK);
	CHECK(u.map.fm_extents[1].fe_flags & FIEMAP_EXTENT_LAST);
	CHECK(!(u.map.fm_extents[0].fe_flags & (FIEMAP_EXTENT_SHARED | FIEMAP_EXTENT_DELALLOC)));
	OK(ioctl(OK(open("g", O_CREAT | O_RDWR, 0644)), FICLONE, fd));
	OK(ioctl(fd, FS_IOC_FIEMAP, &u));
	CHECK(u.map.fm_extents[0].fe_flags & FIEMAP_EXTENT_SHARED);
}

static void direct(void)
{
	enum { LEN = 64 * BLOCK };
	char *buf = aligned(LEN);
	int fd = OK(open("f", O_CREAT | O_RDWR | O_DIRECT, 0644)), cached;

	tap_pattern(buf, LEN, 6, 0);
	CHECK_EQ(pwrite(fd, buf, LEN, 0), LEN);
	cached = OK(open("f", O_RDWR));
	HOLDS(cached, 0, LEN, 6, 0);
	/* What is in memory is seen by O_DIRECT, and O_DIRECT's by the cached reader. */
	tap_pattern(buf, BLOCK, 7, 0);
	CHECK_EQ(pwrite(cached, buf, BLOCK, 3 * BLOCK), BLOCK);
	memset(buf, 0, LEN);
	CHECK_EQ(pread(fd, buf, LEN, 0), LEN);
	CHECK_EQ(tap_differs(buf, 3 * BLOCK, 6, 0), -1);
	CHECK_EQ(tap_differs(buf + 3 * BLOCK, BLOCK, 7, 0), -1);
	tap_pattern(buf, BLOCK, 8, 0);
	CHECK_EQ(pwrite(fd, buf, BLOCK, 5 * BLOCK), BLOCK);
	HOLDS(cached, 5 * BLOCK, BLOCK, 8, 0);
	/* Past the end, and over it. */
	CHECK_EQ(pread(fd, buf, LEN, LEN), 0);
	CHECK_EQ(pread(fd, buf, LEN, LEN - BLOCK), BLOCK);
	CHECK_EQ(pwrite(fd, buf, BLOCK, LEN + 4 * BLOCK), BLOCK);
	CHECK_EQ(SIZE_OF(cached), LEN + 5 * BLOCK);
	HOLDS_ZEROS(cached, LEN, 4 * BLOCK);
	/* A tail that is no whole block. */
	OK(ftruncate(cached, LEN + 1000));
	CHECK_EQ(pread(fd, buf, 2 * BLOCK, LEN), 1000);
}

static void direct_alignment(void)
{
	char *buf = aligned(4 * BLOCK);
	int fd, plain;

	close(MAKE_FILE("f", 8 * BLOCK, 6));
	fd = OK(open("f", O_RDWR | O_DIRECT));
	FAILS(pread(fd, buf, BLOCK, 100), EINVAL);
	FAILS(pread(fd, buf, 100, 0), EINVAL);
	FAILS(pread(fd, buf + 1, BLOCK, 0), EINVAL);
	FAILS(pwrite(fd, buf, BLOCK, 100), EINVAL);
	FAILS(pwrite(fd, buf, 100, 0), EINVAL);
	FAILS(pwrite(fd, buf + 1, BLOCK, 0), EINVAL);
	plain = OK(open("f", O_RDWR));
	HOLDS(plain, 0, 8 * BLOCK, 6, 0);
	OK(fcntl(fd, F_SETFL, 0));
	CHECK_EQ(pread(fd, buf + 1, 100, 100), 100);
	OK(fcntl(fd, F_SETFL, O_DIRECT));
	FAILS(pread(fd, buf + 1, 100, 100), EINVAL);
	CHECK_EQ(pread(fd, buf, BLOCK, BLOCK), BLOCK);
	CHECK_EQ(tap_differs(buf, BLOCK, 6, BLOCK), -1);
}

/* What is refused is refused whole, however much of it would have been fine. */
static void direct_large_alignment(void)
{
	enum { LEN = 8 << 20, MORE = (4 << 20) + 100 };
	char *buf = aligned(LEN), *other = aligned(BLOCK);
	struct iovec parts[] = { { buf, 5 << 20 }, { other + 1, BLOCK }, { buf, BLOCK } };
	int fd = OK(open("f", O_CREAT | O_RDWR | O_DIRECT, 0644)), cached = OK(open("f", O_RDWR)), appends;

	tap_pattern(buf, LEN, 51, 0);
	FAILS(pwrite(fd, buf, MORE, 0), EINVAL);
	FAILS(pwritev(fd, parts, 3, 0), EINVAL);
	appends = OK(open("f", O_WRONLY | O_APPEND | O_DIRECT));
	FAILS(write(appends, buf, MORE), EINVAL);
	FAILS(writev(appends, parts, 3), EINVAL);
	CHECK_EQ(SIZE_OF(fd), 0);
	CHECK_EQ(pwrite(fd, buf, LEN, 0), LEN);
	/* So is a read, but not behind the end, where it finds nothing. */
	FAILS(pread(fd, buf, MORE, 0), EINVAL);
	FAILS(pread(fd, buf, MORE, 5 << 20), EINVAL);
	CHECK_EQ(pread(fd, buf, MORE, LEN), 0);
	FAILS(preadv(fd, parts, 3, 0), EINVAL);
	HOLDS(cached, 0, LEN, 51, 0);
}

/* As much as may be written is, and no signal comes before the next write: also where a request is done in pieces. */
static void size_limit(void)
{
	enum { PIECE = 4 << 20 };
	struct rlimit limit;
	struct sysinfo memory;
	char *buf = aligned(2 * PIECE);
	size_t most, len;
	int fd = OK(open("f", O_CREAT | O_RDWR | O_DIRECT, 0644)), cached = OK(open("f", O_RDONLY));

	tap_pattern(buf, 2 * PIECE, 52, 0);
	OK(getrlimit(RLIMIT_FSIZE, &limit));
	IN_CHILD(
		limit.rlim_cur = PIECE;
		OK(setrlimit(RLIMIT_FSIZE, &limit));
		CHECK_EQ(pwrite(fd, buf, 2 * PIECE, 0), PIECE);
		CHECK_EQ(SIZE_OF(fd), PIECE);
		signal(SIGXFSZ, SIG_IGN);
		FAILS(pwrite(fd, buf, BLOCK, PIECE), EFBIG);
		/* What is left of it is no whole sector. */
		limit.rlim_cur = PIECE + 100;
		OK(setrlimit(RLIMIT_FSIZE, &limit));
		FAILS(pwrite(fd, buf, 2 * PIECE, BLOCK), EINVAL);
	);
	HOLDS(cached, 0, PIECE, 52, 0);
	OK(fcntl(fd, F_SETFL, O_APPEND));
	/* What is appended is done in larger pieces, by how much memory there is (mxfs_pin_room()). */
	OK(sysinfo(&memory));
	most = memory.totalram * memory.mem_unit / BLOCK / 64;
	most = (most < (64 << 20) / BLOCK ? most : (64 << 20) / BLOCK) * BLOCK;
	len = most + PIECE;
	buf = aligned(len);
	tap_pattern(buf, len, 53, 0);
	for (limit.rlim_cur = most; limit.rlim_cur <= most + BLOCK; limit.rlim_cur += BLOCK) {
		OK(ftruncate(fd, 0));
		IN_CHILD(
			OK(setrlimit(RLIMIT_FSIZE, &limit));
			CHECK_EQ(write(fd, buf, len), limit.rlim_cur);
		);
		CHECK_EQ(SIZE_OF(fd), limit.rlim_cur);
		HOLDS(cached, limit.rlim_cur - BLOCK, BLOCK, 53, limit.rlim_cur - BLOCK);
	}
}

/* Far more than a request holds, from memory in pieces that begin and end within pages. */
static void direct_large(void)
{
	enum { LEN = 11 << 20, FIRST = 5 << 20, SECOND = 3 * BLOCK };
	char *buf = aligned(LEN + BLOCK), *from = buf + 512;
	struct iovec parts[] = { { from, FIRST }, { from + FIRST, SECOND }, { from + FIRST + SECOND, LEN - FIRST - SECOND } };
	int fd = OK(open("f", O_CREAT | O_RDWR | O_DIRECT, 0644)), cached = OK(open("f", O_RDONLY));

	tap_pattern(from, LEN, 11, 0);
	CHECK_EQ(pwrite(fd, from, LEN, 0), LEN);
	HOLDS(cached, 0, LEN, 11, 0);
	CHECK_EQ(pwritev(fd, parts, 3, LEN), LEN);
	HOLDS(cached, LEN, LEN, 11, 0);
	memset(buf, 0, LEN + BLOCK);
	CHECK_EQ(preadv(fd, parts, 3, 0), LEN);
	CHECK_EQ(tap_differs(from, LEN, 11, 0), -1);
	CHECK(tap_zero(buf, 512) && tap_zero(from + LEN, BLOCK - 512));
	/* Over the end of the file. */
	memset(buf, 0, LEN + BLOCK);
	CHECK_EQ(pread(fd, from, LEN, LEN + FIRST), LEN - FIRST);
	CHECK_EQ(tap_differs(from, LEN - FIRST, 11, FIRST), -1);
	CHECK(tap_zero(from + LEN - FIRST, FIRST));
}

/* What the disk can reach (statx: dio_mem_align) may begin anywhere in a page, so that its parts in pages are no whole sectors. */
static void direct_any_memory(void)
{
	enum { LEN = 16 * BLOCK, LARGE = (5 << 20) + 3 * BLOCK };
	int fd = OK(open("f", O_CREAT | O_RDWR | O_DIRECT, 0644)), cached = OK(open("f", O_RDONLY));
	char *memory = aligned(LARGE + 2 * BLOCK), *buf;
	aio_context_t context = 0;
	struct io_event event;
	struct statx sx;

	OK(statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &sx));
	buf = memory + sx.stx_dio_mem_align;
	OK(syscall(SYS_io_setup, 1, &context));
	for (int is_asynchronous = 0; is_asynchronous < 2; is_asynchronous++) {
		struct iovec parts[] = { { buf, 4096 }, { buf + 3 * BLOCK, LEN - 4096 } };
		struct iocb write = { .aio_lio_opcode = IOCB_CMD_PWRITE, .aio_fildes = fd, .aio_buf = (uintptr_t)buf, .aio_nbytes = LEN };
		struct iocb read = write, *list = &write;

		tap_pattern(memory, LEN + 2 * BLOCK, 31 + is_asynchronous, 0);
		if (is_asynchronous) {
			OK(syscall(SYS_io_submit, context, 1, &list));
			CHECK_EQ(syscall(SYS_io_getevents, context, 1, 1, &event, NULL), 1);
			CHECK_EQ(event.res, LEN);
		} else {
			CHECK_EQ(pwrite(fd, buf, LEN, 0), LEN);
		}
		HOLDS(cached, 0, LEN, 31 + is_asynchronous, buf - memory);
		memset(memory, 0, LEN + 2 * BLOCK);
		if (is_asynchronous) {
			read.aio_lio_opcode = IOCB_CMD_PREAD;
			list = &read;
			OK(syscall(SYS_io_submit, context, 1, &list));
			CHECK_EQ(syscall(SYS_io_getevents, context, 1, 1, &event, NULL), 1);
			CHECK_EQ(event.res, LEN);
		} else {
			CHECK_EQ(pread(fd, buf, LEN, 0), LEN);
		}
		CHECK_EQ(tap_differs(buf, LEN, 31 + is_asynchronous, buf - memory), -1);
		CHECK(tap_zero(memory, buf - memory) && tap_zero(buf + LEN, BLOCK));
		/* Over the end. */
		CHECK_EQ(pread(fd, buf, LEN, LEN - BLOCK), BLOCK);
		CHECK_EQ(tap_differs(buf, BLOCK, 31 + is_asynchronous, buf - memory + LEN - BLOCK), -1);
		tap_pattern(memory, LEN + 3 * BLOCK, 41, 0);
		CHECK_EQ(pwritev(fd, parts, 2, LEN), LEN);
		HOLDS(cached, LEN, 4096, 41, buf - memory);
		HOLDS(cached, LEN + 4096, LEN - 4096, 41, buf - memory + 3 * BLOCK);
		OK(ftruncate(fd, LEN));
	}
	OK(syscall(SYS_io_destroy, context));
	/* More than is done at a time. */
	tap_pattern(buf, LARGE, 33, 0);
	CHECK_EQ(pwrite(fd, buf, LARGE, BLOCK), LARGE);
	memset(memory, 0, LARGE + 2 * BLOCK);
	HOLDS(cached, BLOCK, LARGE, 33, 0);
	CHECK_EQ(pread(fd, buf, LARGE, BLOCK), LARGE);
	CHECK_EQ(tap_differs(buf, LARGE, 33, 0), -1);
	CHECK(tap_zero(memory, buf - memory) && tap_zero(buf + LARGE, BLOCK));
	/* A sector of it is still a sector. */
	FAILS(pwrite(fd, buf, 100, 0), EINVAL);
	FAILS(pread(fd, buf, BLOCK, 100), EINVAL);
	FAILS(pread(fd, buf + 1, BLOCK, 0), EINVAL);
}

static void linux_aio(void)
{
	enum { DEPTH = 32 };
	struct iocb cbs[DEPTH] = { 0 }, *list[DEPTH];
	struct io_event events[DEPTH];
	static const char zeros[2 * BLOCK];
	char copy[2 * BLOCK];
	char *buf = aligned(DEPTH * BLOCK);
	aio_context_t context = 0;
	int fd = OK(open("f", O_CREAT | O_RDWR | O_DIRECT, 0644)), plain = OK(open("f", O_RDONLY));

	OK(syscall(SYS_io_setup, DEPTH, &context));
	for (int round = 0; round < 2; round++) {
		if (round)
			memset(buf, 0, DEPTH * BLOCK);
		else
			tap_pattern(buf, DEPTH * BLOCK, 10, 0);
		for (int i = 0; i < DEPTH; i++) {
			cbs[i].aio_lio_opcode = round ? IOCB_CMD_PREAD : IOCB_CMD_PWRITE;
			cbs[i].aio_fildes = fd;
			cbs[i].aio_buf = (uintptr_t)(buf + i * BLOCK);
			cbs[i].aio_nbytes = BLOCK;
			cbs[i].aio_offset = i * BLOCK;
			cbs[i].aio_data = i;
			list[i] = &cbs[i];
		}
		CHECK_EQ(syscall(SYS_io_submit, context, DEPTH, list), DEPTH);
		int got = 0;

		while (got < DEPTH)
			got += OK(syscall(SYS_io_getevents, context, 1, DEPTH - got, events + got, NULL));
		for (int i = 0; i < DEPTH; i++)
			CHECK_EQ(events[i].res, BLOCK);
		if (!round)
			HOLDS(plain, 0, DEPTH * BLOCK, 10, 0);
	}
	CHECK_EQ(tap_differs(buf, DEPTH * BLOCK, 10, 0), -1);
	/* Buffered, unaligned, beyond the end. */
	cbs[0].aio_fildes = plain;
	cbs[0].aio_offset = DEPTH * BLOCK - 100;
	CHECK_EQ(syscall(SYS_io_submit, context, 1, list), 1);
	CHECK_EQ(syscall(SYS_io_getevents, context, 1, 1, events, NULL), 1);
	CHECK_EQ(events[0].res, 100);
	/* Memory that was never touched is zeros; where it ends, the request fails and what is beside it stays. */
	buf = OK(mmap(NULL, 2 * BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	cbs[0] = (struct iocb){ .aio_lio_opcode = IOCB_CMD_PWRITE, .aio_fildes = fd, .aio_buf = (uintptr_t)buf,
				.aio_nbytes = 2 * BLOCK, .aio_offset = BLOCK };
	for (int round = 0; round < 2; round++) {
		CHECK_EQ(syscall(SYS_io_submit, context, 1, list), 1);
		CHECK_EQ(syscall(SYS_io_getevents, context, 1, 1, events, NULL), 1);
		HOLDS(plain, 0, BLOCK, 10, 0);
		HOLDS(plain, 3 * BLOCK, (DEPTH - 3) * BLOCK, 10, 3 * BLOCK);
		if (round) {
			CHECK((int64_t)events[0].res == -EFAULT || events[0].res == BLOCK);
			continue;
		}
		CHECK_EQ(events[0].res, 2 * BLOCK);
		CHECK_EQ(pread(plain, copy, 2 * BLOCK, BLOCK), 2 * BLOCK);
		CHECK(!memcmp(copy, zeros, 2 * BLOCK));
		OK(munmap(buf + BLOCK, BLOCK));
	}
	OK(syscall(SYS_io_destroy, context));
}

static void uring(bool is_direct)
{
	enum { DEPTH = 16, TOTAL = 256 };
	struct io_uring ring;
	char *buf = aligned(TOTAL * BLOCK);
	int fd = OK(open("f", O_CREAT | O_RDWR | (is_direct ? O_DIRECT : 0), 0644)), plain, err;

	err = io_uring_queue_init(DEPTH * 2, &ring, 0);
	if (err)
		tap_fail(__LINE__, -err, "io_uring_queue_init");
	struct iovec whole = { buf, TOTAL * BLOCK };

	err = io_uring_register_buffers(&ring, &whole, 1);
	if (err)
		tap_fail(__LINE__, -err, "io_uring_register_buffers");
	tap_pattern(buf, TOTAL * BLOCK, 11, 0);
	for (int round = 0; round < 2; round++) {
		int sent = 0, done = 0;

		if (round)
			memset(buf, 0, TOTAL * BLOCK);
		while (done < TOTAL) {
			struct io_uring_cqe *cqe;

			while (sent < TOTAL && sent - done < DEPTH) {
				struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
				char *at = buf + sent * BLOCK;

				CHECK(sqe);
				if (round)
					io_uring_prep_read_fixed(sqe, fd, at, BLOCK, (off_t)sent * BLOCK, 0);
				else if (sent & 1)
					io_uring_prep_write(sqe, fd, at, BLOCK, (off_t)sent * BLOCK);
				else
					io_uring_prep_write_fixed(sqe, fd, at, BLOCK, (off_t)sent * BLOCK, 0);
				sent++;
			}
			CHECK(io_uring_submit(&ring) >= 0);
			CHECK(!io_uring_wait_cqe(&ring, &cqe));
			if (cqe->res != BLOCK)
				tap_fail(__LINE__, cqe->res < 0 ? -cqe->res : 0, "result %d", cqe->res);
			io_uring_cqe_seen(&ring, cqe);
			done++;
		}
		if (!round) {
			struct io_uring_cqe *cqe;

			io_uring_prep_fsync(io_uring_get_sqe(&ring), fd, IORING_FSYNC_DATASYNC);
			CHECK(io_uring_submit(&ring) == 1);
			CHECK(!io_uring_wait_cqe(&ring, &cqe));
			CHECK_EQ(cqe->res, 0);
			io_uring_cqe_seen(&ring, cqe);
		}
	}
	CHECK_EQ(tap_differs(buf, TOTAL * BLOCK, 11, 0), -1);
	plain = OK(open("f", O_RDONLY));
	HOLDS(plain, 0, TOTAL * BLOCK, 11, 0);
	io_uring_queue_exit(&ring);
}

static void uring_direct(void)
{
	uring(true);
}

static void uring_buffered(void)
{
	uring(false);
}

static void per_call_flags(void)
{
	char buf[10];
	struct iovec iov = { "abc", 3 }, in = { buf, 3 };
	int fd = MAKE_FILE("f", 100, 1);

	CHECK_EQ(pwritev2(fd, &iov, 1, 0, RWF_APPEND), 3);
	CHECK_EQ(SIZE_OF(fd), 103);
	HOLDS(fd, 0, 100, 1, 0);
	CHECK_EQ(pwritev2(fd, &iov, 1, 10, RWF_DSYNC), 3);
	CHECK_EQ(pwritev2(fd, &iov, 1, 10, RWF_SYNC), 3);
	CHECK_EQ(pwritev2(fd, &iov, 1, -1, 0), 3);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 3);
	/* What was just written is in memory. */
	CHECK_EQ(preadv2(fd, &in, 1, 10, RWF_NOWAIT), 3);
	CHECK_EQ(memcmp(buf, "abc", 3), 0);
	ssize_t n = pwritev2(fd, &iov, 1, 0, RWF_NOWAIT);

	CHECK(n == 3 || (n == -1 && errno == EAGAIN));
	FAILS(pwritev2(fd, &iov, 1, 0, 1 << 30), EOPNOTSUPP);
}

static void durability_calls(void)
{
	int fd = OK(open("f", O_CREAT | O_RDWR | O_SYNC, 0644));

	CHECK_EQ(write(fd, "sync", 4), 4);
	fd = OK(open("f", O_RDWR | O_DSYNC | O_APPEND));
	CHECK_EQ(write(fd, "dsync", 5), 5);
	fd = OK(open("f", O_RDWR));
	CHECK_EQ(pwrite(fd, "x", 1, 100000), 1);
	OK(sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER));
	OK(fdatasync(fd));
	OK(fsync(fd));
	OK(syncfs(fd));
	OK(fsync(OK(open("f", O_RDONLY))));
	CHECK_EQ(posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED), 0);
	CHECK_EQ(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
	OK(readahead(fd, 0, 100000));
	CHECK_EQ(SIZE_OF(fd), 100001);
}

static void splices(void)
{
	enum { LEN = 200000 };
	int in = MAKE_FILE("in", LEN, 12), out = OK(open("out", O_CREAT | O_RDWR, 0644)), ends[2];
	off_t from = 0, to = 0;

	OK(pipe(ends));
	while (from < LEN) {
		ssize_t n = OK(splice(in, &from, ends[1], NULL, LEN - from, 0));

		CHECK(n > 0);
		while (n)
			n -= OK(splice(ends[0], NULL, out, &to, n, 0));
	}
	CHECK_EQ(to, LEN);
	HOLDS(out, 0, LEN, 12, 0);
	CHECK_EQ(splice(in, &from, ends[1], NULL, 100, SPLICE_F_NONBLOCK), 0);
}

static void sendfiles(void)
{
	enum { LEN = 150000 };
	int in = MAKE_FILE("in", LEN, 13), out = OK(open("out", O_CREAT | O_RDWR, 0644)), pair[2];
	static char buf[LEN];
	off_t from = 0;
	size_t got = 0;
	pid_t pid;

	while (from < LEN)
		CHECK(OK(sendfile(out, in, &from, LEN)) > 0);
	HOLDS(out, 0, LEN, 13, 0);
	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	pid = OK(fork());
	if (!pid) {
		from = 0;
		while (from < LEN)
			CHECK(OK(sendfile(pair[1], in, &from, LEN)) > 0);
		_exit(0);
	}
	close(pair[1]);
	while (got < LEN) {
		ssize_t n = OK(read(pair[0], buf + got, LEN - got));

		CHECK(n > 0);
		got += n;
	}
	REAP(pid);
	CHECK_EQ(tap_differs(buf, LEN, 13, 0), -1);
}

static void truncate_sizes(void)
{
	static const int sizes[] = { 0, 1, 511, 512, 4095, 4096, 4097, 65536, 100001 };
	int fd = MAKE_FILE("f", 200000, 15);

	for (unsigned int i = sizeof(sizes) / sizeof(*sizes); i-- > 0;) {
		OK(ftruncate(fd, sizes[i]));
		CHECK_EQ(SIZE_OF(fd), sizes[i]);
		HOLDS(fd, 0, sizes[i], 15, 0);
		/* What was cut off never comes back. */
		OK(ftruncate(fd, sizes[i] + 10000));
		HOLDS_ZEROS(fd, sizes[i], 10000);
		OK(ftruncate(fd, sizes[i]));
	}
	FAILS(ftruncate(fd, -1), EINVAL);
}

static void nameless_content(void)
{
	char path[64];
	int fd = OK(open(".", O_TMPFILE | O_RDWR, 0600));
	static char buf[100000];

	tap_pattern(buf, sizeof(buf), 17, 0);
	CHECK_EQ(write(fd, buf, sizeof(buf)), sizeof(buf));
	OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 8192, 8192));
	OK(fsync(fd));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	OK(linkat(AT_FDCWD, path, AT_FDCWD, "f", AT_SYMLINK_FOLLOW));
	close(fd);
	fd = OK(open("f", O_RDONLY));
	HOLDS(fd, 0, 8192, 17, 0);
	HOLDS_ZEROS(fd, 8192, 8192);
	HOLDS(fd, 16384, 100000 - 16384, 17, 16384);
}

static void full_volume(void)
{
	struct statvfs fs;
	static char buf[1 << 20];
	long long filled = 0;
	int fill = OK(open("fill", O_CREAT | O_RDWR, 0644)), fd, rounds = 0;
	ssize_t n;

	sync();
	OK(statvfs(".", &fs));
	/* Everything but a little, without writing it. */
	while (fs.f_bavail * fs.f_frsize > 24ull << 20) {
		long long step = fs.f_bavail * fs.f_frsize - (16 << 20);

		if (fallocate(fill, 0, filled, step)) {
			CHECK_EQ(errno, ENOSPC);
			break;
		}
		filled += step;
		OK(statvfs(".", &fs));
		CHECK(++rounds < 20);
	}
	fd = OK(open("f", O_CREAT | O_RDWR, 0644));
	for (rounds = 0; ; rounds++) {
		tap_pattern(buf, sizeof(buf), 18, (uint64_t)rounds * sizeof(buf));
		n = write(fd, buf, sizeof(buf));
		if (n != sizeof(buf))
			break;
		CHECK(rounds < 4000);
	}
	if (n < 0)
		CHECK_EQ(errno, ENOSPC);
	/* XFS may find more space than the piece that came up short needed: these go on in the same pattern, however many they are. */
	for (rounds = 0; ; rounds++) {
		tap_pattern(buf, 4096, 18, SIZE_OF(fd));
		n = write(fd, buf, 4096);
		if (n <= 0)
			break;
		CHECK(rounds < 10000);
	}
	CHECK_EQ(errno, ENOSPC);
	OK(fsync(fd));
	/* What was accepted is there. */
	HOLDS(fd, 0, SIZE_OF(fd), 18, 0);
	FAILS(fallocate(fd, 0, 0, 10ll << 40), ENOSPC);
	OK(ftruncate(fill, 0));
	OK(unlink("fill"));
	close(fill);
	CHECK_EQ(pwrite(fd, buf, sizeof(buf), 0), sizeof(buf));
	OK(fsync(fd));
}

#ifdef __x86_64__
static long call32(long number, long a, long b, long c, long d, long e)
{
	long result;

	asm volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e)
		     : "memory", "r8", "r9", "r10", "r11");
	return (int)result;
}

/* A program of 32 bits is not given what its numbers are too small for, unless it says that it has larger ones (O_LARGEFILE). */
static void small_numbers(void)
{
	enum { IOCTL = 54, GETPID = 20, OPEN = 5, PWRITE64 = 181, LARGE = 0100000, GETVERSION = 0x80047601 };
	char *low = OK(mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0));
	int fd = OK(open("f", O_CREAT | O_RDWR, 0644)), small, large, status;
	long version = 0;
	pid_t pid = OK(fork());

	if (!pid)
		_exit(call32(GETPID, 0, 0, 0, 0, 0) != getpid());
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status))
		return; /* this kernel has no such programs */
	strcpy(low, "f");
	OK(ftruncate(fd, 3ll << 30));
	CHECK_EQ(call32(OPEN, (long)low, O_RDWR, 0, 0, 0), -EOVERFLOW);
	large = call32(OPEN, (long)low, O_RDWR | LARGE, 0, 0, 0);
	CHECK(large >= 0);
	OK(ftruncate(fd, 100));
	small = call32(OPEN, (long)low, O_RDWR, 0, 0, 0);
	CHECK(small >= 0);
	CHECK_EQ(call32(PWRITE64, small, (long)low, 10, 0x7ffffffd, 0), 2);
	CHECK_EQ(call32(PWRITE64, small, (long)low, 10, 0x7fffffff, 0), -EFBIG);
	CHECK_EQ(call32(PWRITE64, large, (long)low, 10, 0x7fffffff, 0), 10);
	/* What is open stays in use when the file becomes larger. */
	CHECK_EQ(call32(PWRITE64, small, (long)low, 10, 0, 0), 10);
	OK(ioctl(fd, FS_IOC_GETVERSION, &version));
	CHECK_EQ(call32(IOCTL, small, GETVERSION, (long)low, 0, 0), 0);
	CHECK_EQ(*(int *)low, (int)version);
}
#else
static void small_numbers(void)
{
}
#endif

static const struct test tests[] = {
	{ "read and write meet at every offset, and descriptors share positions", read_write },
	{ "a hole reads as zeros and takes no space", holes },
	{ "offsets go up to the limit of XFS", big_offsets },
	{ "a bad buffer is EFAULT and changes nothing else", bad_buffers },
	{ "what is written from memory that is not there yet arrives", absent_source },
	{ "a write of 24 MiB is read back after it left the cache", large_write },
	{ "fallocate reserves, punches, zeroes, collapses and inserts", fallocate_modes },
	{ "SEEK_DATA and SEEK_HOLE find data, in memory too", seek_hole_data },
	{ "copy_file_range copies within the rules", copy_ranges },
	{ "a large copy, a large hole and a large reservation are one operation", large_ranges },
	{ "a clone shares blocks until one side writes", clones },
	{ "dedupe shares only what is the same", dedupe },
	{ "fiemap lists extents and says which are shared", extents },
	{ "O_DIRECT and cached I/O see one another", direct },
	{ "O_DIRECT refuses what is not aligned", direct_alignment },
	{ "O_DIRECT of more than four MiB is refused whole", direct_large_alignment },
	{ "a write ends at the limit of the size of files, without a signal", size_limit },
	{ "O_DIRECT takes memory wherever it begins, by the disk's alignment", direct_any_memory },
	{ "O_DIRECT of eleven MiB, in one piece and in three, arrives whole", direct_large },
	{ "thirty-two asynchronous requests are served", linux_aio },
	{ "io_uring with O_DIRECT reads what it wrote", uring_direct },
	{ "io_uring through the cache reads what it wrote", uring_buffered },
	{ "per-call flags append, sync and refuse", per_call_flags },
	{ "sync calls of all kinds succeed", durability_calls },
	{ "splice moves a file through a pipe", splices },
	{ "sendfile to a file and to a socket keeps every byte", sendfiles },
	{ "what truncate cut off reads as zeros afterwards", truncate_sizes },
	{ "a nameless file keeps its content when it is linked", nameless_content },
	{ "a program of 32 bits is kept within its numbers", small_numbers },
	{ "a full volume says ENOSPC, keeps what it took, and recovers", full_volume },
};

TAP_MAIN(tests)
