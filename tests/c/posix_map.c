// SPDX-License-Identifier: Apache-2.0
/*
 * Mapped files: a map, read(2), write(2), O_DIRECT and every change of the file agree, on one machine, as POSIX
 * mmap() and the file system below have it. Execution of files as well.
 */
#include "tap.h"
#include <linux/falloc.h>
#include <linux/fiemap.h>
#include <linux/aio_abi.h>
#include <linux/capability.h>
#include <linux/loop.h>
#include <pthread.h>
#include <setjmp.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>

#define PAGE 4096

static sigjmp_buf bus;

static void on_bus(int number)
{
	siglongjmp(bus, number);
}

/* Whether touching a byte raises SIGBUS. */
static bool raises_bus(volatile char *p, bool store)
{
	struct sigaction action = { .sa_handler = on_bus }, old;
	bool raised = true;

	sigaction(SIGBUS, &action, &old);
	if (!sigsetjmp(bus, 1)) {
		if (store)
			*p = 1;
		else
			(void)*p;
		raised = false;
	}
	sigaction(SIGBUS, &old, NULL);
	return raised;
}

static char *map(int fd, size_t len, int flags)
{
	return OK(mmap(NULL, len, PROT_READ | PROT_WRITE, flags, fd, 0));
}

static void *aligned(size_t len)
{
	void *p;

	if (posix_memalign(&p, PAGE, len))
		tap_fail(__LINE__, ENOMEM, "posix_memalign");
	return p;
}

#define MAP_HOLDS(p, len, seed, offset) CHECK_EQ(tap_differs(p, len, seed, offset), -1)

static void map_reads_file(void)
{
	int fd = MAKE_FILE("f", 20 * PAGE + 100, 1);
	char *m = map(fd, 21 * PAGE, MAP_SHARED), *p = map(fd, 21 * PAGE, MAP_PRIVATE);

	MAP_HOLDS(m, 20 * PAGE + 100, 1, 0);
	MAP_HOLDS(p, 20 * PAGE + 100, 1, 0);
	/* The rest of the last page reads as zeros. */
	CHECK(tap_zero(m + 20 * PAGE + 100, PAGE - 100));
}

static void store_is_read(void)
{
	int fd = MAKE_FILE("f", 20 * PAGE, 1), other = OK(open("f", O_RDONLY));
	char *m = map(fd, 20 * PAGE, MAP_SHARED);

	for (int i = 0; i < 20; i += 3) {
		tap_pattern(m + i * PAGE + 1000, 100, 2, i);
		HOLDS(other, i * PAGE + 1000, 100, 2, i);
		HOLDS(other, i * PAGE, 1000, 1, i * PAGE);
		HOLDS(other, i * PAGE + 1100, PAGE - 1100, 1, i * PAGE + 1100);
	}
	tap_pattern(m, 20 * PAGE, 3, 0);
	HOLDS(other, 0, 20 * PAGE, 3, 0);
}

static void write_is_mapped(void)
{
	int fd = MAKE_FILE("f", 20 * PAGE, 1);
	char *m = map(fd, 20 * PAGE, MAP_SHARED), buf[300];

	MAP_HOLDS(m, 20 * PAGE, 1, 0);
	for (int i = 0; i < 19; i++) {
		tap_pattern(buf, sizeof(buf), 4, i);
		CHECK_EQ(pwrite(fd, buf, sizeof(buf), i * PAGE + PAGE - 150), sizeof(buf));
		MAP_HOLDS(m + i * PAGE + PAGE - 150, sizeof(buf), 4, i);
		/* And again through the map, and back. */
		m[i * PAGE] = i;
		CHECK_EQ(pread(fd, buf, 1, i * PAGE), 1);
		CHECK_EQ(buf[0], (char)i);
	}
}

static void private_map(void)
{
	int fd = MAKE_FILE("f", 4 * PAGE, 1);
	char *p = map(fd, 4 * PAGE, MAP_PRIVATE);

	tap_pattern(p, PAGE, 2, 0);
	HOLDS(fd, 0, 4 * PAGE, 1, 0);
	MAP_HOLDS(p, PAGE, 2, 0);
	MAP_HOLDS(p + PAGE, 3 * PAGE, 1, PAGE);
	char buf[PAGE];

	tap_pattern(buf, PAGE, 5, 0);
	CHECK_EQ(pwrite(fd, buf, PAGE, 0), PAGE);
	MAP_HOLDS(p, PAGE, 2, 0);	/* a page that was written privately stays */
}

static void end_of_file(void)
{
	int fd = MAKE_FILE("f", PAGE + 10, 1);
	char *m = map(fd, 4 * PAGE, MAP_SHARED);

	m[PAGE + 10] = 'x';	/* past the end, within the last page: never part of the file */
	CHECK_EQ(SIZE_OF(fd), PAGE + 10);
	OK(msync(m, 2 * PAGE, MS_SYNC));
	OK(ftruncate(fd, 2 * PAGE));
	HOLDS_ZEROS(fd, PAGE + 10, PAGE - 10);
	CHECK(raises_bus(m + 2 * PAGE, false));
	CHECK(raises_bus(m + 3 * PAGE, true));
	CHECK_EQ(SIZE_OF(fd), 2 * PAGE);
	/* The map follows the file when it grows. */
	OK(ftruncate(fd, 3 * PAGE));
	CHECK(!raises_bus(m + 2 * PAGE, false));
	CHECK(raises_bus(m + 3 * PAGE, false));
	CHECK_EQ(pwrite(fd, "y", 1, 3 * PAGE + 5), 1);
	CHECK_EQ(m[3 * PAGE + 5], 'y');
	CHECK_EQ(m[3 * PAGE], 0);
}

