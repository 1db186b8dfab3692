// SPDX-License-Identifier: Apache-2.0
/* What a file says of itself, and what follows from it: sizes, flags, capabilities, times of links, the label of the volume. */
#include "tap.h"
#include <linux/aio_abi.h>
#include <linux/capability.h>
#include <linux/fiemap.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/xattr.h>

enum { USER1 = 1001, BLOCK = 4096 };
#define CAPS "security.capability"

static const struct vfs_cap_data net_raw = {
	.magic_etc = VFS_CAP_REVISION_2, .data[0].permitted = 1 << CAP_NET_RAW
};

static void owner_truncates_capable(void)
{
	char got[64];

	OK(chown(".", USER1, USER1));
	for (int how = 0; how < 3; how++) {
		close(MAKE_FILE("f", 100, 1));
		OK(chown("f", USER1, USER1));
		OK(chmod("f", 0755));
		OK(setxattr("f", CAPS, &net_raw, sizeof(net_raw), 0));
		IN_CHILD(
			BECOME(USER1);
			int fd = how == 0 ? OK(open("f", O_WRONLY | O_TRUNC)) : OK(open("f", O_WRONLY));
			if (how == 1)
				OK(ftruncate(fd, 10));
			if (how == 2)
				OK(truncate("f", 1000));
		);
		FAILS(getxattr("f", CAPS, got, sizeof(got)), ENODATA);
		OK(unlink("f"));
	}
}

/* The rights of file owners who are root of a user namespace of their own. */
static void become_root_of(uid_t uid, int child_is, int told)
{
	char c;

	OK(unshare(CLONE_NEWUSER));
	CHECK_EQ(write(child_is, "x", 1), 1);
	CHECK_EQ(read(told, &c, 1), 1);
	OK(setresgid(0, 0, 0));
	OK(setresuid(0, 0, 0));
	CHECK_EQ(geteuid(), 0);
	(void)uid;
}

static void map_ids(pid_t pid, uid_t uid)
{
	char path[64], line[64];
	static const char *const maps[] = { "uid_map", "gid_map" };

	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "/proc/%d/%s", pid, maps[i]);
		int fd = OK(open(path, O_WRONLY));
		int n = snprintf(line, sizeof(line), "0 %u 1\n", uid);

		CHECK_EQ(write(fd, line, n), n);
		close(fd);
	}
}

static void namespace_capabilities(void)
{
	struct vfs_ns_cap_data got;
	int ready[2], mapped[2];
	pid_t pid;
	char c;

	close(MAKE_FILE("f", 100, 1));
	close(MAKE_FILE("other", 100, 1));
	OK(chown("f", USER1, USER1));
	OK(chmod(".", 0777));
	OK(pipe(ready));
	OK(pipe(mapped));
	pid = OK(fork());
	if (!pid) {
		become_root_of(USER1, ready[1], mapped[0]);
		FAILS(setxattr("other", CAPS, &net_raw, sizeof(net_raw), 0), EPERM);
		OK(setxattr("f", CAPS, &net_raw, sizeof(net_raw), 0));
		/* Seen from inside it is an ordinary one. */
		CHECK_EQ(getxattr("f", CAPS, &got, sizeof(got)), sizeof(net_raw));
		CHECK(!memcmp(&got, &net_raw, sizeof(net_raw)));
		OK(setxattr("f", CAPS, &net_raw, sizeof(net_raw), XATTR_REPLACE));
		FAILS(setxattr("f", CAPS, &net_raw, sizeof(net_raw), XATTR_CREATE), EEXIST);
		_exit(0);
	}
	CHECK_EQ(read(ready[0], &c, 1), 1);
	map_ids(pid, USER1);
	CHECK_EQ(write(mapped[1], "x", 1), 1);
	REAP(pid);
	/* From outside it says whose it is. */
	CHECK_EQ(getxattr("f", CAPS, &got, sizeof(got)), sizeof(got));
	CHECK_EQ(got.magic_etc & VFS_CAP_REVISION_MASK, VFS_CAP_REVISION_3);
	CHECK_EQ(got.rootid, USER1);
	CHECK_EQ(got.data[0].permitted, 1 << CAP_NET_RAW);
	/* One with an owner is set from outside as it is, and inside seen as an ordinary one. */
	got.data[0].permitted = 1 << CAP_CHOWN;
	OK(setxattr("f", CAPS, &got, sizeof(got), 0));
	pid = OK(fork());
	if (!pid) {
		become_root_of(USER1, ready[1], mapped[0]);
		CHECK_EQ(getxattr("f", CAPS, &got, sizeof(got)), sizeof(net_raw));
		CHECK_EQ(got.data[0].permitted, 1 << CAP_CHOWN);
		OK(removexattr("f", CAPS));
		_exit(0);
	}
	CHECK_EQ(read(ready[0], &c, 1), 1);
	map_ids(pid, USER1);
	CHECK_EQ(write(mapped[1], "x", 1), 1);
	REAP(pid);
	FAILS(getxattr("f", CAPS, &got, sizeof(got)), ENODATA);
	/* Set after a write has found none, it is found by the next write. */
	int fd = OK(open("f", O_RDWR));

	CHECK_EQ(write(fd, "x", 1), 1);
	OK(setxattr("f", CAPS, &net_raw, sizeof(net_raw), 0));
	CHECK_EQ(write(fd, "x", 1), 1);
	FAILS(getxattr("f", CAPS, &got, sizeof(got)), ENODATA);
}

