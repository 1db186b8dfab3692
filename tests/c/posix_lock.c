// SPDX-License-Identifier: Apache-2.0
/* Locks, leases and notifications, between processes of one machine; and the file handles of name_to_handle_at(2). */
#include "tap.h"
#include <sys/file.h>
#include <sys/inotify.h>
#include <poll.h>

static struct flock range(short type, off_t start, off_t len)
{
	return (struct flock){ .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len };
}

static int lock(int fd, int command, short type, off_t start, off_t len)
{
	struct flock l = range(type, start, len);

	return fcntl(fd, command, &l);
}

static void whole_file_locks(void)
{
	int a = MAKE_FILE("f", 10, 1), b = OK(open("f", O_RDWR));

	OK(flock(a, LOCK_EX));
	FAILS(flock(b, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	FAILS(flock(b, LOCK_SH | LOCK_NB), EWOULDBLOCK);
	OK(flock(a, LOCK_SH));
	OK(flock(b, LOCK_SH | LOCK_NB));
	FAILS(flock(a, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	close(b);
	OK(flock(a, LOCK_EX | LOCK_NB));
	/* inherited, and released by the last descriptor */
	IN_CHILD(
		OK(flock(a, LOCK_EX | LOCK_NB));
	);
	b = OK(open("f", O_RDWR));
	FAILS(flock(b, LOCK_SH | LOCK_NB), EWOULDBLOCK);
	OK(flock(a, LOCK_UN));
	OK(flock(b, LOCK_EX | LOCK_NB));
}

static void waits_for_lock(void)
{
	int a = MAKE_FILE("f", 10, 1), ready[2];
	pid_t pid;
	char c;

	OK(pipe(ready));
	OK(flock(a, LOCK_EX));
	pid = OK(fork());
	if (!pid) {
		int b = OK(open("f", O_RDWR));

		FAILS(flock(b, LOCK_EX | LOCK_NB), EWOULDBLOCK);
		CHECK_EQ(write(ready[1], "r", 1), 1);
		OK(flock(b, LOCK_EX));
		CHECK_EQ(pread(b, &c, 1, 0), 1);
		CHECK_EQ(c, 'L');
		_exit(0);
	}
	CHECK_EQ(read(ready[0], &c, 1), 1);
	CHECK_EQ(pwrite(a, "L", 1, 0), 1);
	OK(flock(a, LOCK_UN));
	REAP(pid);
}

static void record_locks(void)
{
	int fd = MAKE_FILE("f", 1000, 1), other;
	pid_t parent = getpid();
	struct flock l;

	OK(lock(fd, F_SETLK, F_WRLCK, 100, 100));
	OK(lock(fd, F_SETLK, F_RDLCK, 500, 0));
	IN_CHILD(
		int mine = OK(open("f", O_RDWR));

		FAILS(lock(mine, F_SETLK, F_RDLCK, 150, 1), EAGAIN);
		OK(lock(mine, F_SETLK, F_WRLCK, 0, 100));
		OK(lock(mine, F_SETLK, F_WRLCK, 200, 300));
		OK(lock(mine, F_SETLK, F_RDLCK, 600, 10));
		FAILS(lock(mine, F_SETLK, F_WRLCK, 1 << 20, 1), EAGAIN);
		l = range(F_WRLCK, 0, 0);
		OK(fcntl(mine, F_GETLK, &l));
		CHECK_EQ(l.l_pid, parent);
		CHECK_EQ(l.l_start, 100);
		CHECK_EQ(l.l_len, 100);
		CHECK_EQ(l.l_type, F_WRLCK);
	);
	/* Split by unlocking the middle. */
	OK(lock(fd, F_SETLK, F_UNLCK, 140, 20));
	IN_CHILD(
		OK(lock(fd, F_SETLK, F_WRLCK, 140, 20));
		FAILS(lock(fd, F_SETLK, F_WRLCK, 139, 1), EAGAIN);
		FAILS(lock(fd, F_SETLK, F_WRLCK, 160, 1), EAGAIN);
	);
	/* POSIX close(): any descriptor of the file that is closed releases all */
	other = OK(open("f", O_RDWR));
	close(other);
	IN_CHILD(
		OK(lock(fd, F_SETLK, F_WRLCK, 0, 0));
	);
	FAILS(lock(OK(open("f", O_RDONLY)), F_SETLK, F_WRLCK, 0, 1), EBADF);
}

static void deadlock(void)
{
	int fd = MAKE_FILE("f", 10, 1), mine[2], theirs[2];
	bool refused;
	pid_t pid;
	char c;

	OK(pipe(mine));
	OK(pipe(theirs));
	OK(lock(fd, F_SETLK, F_WRLCK, 0, 1));
	pid = OK(fork());
	if (!pid) {
		OK(lock(fd, F_SETLK, F_WRLCK, 1, 1));
		CHECK_EQ(write(theirs[1], "x", 1), 1);
		CHECK_EQ(read(mine[0], &c, 1), 1);
		if (!lock(fd, F_SETLKW, F_WRLCK, 0, 1))
			_exit(0);
		if (errno != EDEADLK)
			tap_fail(__LINE__, errno, "F_SETLKW");
		_exit(0);
	}
	CHECK_EQ(read(theirs[0], &c, 1), 1);
	CHECK_EQ(write(mine[1], "x", 1), 1);
	/* Whoever comes second is refused; the other gets the lock then. */
	refused = lock(fd, F_SETLKW, F_WRLCK, 1, 1) == -1;
	if (refused)
		CHECK_EQ(errno, EDEADLK);
	OK(lock(fd, F_SETLK, F_UNLCK, 0, 2));
	REAP(pid);
}

static void descriptor_locks(void)
{
	int a = MAKE_FILE("f", 10, 1), b = OK(open("f", O_RDWR));
	struct flock l = range(F_WRLCK, 0, 5);

	OK(lock(a, F_OFD_SETLK, F_WRLCK, 0, 5));
	FAILS(lock(b, F_OFD_SETLK, F_WRLCK, 0, 5), EAGAIN);
	OK(lock(b, F_OFD_SETLK, F_WRLCK, 5, 5));
	OK(fcntl(b, F_OFD_GETLK, &l));
	CHECK_EQ(l.l_type, F_WRLCK);
	CHECK_EQ(l.l_pid, -1);
	/* Unlike record locks they belong to the open file. */
	close(OK(open("f", O_RDWR)));
	FAILS(lock(b, F_OFD_SETLK, F_WRLCK, 0, 5), EAGAIN);
	IN_CHILD(
		OK(lock(a, F_OFD_SETLK, F_WRLCK, 0, 5));
	);
	close(a);
	OK(lock(b, F_OFD_SETLK, F_WRLCK, 0, 5));
}

static void locks_outlive_unlink(void)
{
	int a = MAKE_FILE("f", 10, 1), b = OK(open("f", O_RDWR));

	OK(flock(a, LOCK_EX));
	OK(unlink("f"));
	FAILS(flock(b, LOCK_SH | LOCK_NB), EWOULDBLOCK);
	OK(lock(a, F_SETLK, F_WRLCK, 0, 0));
	IN_CHILD(
		FAILS(lock(b, F_SETLK, F_RDLCK, 0, 1), EAGAIN);
	);
}

static void leases(void)
{
	sigset_t set;
	siginfo_t info;
	struct timespec limit = { 20, 0 };
	int fd, ready[2];
	pid_t pid;
	char c;

	sigemptyset(&set);
	sigaddset(&set, SIGIO);
	sigprocmask(SIG_BLOCK, &set, NULL);
	close(MAKE_FILE("f", 10, 1));
	fd = OK(open("f", O_RDONLY));
	OK(fcntl(fd, F_SETLEASE, F_RDLCK));
	CHECK_EQ(fcntl(fd, F_GETLEASE), F_RDLCK);
	close(OK(open("f", O_RDONLY)));	/* readers do not break a read lease */
	FAILS(open("f", O_RDWR | O_NONBLOCK), EWOULDBLOCK);
	CHECK_EQ(sigtimedwait(&set, &info, &limit), SIGIO);
	OK(fcntl(fd, F_SETLEASE, F_UNLCK));
	close(OK(open("f", O_RDWR | O_NONBLOCK)));
	close(fd);

	/* A writer's open waits until the holder lets go. */
	fd = OK(open("f", O_RDWR));
	OK(fcntl(fd, F_SETLEASE, F_WRLCK));
	OK(pipe(ready));
	pid = OK(fork());
	if (!pid) {
		close(fd);
		CHECK_EQ(write(ready[1], "r", 1), 1);
		int mine = OK(open("f", O_RDONLY));

		CHECK_EQ(pread(mine, &c, 1, 0), 1);
		CHECK_EQ(c, 'H');
		_exit(0);
	}
	CHECK_EQ(read(ready[0], &c, 1), 1);
	CHECK_EQ(sigtimedwait(&set, &info, &limit), SIGIO);
	CHECK_EQ(pwrite(fd, "H", 1, 0), 1);
	OK(fcntl(fd, F_SETLEASE, F_UNLCK));
	REAP(pid);
	int other = OK(open("f", O_RDONLY));

	FAILS(fcntl(fd, F_SETLEASE, F_WRLCK), EAGAIN);
	close(other);
}

static uint32_t next_event(int fd, char *name)
{
	static char buf[4096] __attribute__((aligned(8)));
	static ssize_t have, at;
	struct inotify_event *event;

	if (at >= have) {
		struct pollfd p = { .fd = fd, .events = POLLIN };

		CHECK_EQ(poll(&p, 1, 10000), 1);
		have = OK(read(fd, buf, sizeof(buf)));
		at = 0;
	}
	event = (void *)(buf + at);
	at += sizeof(*event) + event->len;
	strcpy(name, event->len ? event->name : "");
	return event->mask;
}

#define EXPECT(mask_, name_)								\
do {											\
	char name[300];									\
	uint32_t mask = next_event(fd, name);						\
											\
	if (mask != (mask_) || strcmp(name, name_))					\
		tap_fail(__LINE__, 0, "event %08x '%s', expected %s '%s'", mask, name, #mask_, name_); \
} while (0)

static void notifications(void)
{
	int fd = OK(inotify_init1(0)), file;

	OK(mkdir("d", 0755));
	OK(inotify_add_watch(fd, "d", IN_CREATE | IN_MODIFY | IN_DELETE | IN_MOVE | IN_ATTRIB | IN_CLOSE_WRITE |
			     IN_DELETE_SELF | IN_OPEN));
	file = OK(open("d/f", O_CREAT | O_RDWR, 0644));
	EXPECT(IN_CREATE, "f");
	EXPECT(IN_OPEN, "f");
	CHECK_EQ(write(file, "x", 1), 1);
	EXPECT(IN_MODIFY, "f");
	OK(fchmod(file, 0600));
	EXPECT(IN_ATTRIB, "f");
	OK(ftruncate(file, 0));
	EXPECT(IN_MODIFY, "f");
	close(file);
	EXPECT(IN_CLOSE_WRITE, "f");
	OK(rename("d/f", "d/g"));
	EXPECT(IN_MOVED_FROM, "f");
	EXPECT(IN_MOVED_TO, "g");
	OK(mkdir("d/sub", 0755));
	EXPECT(IN_CREATE | IN_ISDIR, "sub");
	OK(rmdir("d/sub"));
	EXPECT(IN_DELETE | IN_ISDIR, "sub");
	OK(unlink("d/g"));
	EXPECT(IN_DELETE, "g");
	OK(rmdir("d"));
	EXPECT(IN_DELETE_SELF, "");
	EXPECT(IN_IGNORED, "");
}

struct handle {
	struct file_handle h;
	unsigned char room[MAX_HANDLE_SZ];
};

static void handles(void)
{
	struct handle f = { .h.handle_bytes = MAX_HANDLE_SZ }, d = f, gone = f;
	int mount_id, fd, here = OK(open(".", O_RDONLY | O_DIRECTORY));
	struct stat a, b;

	close(MAKE_FILE("f", 1000, 1));
	OK(mkdir("d", 0755));
	close(MAKE_FILE("gone", 10, 1));
	OK(name_to_handle_at(AT_FDCWD, "f", &f.h, &mount_id, 0));
	OK(name_to_handle_at(AT_FDCWD, "d", &d.h, &mount_id, 0));
	OK(name_to_handle_at(AT_FDCWD, "gone", &gone.h, &mount_id, 0));
	OK(rename("f", "d/renamed"));
	fd = OK(open_by_handle_at(here, &f.h, O_RDWR));
	HOLDS(fd, 0, 1000, 1, 0);
	OK(fstat(fd, &a));
	OK(stat("d/renamed", &b));
	CHECK_EQ(a.st_ino, b.st_ino);
	fd = OK(open_by_handle_at(here, &d.h, O_RDONLY | O_DIRECTORY));
	close(OK(openat(fd, "renamed", O_RDONLY)));
	OK(unlink("gone"));
	FAILS(open_by_handle_at(here, &gone.h, O_RDONLY), ESTALE);
	f.room[0] ^= 0x5a;
	f.room[9] ^= 0x5a;
	FAILS(open_by_handle_at(here, &f.h, O_RDONLY), ESTALE);
	f.h.handle_bytes = 0;
	FAILS(name_to_handle_at(AT_FDCWD, "d", &f.h, &mount_id, 0), EOVERFLOW);
	CHECK(f.h.handle_bytes > 0);
}

static const struct test tests[] = {
	{ "flock excludes, shares, converts and is inherited", whole_file_locks },
	{ "a waiter gets the lock and sees what was written under it", waits_for_lock },
	{ "record locks conflict by range and process", record_locks },
	{ "a deadlock of record locks is refused", deadlock },
	{ "locks of open file descriptions belong to the open file", descriptor_locks },
	{ "locks work on a file without a name", locks_outlive_unlink },
	{ "leases are broken by a conflicting open, which waits", leases },
	{ "inotify tells every change in order", notifications },
	{ "file handles find files wherever they moved, and never a removed one", handles },
};

TAP_MAIN(tests)