static void truncate_under_map(void)
{
	int fd = MAKE_FILE("f", 8 * PAGE, 1);
	char *m = map(fd, 8 * PAGE, MAP_SHARED);

	MAP_HOLDS(m, 8 * PAGE, 1, 0);
	m[6 * PAGE] = 'd';	/* dirty, and cut off before it is written */
	OK(ftruncate(fd, 2 * PAGE + 100));
	CHECK(raises_bus(m + 3 * PAGE, false));
	CHECK(raises_bus(m + 6 * PAGE, true));
	MAP_HOLDS(m, 2 * PAGE + 100, 1, 0);
	CHECK(tap_zero(m + 2 * PAGE + 100, PAGE - 100));
	OK(ftruncate(fd, 8 * PAGE));
	CHECK(tap_zero(m + 2 * PAGE + 100, 6 * PAGE - 100));
	HOLDS_ZEROS(fd, 2 * PAGE + 100, 6 * PAGE - 100);
	/* O_TRUNC does it too. */
	close(OK(open("f", O_RDWR | O_TRUNC)));
	CHECK(raises_bus(m, false));
}

static void read_into_own_map(void)
{
	int fd = MAKE_FILE("f", 16 * PAGE, 1);
	char *m = map(fd, 16 * PAGE, MAP_SHARED);

	/* Pages that are not in memory yet are the destination of a read of the same file. */
	CHECK_EQ(pread(fd, m + 8 * PAGE, 4 * PAGE, 0), 4 * PAGE);
	MAP_HOLDS(m + 8 * PAGE, 4 * PAGE, 1, 0);
	HOLDS(fd, 8 * PAGE, 4 * PAGE, 1, 0);
	HOLDS(fd, 12 * PAGE, 4 * PAGE, 1, 12 * PAGE);
	/* Within one page. */
	CHECK_EQ(pread(fd, m + 100, 200, 1000), 200);
	HOLDS(fd, 100, 200, 1, 1000);
	CHECK_EQ(pread(fd, m + 5 * PAGE, PAGE, 5 * PAGE), PAGE);
	HOLDS(fd, 5 * PAGE, PAGE, 1, 5 * PAGE);
}

static void write_from_own_map(void)
{
	int fd = MAKE_FILE("f", 16 * PAGE, 1);
	char *m = map(fd, 16 * PAGE, MAP_SHARED);

	CHECK_EQ(pwrite(fd, m, 4 * PAGE, 8 * PAGE), 4 * PAGE);
	HOLDS(fd, 8 * PAGE, 4 * PAGE, 1, 0);
	MAP_HOLDS(m + 8 * PAGE, 4 * PAGE, 1, 0);
	HOLDS(fd, 12 * PAGE, 4 * PAGE, 1, 12 * PAGE);
	/* The source and the destination are one page. */
	CHECK_EQ(pwrite(fd, m + 5 * PAGE, PAGE, 5 * PAGE), PAGE);
	HOLDS(fd, 5 * PAGE, PAGE, 1, 5 * PAGE);
	CHECK_EQ(pwrite(fd, m + 6 * PAGE, 100, 6 * PAGE + 200), 100);
	HOLDS(fd, 6 * PAGE + 200, 100, 1, 6 * PAGE);
	/* And at the end of the file, which grows. */
	CHECK_EQ(pwrite(fd, m + 12 * PAGE, 4 * PAGE, 16 * PAGE), 4 * PAGE);
	HOLDS(fd, 16 * PAGE, 4 * PAGE, 1, 12 * PAGE);
}

static void direct_and_own_map(void)
{
	int plain = MAKE_FILE("f", 32 * PAGE, 1), fd = OK(open("f", O_RDWR | O_DIRECT));
	char *m = map(plain, 32 * PAGE, MAP_SHARED);

	CHECK_EQ(pread(fd, m + 8 * PAGE, 4 * PAGE, 0), 4 * PAGE);
	MAP_HOLDS(m + 8 * PAGE, 4 * PAGE, 1, 0);
	HOLDS(plain, 8 * PAGE, 4 * PAGE, 1, 0);
	CHECK_EQ(pwrite(fd, m, 4 * PAGE, 20 * PAGE), 4 * PAGE);
	MAP_HOLDS(m + 20 * PAGE, 4 * PAGE, 1, 0);
	HOLDS(plain, 20 * PAGE, 4 * PAGE, 1, 0);
	HOLDS(plain, 24 * PAGE, 8 * PAGE, 1, 24 * PAGE);
	/* Another file's map. */
	int other = OK(open("g", O_RDWR | O_CREAT | O_DIRECT, 0644));

	CHECK_EQ(pwrite(other, m, 32 * PAGE, 0), 32 * PAGE);
	CHECK_EQ(pread(other, m + 4 * PAGE, PAGE, 0), PAGE);
	MAP_HOLDS(m + 4 * PAGE, PAGE, 1, 0);
}