static void link_atime(void)
{
	struct timespec old[2] = { { .tv_sec = 1000000000 }, { .tv_sec = 1000000001 } }, now;
	struct stat before, after;
	char text[16];

	close(MAKE_FILE("f", 100, 1));
	OK(symlink("f", "l"));
	OK(utimensat(AT_FDCWD, "l", old, AT_SYMLINK_NOFOLLOW));
	OK(lstat("l", &before));
	CHECK_EQ(before.st_atime, 1000000000);
	/* An access in the tick of the last change leaves it due (fs/inode.c: relatime_need_update()). */
	do
		OK(clock_gettime(CLOCK_REALTIME_COARSE, &now));
	while (now.tv_sec == before.st_ctim.tv_sec && now.tv_nsec <= before.st_ctim.tv_nsec);
	CHECK_EQ(readlink("l", text, sizeof(text)), 1);
	OK(lstat("l", &after));
	CHECK(after.st_atime > 1000000001);
	CHECK_EQ(after.st_mtime, 1000000001);
	CHECK_EQ(after.st_ctim.tv_nsec, before.st_ctim.tv_nsec);
	/* Not due any more. */
	OK(lstat("l", &before));
	CHECK_EQ(readlink("l", text, sizeof(text)), 1);
	OK(lstat("l", &after));
	CHECK_EQ(after.st_atim.tv_sec, before.st_atim.tv_sec);
	CHECK_EQ(after.st_atim.tv_nsec, before.st_atim.tv_nsec);
	/* Followed, it is read as well. */
	OK(utimensat(AT_FDCWD, "l", old, AT_SYMLINK_NOFOLLOW));
	close(OK(open("l", O_RDONLY)));
	OK(lstat("l", &after));
	CHECK(after.st_atime > 1000000001);
}