/* As direct_and_own_map(), by requests that may still be on their way when io_submit() returns. */
static void aio_and_maps(void)
{
	enum { DEPTH = 16 };
	int plain = MAKE_FILE("f", DEPTH * PAGE, 1), fd = OK(open("f", O_RDWR | O_DIRECT)), other = MAKE_FILE("g", DEPTH * PAGE, 2);
	char *m = map(other, DEPTH * PAGE, MAP_SHARED), *buf = aligned(DEPTH * PAGE);
	struct iocb cbs[2 * DEPTH] = { 0 }, *list[2 * DEPTH];
	struct io_event events[2 * DEPTH];
	aio_context_t context = 0;
	int got = 0;

	OK(syscall(SYS_io_setup, 2 * DEPTH, &context));
	for (int i = 0; i < 2 * DEPTH; i++) {
		/* Each page of the file twice: into the map of the other file, and into memory. */
		cbs[i] = (struct iocb){ .aio_lio_opcode = IOCB_CMD_PREAD, .aio_fildes = fd, .aio_nbytes = PAGE,
					.aio_offset = i / 2 * PAGE, .aio_buf = (uintptr_t)((i % 2 ? buf : m) + i / 2 * PAGE) };
		list[i] = &cbs[i];
	}
	CHECK_EQ(syscall(SYS_io_submit, context, 2 * DEPTH, list), 2 * DEPTH);
	while (got < 2 * DEPTH)
		got += OK(syscall(SYS_io_getevents, context, 1, 2 * DEPTH - got, events + got, NULL));
	for (int i = 0; i < 2 * DEPTH; i++)
		CHECK_EQ(events[i].res, PAGE);
	MAP_HOLDS(m, DEPTH * PAGE, 1, 0);
	MAP_HOLDS(buf, DEPTH * PAGE, 1, 0);
	HOLDS(other, 0, DEPTH * PAGE, 1, 0);
	/* And from the map. */
	tap_pattern(m, DEPTH * PAGE, 3, 0);
	for (int i = 0; i < DEPTH; i++)
		cbs[2 * i].aio_lio_opcode = IOCB_CMD_PWRITE, list[i] = &cbs[2 * i];
	CHECK_EQ(syscall(SYS_io_submit, context, DEPTH, list), DEPTH);
	for (got = 0; got < DEPTH; )
		got += OK(syscall(SYS_io_getevents, context, 1, DEPTH - got, events + got, NULL));
	HOLDS(plain, 0, DEPTH * PAGE, 3, 0);
	OK(syscall(SYS_io_destroy, context));
}

/* The answer goes to a map that nobody has touched, of another file and of the same. */
static void extents_into_map(void)
{
	int fd = OK(open("f", O_CREAT | O_RDWR, 0644)), other = OK(open("g", O_CREAT | O_RDWR, 0644));

	/* Nothing that is written: XFS would reserve what lies between. */
	for (int i = 0; i < 100; i++)
		OK(fallocate(fd, 0, 2 * i * PAGE, PAGE));
	OK(ftruncate(other, 8 * PAGE));
	for (int round = 0; round < 2; round++) {
		struct fiemap *told = (void *)map(round ? fd : other, 8 * PAGE, MAP_SHARED);
		struct fiemap_extent *e = told->fm_extents;

		*told = (struct fiemap){ .fm_length = FIEMAP_MAX_OFFSET, .fm_flags = FIEMAP_FLAG_SYNC, .fm_extent_count = 200 };
		OK(ioctl(fd, FS_IOC_FIEMAP, told));
		/* The answer fills a hole of the file that it is about. */
		CHECK(round ? told->fm_mapped_extents >= 99 : told->fm_mapped_extents == 100);
		for (int i = 0; i < 100 && !round; i++)
			CHECK_EQ(e[i].fe_logical, 2 * i * PAGE);
		CHECK(e[told->fm_mapped_extents - 1].fe_flags & FIEMAP_EXTENT_LAST);
	}
}

static void direct_sees_stores(void)
{
	int plain = MAKE_FILE("f", 16 * PAGE, 1), fd = OK(open("f", O_RDWR | O_DIRECT));
	char *m = map(plain, 16 * PAGE, MAP_SHARED), *buf = aligned(16 * PAGE);

	tap_pattern(m + 2 * PAGE, 3 * PAGE, 2, 0);
	CHECK_EQ(pread(fd, buf, 16 * PAGE, 0), 16 * PAGE);
	MAP_HOLDS(buf, 2 * PAGE, 1, 0);
	MAP_HOLDS(buf + 2 * PAGE, 3 * PAGE, 2, 0);
	tap_pattern(buf, 16 * PAGE, 3, 0);
	CHECK_EQ(pwrite(fd, buf, 8 * PAGE, 0), 8 * PAGE);
	MAP_HOLDS(m, 8 * PAGE, 3, 0);
	MAP_HOLDS(m + 8 * PAGE, 8 * PAGE, 1, 8 * PAGE);
}

static void two_processes(void)
{
	int fd = MAKE_FILE("f", 2 * PAGE, 1);
	volatile unsigned int *m = (void *)map(fd, 2 * PAGE, MAP_SHARED), *theirs;
	pid_t pid;

	m[0] = m[1] = 0;
	pid = OK(fork());
	if (!pid) {
		fd = OK(open("f", O_RDWR));
		theirs = (void *)map(fd, 2 * PAGE, MAP_SHARED);
		for (unsigned int i = 1; i <= 200; i++) {
			while (__atomic_load_n(&theirs[0], __ATOMIC_ACQUIRE) != i)
				sched_yield();
			__atomic_store_n(&theirs[1], i, __ATOMIC_RELEASE);
		}
		_exit(0);
	}
	for (unsigned int i = 1; i <= 200; i++) {
		__atomic_store_n(&m[0], i, __ATOMIC_RELEASE);
		while (__atomic_load_n(&m[1], __ATOMIC_ACQUIRE) != i)
			sched_yield();
	}
	REAP(pid);
}

static void forked(void)
{
	int fd = MAKE_FILE("f", 2 * PAGE, 1);
	char *shared = map(fd, 2 * PAGE, MAP_SHARED), *private = map(fd, 2 * PAGE, MAP_PRIVATE);

	private[0] = 'p';
	IN_CHILD(
		CHECK_EQ(private[0], 'p');
		private[0] = 'c';
		private[PAGE] = 'c';
		shared[1] = 's';
		MAP_HOLDS(shared + PAGE, PAGE, 1, PAGE);
	);
	CHECK_EQ(private[0], 'p');
	MAP_HOLDS(private + PAGE, PAGE, 1, PAGE);
	CHECK_EQ(shared[1], 's');
}

static void protections(void)
{
	int rd, wr;

	close(MAKE_FILE("f", PAGE, 1));
	rd = OK(open("f", O_RDONLY));
	wr = OK(open("f", O_WRONLY));
	FAILS((long)mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, rd, 0), EACCES);
	FAILS((long)mmap(NULL, PAGE, PROT_READ, MAP_SHARED, wr, 0), EACCES);
	char *p = OK(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, rd, 0));

	p[0] = 'x';
	p = OK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, rd, 0));
	FAILS(mprotect(p, PAGE, PROT_READ | PROT_WRITE), EACCES);
	FAILS((long)mmap(NULL, PAGE, PROT_READ, MAP_SHARED, rd, 100), EINVAL);
	FAILS((long)mmap(NULL, PAGE, PROT_READ, MAP_SHARED, OK(open(".", O_RDONLY)), 0), ENODEV);
}

static void outlives_file(void)
{
	int fd = MAKE_FILE("f", 4 * PAGE, 1);
	char *m = map(fd, 4 * PAGE, MAP_SHARED);

	close(fd);
	OK(unlink("f"));
	MAP_HOLDS(m, 4 * PAGE, 1, 0);
	tap_pattern(m, 4 * PAGE, 2, 0);
	OK(msync(m, 4 * PAGE, MS_SYNC));
	OK(madvise(m, 4 * PAGE, MADV_DONTNEED));
	MAP_HOLDS(m, 4 * PAGE, 2, 0);
	close(MAKE_FILE("f", PAGE, 9));
	MAP_HOLDS(m, 4 * PAGE, 2, 0);
}

static void msync_makes_durable(void)
{
	struct stat before, after;
	int fd = MAKE_FILE("f", 8 * PAGE, 1);
	char *m = map(fd, 8 * PAGE, MAP_SHARED);
	struct timespec start, now;

	OK(fsync(fd));
	OK(fstat(fd, &before));
	clock_gettime(CLOCK_REALTIME_COARSE, &start);
	do
		clock_gettime(CLOCK_REALTIME_COARSE, &now);
	while (now.tv_sec == start.tv_sec && now.tv_nsec == start.tv_nsec);
	m[PAGE] = 'm';
	OK(msync(m, 8 * PAGE, MS_SYNC));
	OK(fstat(fd, &after));
	/* POSIX mmap(): mtime and ctime move between the store and msync */
	CHECK(after.st_mtim.tv_sec > before.st_mtim.tv_sec || after.st_mtim.tv_nsec > before.st_mtim.tv_nsec);
	OK(msync(m, 8 * PAGE, MS_ASYNC));
	OK(msync(m, 8 * PAGE, MS_SYNC | MS_INVALIDATE));
	m[2 * PAGE] = 'n';
	OK(fdatasync(fd));
	OK(sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER));
	char c;

	CHECK_EQ(pread(fd, &c, 1, 2 * PAGE), 1);
	CHECK_EQ(c, 'n');
}

static void advice(void)
{
	int fd = MAKE_FILE("f", 16 * PAGE, 1);
	char *m = map(fd, 16 * PAGE, MAP_SHARED), *moved;

	m[0] = 'a';
	OK(madvise(m, 16 * PAGE, MADV_WILLNEED));
	OK(madvise(m, 16 * PAGE, MADV_DONTNEED));
	CHECK_EQ(m[0], 'a');
	OK(mlock(m, 4 * PAGE));
	OK(munlock(m, 4 * PAGE));
	OK(madvise(m + 4 * PAGE, 2 * PAGE, MADV_REMOVE));
	CHECK(tap_zero(m + 4 * PAGE, 2 * PAGE));
	HOLDS_ZEROS(fd, 4 * PAGE, 2 * PAGE);
	HOLDS(fd, 6 * PAGE, 10 * PAGE, 1, 6 * PAGE);
	moved = OK(mremap(m, 16 * PAGE, 8 * PAGE, 0));
	moved = OK(mremap(moved, 8 * PAGE, 16 * PAGE, MREMAP_MAYMOVE));
	MAP_HOLDS(moved + 6 * PAGE, 10 * PAGE, 1, 6 * PAGE);
	moved[0] = 'b';
	char c;

	CHECK_EQ(pread(fd, &c, 1, 0), 1);
	CHECK_EQ(c, 'b');
	m = OK(mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0));
	MAP_HOLDS(m + 6 * PAGE, 10 * PAGE, 1, 6 * PAGE);
}

static void reflinked(void)
{
	enum { LEN = 16 * PAGE };
	int a = MAKE_FILE("a", LEN, 1), b = OK(open("b", O_CREAT | O_RDWR, 0644));
	char *ma = map(a, LEN, MAP_SHARED), *mb;

	/* A clone has what was stored before it, and nothing of later. */
	tap_pattern(ma, PAGE, 2, 0);
	OK(ioctl(b, FICLONE, a));
	mb = map(b, LEN, MAP_SHARED);
	MAP_HOLDS(mb, PAGE, 2, 0);
	MAP_HOLDS(mb + PAGE, LEN - PAGE, 1, PAGE);
	tap_pattern(ma + 2 * PAGE, PAGE, 3, 0);
	tap_pattern(mb + 4 * PAGE, PAGE, 4, 0);
	OK(msync(ma, LEN, MS_SYNC));
	OK(msync(mb, LEN, MS_SYNC));
	HOLDS(a, 2 * PAGE, PAGE, 3, 0);
	HOLDS(a, 4 * PAGE, PAGE, 1, 4 * PAGE);
	HOLDS(b, 2 * PAGE, PAGE, 1, 2 * PAGE);
	HOLDS(b, 4 * PAGE, PAGE, 4, 0);
	/* A file that is mapped becomes a clone of another. */
	OK(ioctl(b, FICLONE, a));
	MAP_HOLDS(mb + 2 * PAGE, PAGE, 3, 0);
	MAP_HOLDS(mb + 4 * PAGE, PAGE, 1, 4 * PAGE);
	mb[0] = 'z';
	MAP_HOLDS(ma, PAGE, 2, 0);
}