static void volume_label(void)
{
	char was[FSLABEL_MAX] = { 0 }, now[FSLABEL_MAX] = { 0 };
	int fd = OK(open(".", O_RDONLY)), file = MAKE_FILE("f", 1, 1);
	char *edge;

	OK(ioctl(fd, FS_IOC_GETFSLABEL, was));
	OK(ioctl(file, FS_IOC_SETFSLABEL, "attr test"));
	OK(ioctl(fd, FS_IOC_GETFSLABEL, now));
	CHECK(!strcmp(now, "attr test"));
	FAILS(ioctl(fd, FS_IOC_SETFSLABEL, "longer than it may be"), EINVAL);
	FAILS(ioctl(fd, FS_IOC_SETFSLABEL, NULL), EFAULT);
	FAILS(ioctl(fd, FS_IOC_GETFSLABEL, NULL), EFAULT);
	/* In memory that is not there yet, and nothing behind it. */
	edge = OK(mmap(NULL, 2 * BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	OK(munmap(edge + BLOCK, BLOCK));
	OK(ioctl(fd, FS_IOC_GETFSLABEL, edge + BLOCK - 13));
	CHECK(!strcmp(edge + BLOCK - 13, "attr test"));
	OK(madvise(edge, BLOCK, MADV_DONTNEED));
	OK(ioctl(fd, FS_IOC_SETFSLABEL, edge + BLOCK - 13));
	OK(ioctl(fd, FS_IOC_GETFSLABEL, now));
	CHECK(!*now);
	IN_CHILD(
		BECOME(USER1);
		FAILS(ioctl(fd, FS_IOC_SETFSLABEL, "mine"), EPERM);
	);
	OK(ioctl(fd, FS_IOC_SETFSLABEL, was));
}

/* What an open file may that was opened before. */
static void flags_of_open_files(void)
{
	int fd = MAKE_FILE("f", 2 * BLOCK, 1);

	SET_FLAGS(fd, FS_APPEND_FL, 0);
	FAILS(ftruncate(fd, 0), EPERM);
	FAILS(ftruncate(fd, 4 * BLOCK), EPERM);
	FAILS(truncate("f", 0), EPERM);
	CHECK_EQ(pwrite(fd, "x", 1, 0), 1);
	OK(fallocate(fd, 0, 0, 4 * BLOCK));
	OK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 4 * BLOCK));
	FAILS(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, BLOCK), EPERM);
	FAILS(fchmod(fd, 0600), EPERM);
	FAILS(fsetxattr(fd, "user.x", "x", 1, 0), EPERM);
	CHECK(mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED && errno == EACCES);
	OK(futimens(fd, NULL));
	SET_FLAGS(fd, FS_IMMUTABLE_FL, FS_APPEND_FL);
	CHECK_EQ(pwrite(fd, "y", 1, 0), 1);
	FAILS(fchmod(fd, 0600), EPERM);
	FAILS(fchown(fd, USER1, -1), EPERM);
	FAILS(futimens(fd, NULL), EPERM);
	FAILS(fsetxattr(fd, "user.x", "x", 1, 0), EPERM);
	FAILS(fremovexattr(fd, "user.y"), EPERM);
	FAILS(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 4 * BLOCK), EPERM);
	FAILS(truncate("f", 0), EPERM);
	OK(ftruncate(fd, 10));
	SET_FLAGS(fd, 0, FS_IMMUTABLE_FL);
	OK(fchmod(fd, 0600));
}