static void holes_under_map(void)
{
	int fd = MAKE_FILE("f", 32 * PAGE, 1);
	char *m = map(fd, 32 * PAGE, MAP_SHARED);

	MAP_HOLDS(m, 32 * PAGE, 1, 0);
	tap_pattern(m + 4 * PAGE, PAGE, 2, 0);
	OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4 * PAGE + 10, PAGE));
	MAP_HOLDS(m + 4 * PAGE, 10, 2, 0);
	CHECK(tap_zero(m + 4 * PAGE + 10, PAGE));
	MAP_HOLDS(m + 5 * PAGE + 10, PAGE, 1, 5 * PAGE + 10);
	OK(fallocate(fd, FALLOC_FL_ZERO_RANGE, 8 * PAGE, PAGE));
	CHECK(tap_zero(m + 8 * PAGE, PAGE));
	tap_pattern(m + 20 * PAGE, PAGE, 5, 0);
	OK(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 10 * PAGE, 2 * PAGE));
	MAP_HOLDS(m + 10 * PAGE, 8 * PAGE, 1, 12 * PAGE);
	MAP_HOLDS(m + 18 * PAGE, PAGE, 5, 0);
	CHECK(raises_bus(m + 30 * PAGE, false));
	OK(fallocate(fd, FALLOC_FL_INSERT_RANGE, 10 * PAGE, 2 * PAGE));
	CHECK(tap_zero(m + 10 * PAGE, 2 * PAGE));
	MAP_HOLDS(m + 12 * PAGE, 8 * PAGE, 1, 12 * PAGE);
	MAP_HOLDS(m + 20 * PAGE, PAGE, 5, 0);
	HOLDS(fd, 21 * PAGE, 11 * PAGE, 1, 21 * PAGE);
}

static void sparse_stores(void)
{
	int fd = OK(open("f", O_CREAT | O_RDWR, 0644));
	char *m;

	OK(ftruncate(fd, 1024 * PAGE));
	m = map(fd, 1024 * PAGE, MAP_SHARED);
	CHECK(tap_zero(m + 500 * PAGE, PAGE));
	for (int i = 0; i < 1024; i += 100)
		tap_pattern(m + i * PAGE, PAGE, 7, i);
	OK(fsync(fd));
	for (int i = 0; i < 1024; i += 100)
		HOLDS(fd, i * PAGE, PAGE, 7, i);
	HOLDS_ZEROS(fd, PAGE, 99 * PAGE);
	OK(munmap(m, 1024 * PAGE));
	OK(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) ? -1 : 0);
	for (int i = 0; i < 1024; i += 100)
		HOLDS(fd, i * PAGE, PAGE, 7, i);
}

static void transfers_see_stores(void)
{
	enum { LEN = 16 * PAGE };
	int in = MAKE_FILE("in", LEN, 1), out = OK(open("out", O_CREAT | O_RDWR, 0644)), ends[2];
	char *m = map(in, LEN, MAP_SHARED), *mo, buf[PAGE];
	off_t from = 0, to = 0;

	tap_pattern(m + PAGE, PAGE, 2, 0);
	CHECK_EQ(copy_file_range(in, &from, out, &to, LEN, 0), LEN);
	HOLDS(out, PAGE, PAGE, 2, 0);
	mo = map(out, LEN, MAP_SHARED);
	MAP_HOLDS(mo + 2 * PAGE, PAGE, 1, 2 * PAGE);
	tap_pattern(m + 2 * PAGE, PAGE, 3, 0);
	from = 2 * PAGE;
	to = 2 * PAGE;
	CHECK_EQ(copy_file_range(in, &from, out, &to, PAGE, 0), PAGE);
	MAP_HOLDS(mo + 2 * PAGE, PAGE, 3, 0);
	tap_pattern(m + 3 * PAGE, PAGE, 4, 0);
	from = 3 * PAGE;
	OK(lseek(out, 3 * PAGE, SEEK_SET));
	CHECK_EQ(sendfile(out, in, &from, PAGE), PAGE);
	MAP_HOLDS(mo + 3 * PAGE, PAGE, 4, 0);
	tap_pattern(m + 4 * PAGE, PAGE, 5, 0);
	OK(pipe(ends));
	from = 4 * PAGE;
	CHECK_EQ(splice(in, &from, ends[1], NULL, PAGE, 0), PAGE);
	CHECK_EQ(read(ends[0], buf, PAGE), PAGE);
	MAP_HOLDS(buf, PAGE, 5, 0);
	to = 5 * PAGE;
	tap_pattern(buf, PAGE, 6, 0);
	CHECK_EQ(write(ends[1], buf, PAGE), PAGE);
	CHECK_EQ(splice(ends[0], NULL, in, &to, PAGE, 0), PAGE);
	MAP_HOLDS(m + 5 * PAGE, PAGE, 6, 0);
}

static void appended(void)
{
	int fd = OK(open("f", O_CREAT | O_RDWR | O_APPEND, 0644));
	char *m = map(fd, 8 * PAGE, MAP_SHARED), buf[1000];

	for (int i = 0; i < 30; i++) {
		tap_pattern(buf, sizeof(buf), 3, i * sizeof(buf));
		CHECK_EQ(write(fd, buf, sizeof(buf)), sizeof(buf));
		MAP_HOLDS(m, (i + 1) * sizeof(buf), 3, 0);
		m[i * sizeof(buf)] ^= 0;	/* a dirty page at the end, each time */
	}
	HOLDS(fd, 0, 30000, 3, 0);
}

struct worker {
	pthread_t thread;
	volatile char *m;
	int number;
};

static void *store_bytes(void *arg)
{
	struct worker *w = arg;

	for (int round = 0; round < 20; round++)
		for (int i = w->number; i < 16 * PAGE; i += 64)
			w->m[i] = w->m[i] + 1;
	return NULL;
}

static void threads_in_one_page(void)
{
	enum { THREADS = 4 };
	struct worker workers[THREADS];
	int fd = OK(open("f", O_CREAT | O_RDWR, 0644));
	char buf[16 * PAGE];
	char *m;

	OK(ftruncate(fd, 16 * PAGE));
	m = map(fd, 16 * PAGE, MAP_SHARED);
	for (int i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){ .m = m, .number = i };
		CHECK(!pthread_create(&workers[i].thread, NULL, store_bytes, &workers[i]));
	}
	/* Written back meanwhile, again and again: no store is lost. */
	for (int i = 0; i < 30; i++) {
		OK(msync(m, 16 * PAGE, MS_SYNC));
		CHECK_EQ(pread(fd, buf, sizeof(buf), 0), sizeof(buf));
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(workers[i].thread, NULL);
	CHECK_EQ(pread(fd, buf, sizeof(buf), 0), sizeof(buf));
	for (int i = 0; i < 16 * PAGE; i++)
		CHECK_EQ(buf[i], i % 64 < THREADS ? 20 : 0);
}

static void other_names(void)
{
	int fd = MAKE_FILE("a", 4 * PAGE, 1), linked;
	char *m = map(fd, 4 * PAGE, MAP_SHARED);

	OK(link("a", "b"));
	OK(rename("a", "c"));
	linked = OK(open("b", O_RDWR));
	m[0] = 'm';
	char c;

	CHECK_EQ(pread(linked, &c, 1, 0), 1);
	CHECK_EQ(c, 'm');
	CHECK_EQ(pwrite(linked, "w", 1, PAGE), 1);
	CHECK_EQ(m[PAGE], 'w');
	OK(fchmod(fd, 0400));
	m[2 * PAGE] = 'x';
	close(MAKE_FILE("d", PAGE, 8));
	OK(rename("d", "c"));
	OK(unlink("b"));
	CHECK_EQ(m[2 * PAGE], 'x');
	m[3 * PAGE] = 'y';
	OK(msync(m, 4 * PAGE, MS_SYNC));
}

static void full_volume(void)
{
	struct statvfs fs;
	int fill = OK(open("fill", O_CREAT | O_RDWR, 0644)), fd, rounds = 0;
	long long filled = 0;
	bool raised = false;
	char *m;

	fd = OK(open("f", O_CREAT | O_RDWR, 0644));
	OK(ftruncate(fd, 256 << 20));
	m = map(fd, 256 << 20, MAP_SHARED);
	m[0] = 'a';
	OK(msync(m, PAGE, MS_SYNC));
	sync();
	for (;;) {
		OK(statvfs(".", &fs));
		if (fs.f_bavail * fs.f_frsize < 8 << 20 || ++rounds > 30)
			break;
		long long step = fs.f_bavail * fs.f_frsize - (4 << 20);

		if (fallocate(fill, 0, filled, step)) {
			CHECK_EQ(errno, ENOSPC);
			break;
		}
		filled += step;
	}
	/* A store that can have no space is a signal at once, and never a page that is lost later. */
	for (long at = PAGE; at < 256 << 20 && !raised; at += 16 * PAGE)
		raised = raises_bus(m + at, true);
	CHECK(raised);
	CHECK(!raises_bus(m, true));
	OK(fsync(fd));
	OK(unlink("fill"));
	close(fill);
	CHECK_EQ(m[0], 1);
}

static void executes(void)
{
	int status, fd, out;
	char buf[1 << 16];
	ssize_t n;
	pid_t pid;

	fd = OK(open("/bin/true", O_RDONLY));
	out = OK(open("program", O_CREAT | O_RDWR, 0755));
	while ((n = OK(read(fd, buf, sizeof(buf)))))
		CHECK_EQ(write(out, buf, n), n);
	FAILS(execl("./program", "program", NULL), ETXTBSY);
	close(out);
	pid = OK(fork());
	if (!pid) {
		execl("./program", "program", NULL);
		_exit(9);
	}
	OK(waitpid(pid, &status, 0));
	CHECK_EQ(status, 0);
	out = OK(open("script", O_CREAT | O_RDWR, 0755));
	CHECK_EQ(write(out, "#!/bin/sh\nexit 7\n", 17), 17);
	close(out);
	pid = OK(fork());
	if (!pid) {
		execl("./script", "script", NULL);
		_exit(9);
	}
	OK(waitpid(pid, &status, 0));
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	OK(chmod("script", 0644));
	FAILS(execl("./script", "script", NULL), EACCES);
}

static void running_is_busy(void)
{
	int fd, out, ends[2], status;
	char buf[1 << 16];
	ssize_t n;
	pid_t pid;

	fd = OK(open("/bin/cat", O_RDONLY));
	out = OK(open("cat", O_CREAT | O_RDWR, 0755));
	while ((n = OK(read(fd, buf, sizeof(buf)))))
		CHECK_EQ(write(out, buf, n), n);
	close(out);
	OK(pipe(ends));
	int echo[2];

	OK(pipe(echo));
	pid = OK(fork());
	if (!pid) {
		dup2(ends[0], 0);
		dup2(echo[1], 1);
		close(ends[1]);
		execl("./cat", "cat", NULL);
		_exit(9);
	}
	close(ends[0]);
	/* It answers, so it runs. */
	CHECK_EQ(write(ends[1], "x", 1), 1);
	CHECK_EQ(read(echo[0], buf, 1), 1);
	FAILS(open("cat", O_RDWR), ETXTBSY);
	FAILS(truncate("cat", 0), ETXTBSY);
	OK(rename("cat", "dog"));
	OK(unlink("dog"));
	CHECK_EQ(write(ends[1], "y", 1), 1);
	CHECK_EQ(read(echo[0], buf, 1), 1);
	close(ends[1]);
	OK(waitpid(pid, &status, 0));
	CHECK_EQ(status, 0);
}