static void direct_alignment(void)
{
	struct statx sx;
	char *buf = OK(mmap(NULL, 4 * BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	int fd = OK(open("f", O_CREAT | O_RDWR | O_DIRECT, 0644));
	unsigned int align;

	OK(statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &sx));
	CHECK(sx.stx_mask & STATX_DIOALIGN);
	align = sx.stx_dio_offset_align;
	CHECK(align >= 512 && align <= BLOCK && sx.stx_dio_mem_align > 1);
	memset(buf, 7, BLOCK);
	CHECK_EQ(pwrite(fd, buf, 2 * align, 0), 2 * align);
	FAILS(pwrite(fd, buf, align / 2, 0), EINVAL);
	FAILS(pwrite(fd, buf, align, align / 2), EINVAL);
	FAILS(pwrite(fd, buf + 1, align, 0), EINVAL);
	FAILS(pread(fd, buf, align + 1, 0), EINVAL);
	FAILS(pread(fd, buf, align, 1), EINVAL);
	FAILS(pread(fd, buf + 1, align, 0), EINVAL);
	CHECK_EQ(pread(fd, buf + sx.stx_dio_mem_align, align, align), align);
	CHECK_EQ(SIZE_OF(fd), 2 * align);
}

static atomic_bool stop;

static void *writes_at_the_end(void *arg)
{
	int fd = *(int *)arg;
	char *buf = aligned_alloc(BLOCK, BLOCK);
	aio_context_t ctx = 0;
	struct io_event event;

	memset(buf, 1, BLOCK);
	syscall(SYS_io_setup, 4, &ctx);
	while (!atomic_load(&stop)) {
		struct stat st;
		struct iocb cb = { .aio_lio_opcode = IOCB_CMD_PWRITE, .aio_fildes = fd, .aio_buf = (uintptr_t)buf,
				   .aio_nbytes = BLOCK }, *list[] = { &cb };

		fstat(fd, &st);
		cb.aio_offset = st.st_size / BLOCK % 64 * BLOCK;
		if (syscall(SYS_io_submit, ctx, 1, list) == 1)
			syscall(SYS_io_getevents, ctx, 1, 1, &event, NULL);
	}
	syscall(SYS_io_destroy, ctx);
	return NULL;
}

/* What FIONREAD tells is the size that the kernel acts by. */
static void size_settles(void)
{
	int fd = OK(open("f", O_CREAT | O_RDWR | O_DIRECT, 0644)), left;
	struct timespec begin, now;
	pthread_t writer;

	OK(clock_gettime(CLOCK_MONOTONIC, &begin));
	do {
		atomic_store(&stop, false);
		CHECK(!pthread_create(&writer, NULL, writes_at_the_end, &fd));
		for (int i = 0; i < 60; i++)
			OK(ftruncate(fd, i % 3 * 2 * BLOCK));
		atomic_store(&stop, true);
		CHECK(!pthread_join(writer, NULL));
		OK(ioctl(fd, FIONREAD, &left));
		CHECK_EQ(left, SIZE_OF(fd));
		OK(clock_gettime(CLOCK_MONOTONIC, &now));
	} while (now.tv_sec - begin.tv_sec < 3);
}

/* Each of many that are under way makes the file longer, and what becomes of its size is told by each when it ends. */
static void size_of_many(void)
{
	enum { MANY = 8, ROUNDS = 40 };
	int fd = OK(open("f", O_CREAT | O_RDWR | O_DIRECT, 0644)), left;
	char *buf = aligned_alloc(BLOCK, BLOCK);
	struct iocb requests[MANY] = {}, *list[MANY];
	struct io_event events[MANY];
	aio_context_t ctx = 0;

	memset(buf, 1, BLOCK);
	OK(syscall(SYS_io_setup, MANY, &ctx));
	for (int i = 0; i < MANY; i++) {
		requests[i] = (struct iocb){ .aio_lio_opcode = IOCB_CMD_PWRITE, .aio_fildes = fd, .aio_buf = (uintptr_t)buf,
					     .aio_nbytes = BLOCK, .aio_offset = i * BLOCK };
		list[i] = &requests[i];
	}
	for (int round = 0; round < ROUNDS; round++) {
		OK(ftruncate(fd, 0));
		CHECK_EQ(syscall(SYS_io_submit, ctx, MANY, list), MANY);
		CHECK_EQ(syscall(SYS_io_getevents, ctx, MANY, MANY, events, NULL), MANY);
		OK(ioctl(fd, FIONREAD, &left));
		CHECK_EQ(left, MANY * BLOCK);
	}
	OK(syscall(SYS_io_destroy, ctx));
}

static const struct test tests[] = {
	{ "an owner without power truncates a file that has capabilities, which go", owner_truncates_capable },
	{ "a capability set in a user namespace is of that namespace", namespace_capabilities },
	{ "reading or following a link updates its time of access when that is due", link_atime },
	{ "the label of the volume is set and read", volume_label },
	{ "what an open file may follows the flags set since", flags_of_open_files },
	{ "O_DIRECT says its alignment and keeps to it", direct_alignment },
	{ "the size is the last one, whoever changed it", size_settles },
	{ "of many requests that make a file longer the last one says how long it is", size_of_many },
};

TAP_MAIN(tests)