/* Limits and rights of whoever happens to read the file, or to store into it, are nothing to what was stored. */
static void limits_of_others(void)
{
	enum { LEN = 4 << 20, AT = 2 << 20 };
	int fd = MAKE_FILE("f", LEN, 1);
	char *m = map(fd, LEN, MAP_SHARED), buf[PAGE];
	struct rlimit little = { 512, 512 };

	OK(chmod(".", 0755));
	OK(fchmod(fd, 0666));
	tap_pattern(m + AT, PAGE, 2, AT);
	IN_CHILD(
		/* SIGXFSZ would end it */
		OK(setrlimit(RLIMIT_FSIZE, &little));
		BECOME(1001);
		CHECK_EQ(pread(OK(open("f", O_RDONLY)), buf, PAGE, AT), PAGE);
		CHECK_EQ(tap_differs(buf, PAGE, 2, AT), -1);
	);
	HOLDS(fd, AT, PAGE, 2, AT);
	IN_CHILD(
		char *n;

		OK(setrlimit(RLIMIT_FSIZE, &little));
		BECOME(1001);
		n = map(OK(open("f", O_RDWR)), LEN, MAP_SHARED);
		/* no write(2): within the file, no limit on its size is met */
		tap_pattern(n + AT + PAGE, PAGE, 3, 0);
		OK(msync(n, LEN, MS_SYNC));
	);
	HOLDS(fd, AT + PAGE, PAGE, 3, 0);
	OK(munmap(m, LEN));
	OK(close(fd));
	fd = OK(open("f", O_RDONLY));
	OK(fsync(fd));
	HOLDS(fd, AT, PAGE, 2, AT);
	HOLDS(fd, AT + PAGE, PAGE, 3, 0);
	HOLDS(fd, AT + 2 * PAGE, PAGE, 1, AT + 2 * PAGE);
}

static void grant_capability(const char *name)
{
	struct vfs_cap_data data = { .magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE,
				     .data[0].permitted = 1 << CAP_NET_RAW };

	OK(setxattr(name, "security.capability", &data, sizeof(data), 0));
}

static bool has_capability(const char *name)
{
	struct vfs_cap_data data;

	return getxattr(name, "security.capability", &data, sizeof(data)) == sizeof(data);
}

/* The store is what moves times; nothing that was set since is touched when its page is written back. */
static void written_back_later(void)
{
	const struct timespec then[2] = { { .tv_sec = 978307200 }, { .tv_sec = 978307200, .tv_nsec = 123456789 } };
	int fd = MAKE_FILE("f", 4 * PAGE, 1), flags = FS_IMMUTABLE_FL;
	char *m = map(fd, 4 * PAGE, MAP_SHARED);
	struct stat st, now;

	OK(utimensat(AT_FDCWD, "f", then, 0));
	tap_pattern(m + PAGE, PAGE, 2, 0);
	OK(stat("f", &st));
	CHECK(st.st_mtim.tv_sec > then[1].tv_sec);
	OK(munmap(m, 4 * PAGE));
	OK(close(fd));
	OK(utimensat(AT_FDCWD, "f", then, 0));
	OK(chmod("f", 04711));
	grant_capability("f");
	OK(stat("f", &now));
	fd = OK(open("f", O_RDONLY));
	OK(ioctl(fd, FS_IOC_SETFLAGS, &flags));
	OK(stat("f", &now));
	sync();
	OK(fsync(fd));
	OK(stat("f", &st));
	flags = 0;
	OK(ioctl(fd, FS_IOC_SETFLAGS, &flags));
	CHECK_EQ(st.st_mtim.tv_sec, then[1].tv_sec);
	CHECK_EQ(st.st_mtim.tv_nsec, then[1].tv_nsec);
	CHECK_EQ(st.st_ctim.tv_sec, now.st_ctim.tv_sec);
	CHECK_EQ(st.st_ctim.tv_nsec, now.st_ctim.tv_nsec);
	CHECK_EQ(st.st_mode & 07777, 04711);
	CHECK(has_capability("f"));
	OK(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
	HOLDS(fd, PAGE, PAGE, 2, 0);
	HOLDS(fd, 0, PAGE, 1, 0);
}

/* As on XFS: a store is no write(2), which takes them away. */
static void stores_and_privileges(void)
{
	int fd = MAKE_FILE("f", PAGE, 1);
	struct stat st;

	OK(chmod(".", 0755));
	OK(fchmod(fd, 06777));
	grant_capability("f");
	IN_CHILD(
		BECOME(1001);
		char *m = map(OK(open("f", O_RDWR)), PAGE, MAP_SHARED);

		m[7] = 'x';
		OK(msync(m, PAGE, MS_SYNC));
	);
	OK(fsync(fd));
	OK(stat("f", &st));
	CHECK_EQ(st.st_mode & 07777, 06777);
	CHECK(has_capability("f"));
}

/* What was stored past the end is no part of the file, also when the file comes to reach there. */
static void grows_over_stores(void)
{
	char *aligned_page = aligned(PAGE);
	struct stat st;

	memset(aligned_page, 'd', PAGE);
	for (int how = 0; how < 8; how++) {
		for (int dirty = 0; dirty < 2; dirty++) {
			int fd = MAKE_FILE("f", 100, 1), other = MAKE_FILE("g", 3 * PAGE, 2);
			char *m = map(fd, PAGE, MAP_SHARED);
			size_t from = 100;

			m[200] = 's';
			m[PAGE - 1] = 's';
			if (dirty)
				m[50] = m[50];
			else
				OK(msync(m, PAGE, MS_SYNC));
			if (!dirty)
				m[200] = 's';
			switch (how) {
			case 0: CHECK_EQ(pwrite(fd, "x", 1, 5000), 1); break;
			case 1: OK(fallocate(fd, 0, 0, 2 * PAGE)); break;
			case 2: OK(fallocate(fd, 0, PAGE, PAGE)); break;
			case 3: OK(ftruncate(fd, 2 * PAGE)); break;
			case 4: CHECK_EQ(pwrite(fd, "x", 1, 150), 1); break;
			case 5: CHECK_EQ(pwrite(OK(open("f", O_WRONLY | O_APPEND)), "x", 1, 0), 1); from = 101; break;
			case 6: CHECK_EQ(pwrite(OK(open("f", O_WRONLY | O_DIRECT)), aligned_page, PAGE, PAGE), PAGE); break;
			case 7: CHECK_EQ(copy_file_range(other, (off_t[]){ PAGE }, fd, (off_t[]){ PAGE }, PAGE, 0), PAGE); break;
			}
			if (how == 4 || how == 5)
				OK(ftruncate(fd, PAGE));
			OK(fstat(fd, &st));
			CHECK(st.st_size >= PAGE);
			HOLDS(fd, 0, 100, 1, 0);
			if (how == 4) {
				HOLDS_ZEROS(fd, 100, 50);
				from = 151;
			}
			HOLDS_ZEROS(fd, from, PAGE - from);
			CHECK(tap_zero(m + from, PAGE - from));
			/* And from the disk. */
			OK(fsync(fd));
			OK(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
			HOLDS_ZEROS(fd, from, PAGE - from);
			OK(munmap(m, PAGE));
			OK(close(fd));
			OK(close(other));
		}
	}
}

/* The kernel itself writes, by O_DIRECT: a loop device (drivers/block/loop.c: lo_rw_aio()). */
static void written_by_loop(void)
{
	struct loop_config config = { .block_size = PAGE, .info.lo_flags = LO_FLAGS_DIRECT_IO | LO_FLAGS_AUTOCLEAR };
	int fd = MAKE_FILE("f", 64 * PAGE, 1), control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), device;
	char *m = map(fd, 64 * PAGE, MAP_SHARED), *buf = aligned(4 * PAGE), name[32];
	struct loop_info64 info;

	if (control < 0 && (errno == ENOENT || errno == EACCES || errno == EPERM))
		return; /* no loop devices, or not root */
	OK(control);
	MAP_HOLDS(m, 64 * PAGE, 1, 0);
	snprintf(name, sizeof(name), "/dev/loop%d", OK(ioctl(control, LOOP_CTL_GET_FREE)));
	device = OK(open(name, O_RDWR | O_DIRECT | O_CLOEXEC));
	config.fd = fd;
	OK(ioctl(device, LOOP_CONFIGURE, &config));
	OK(ioctl(device, LOOP_GET_STATUS64, &info));
	CHECK(info.lo_flags & LO_FLAGS_DIRECT_IO);
	tap_pattern(buf, 4 * PAGE, 2, 0);
	CHECK_EQ(pwrite(device, buf, 4 * PAGE, 8 * PAGE), 4 * PAGE);
	MAP_HOLDS(m + 8 * PAGE, 4 * PAGE, 2, 0);
	MAP_HOLDS(m, 8 * PAGE, 1, 0);
	MAP_HOLDS(m + 12 * PAGE, 52 * PAGE, 1, 12 * PAGE);
	/* And the other way round. */
	tap_pattern(m + 20 * PAGE, PAGE, 3, 0);
	CHECK_EQ(pread(device, buf, PAGE, 20 * PAGE), PAGE);
	CHECK_EQ(tap_differs(buf, PAGE, 3, 0), -1);
	OK(close(device));
}

static const struct test tests[] = {
	{ "a map shows the file, and zeros after its end", map_reads_file },
	{ "what is stored through a map is read", store_is_read },
	{ "what is written shows in a map", write_is_mapped },
	{ "a private map changes nothing below", private_map },
	{ "beyond the end of file a map raises SIGBUS and keeps nothing", end_of_file },
	{ "truncate takes pages out of a map", truncate_under_map },
	{ "a file is read into its own map", read_into_own_map },
	{ "a file is written from its own map", write_from_own_map },
	{ "O_DIRECT goes to and from a map of the same file", direct_and_own_map },
	{ "asynchronous requests go to and from a map of another file", aio_and_maps },
	{ "a list of extents arrives in a map of another file, and of the same", extents_into_map },
	{ "O_DIRECT and a map see one another", direct_sees_stores },
	{ "two processes talk through a map", two_processes },
	{ "fork keeps shared maps shared and private ones private", forked },
	{ "maps need the access the file was opened with", protections },
	{ "a map outlives descriptor and name", outlives_file },
	{ "msync and fsync write a map back and move the time stamps", msync_makes_durable },
	{ "madvise, mlock, mremap and MAP_POPULATE keep the content", advice },
	{ "maps of clones do not leak into one another", reflinked },
	{ "punch, zero, collapse and insert show in a map", holes_under_map },
	{ "stores into holes are kept", sparse_stores },
	{ "copies, sendfile and splice see what was stored", transfers_see_stores },
	{ "a map follows appending writes", appended },
	{ "threads store into one page while it is written back", threads_in_one_page },
	{ "a map does not care about names and modes", other_names },
	{ "a store into a hole of a full volume raises SIGBUS", full_volume },
	{ "programs and scripts execute, unless open for writing", executes },
	{ "a running program cannot be written, and may be unlinked", running_is_busy },
	{ "limits of who reads or stores do not touch what was stored", limits_of_others },
	{ "writing back moves no time, takes no privilege and minds no flag", written_back_later },
	{ "a store leaves set-user-ID and capabilities, as a write does not", stores_and_privileges },
	{ "what was stored past the end is zeros when the file grows", grows_over_stores },
	{ "what a loop device writes by O_DIRECT shows in a map", written_by_loop },
};

TAP_MAIN(tests)
