// SPDX-License-Identifier: Apache-2.0
/* Names and directories: open flags, rename, link, symlink, mknod, rmdir, reading directories, statx, times. */
#include <sched.h>
#include "tap.h"
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

static struct stat st_of(const char *name)
{
	struct stat st;

	OK(lstat(name, &st));
	return st;
}

static bool exists(const char *name)
{
	return !faccessat(AT_FDCWD, name, F_OK, AT_SYMLINK_NOFOLLOW);
}

static void touch(const char *name)
{
	close(OK(open(name, O_CREAT | O_WRONLY, 0644)));
}

static void put_text(const char *name, const char *text)
{
	int fd = OK(open(name, O_CREAT | O_TRUNC | O_WRONLY, 0644));

	CHECK_EQ(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void text_is(const char *name, const char *text)
{
	char buf[256];
	int fd = OK(open(name, O_RDONLY));
	ssize_t n = OK(read(fd, buf, sizeof(buf) - 1));

	buf[n] = '\0';
	close(fd);
	if (strcmp(buf, text))
		tap_fail(__LINE__, 0, "%s holds '%s', expected '%s'", name, buf, text);
}

static void create_mode(void)
{
	umask(027);
	close(OK(open("f", O_CREAT | O_RDWR, 0666)));
	CHECK_EQ(st_of("f").st_mode, S_IFREG | 0640);
	CHECK_EQ(st_of("f").st_size, 0);
	CHECK_EQ(st_of("f").st_nlink, 1);
	close(OK(open("f", O_CREAT | O_RDWR, 0600)));
	CHECK_EQ(st_of("f").st_mode, S_IFREG | 0640);
	/* POSIX open(): the mode is for later opens, not for this one */
	int fd = OK(open("g", O_CREAT | O_RDWR, 0000));

	CHECK_EQ(write(fd, "x", 1), 1);
}

static void create_exclusive(void)
{
	touch("f");
	FAILS(open("f", O_CREAT | O_EXCL | O_RDWR, 0644), EEXIST);
	OK(symlink("nowhere", "dangling"));
	FAILS(open("dangling", O_CREAT | O_EXCL | O_RDWR, 0644), EEXIST);
	CHECK(!exists("nowhere"));
	close(OK(open("dangling", O_CREAT | O_RDWR, 0644)));
	CHECK(exists("nowhere"));
	OK(mkdir("d", 0755));
	FAILS(open("d", O_CREAT | O_EXCL | O_RDWR, 0644), EEXIST);
}

static void truncate_on_open(void)
{
	int fd = MAKE_FILE("f", 10000, 1), other;

	other = OK(open("f", O_WRONLY | O_TRUNC));
	CHECK_EQ(SIZE_OF(fd), 0);
	CHECK_EQ(pwrite(other, "abc", 3, 5000), 3);
	HOLDS_ZEROS(fd, 0, 5000);
	CHECK_EQ(SIZE_OF(fd), 5003);
	close(OK(open("f", O_RDWR | O_CREAT | O_TRUNC, 0644)));
	CHECK_EQ(SIZE_OF(fd), 0);
	CHECK_EQ(st_of("f").st_blocks, 0);
}

static void append_position(void)
{
	int fd = OK(open("f", O_CREAT | O_RDWR | O_APPEND, 0644));

	CHECK_EQ(write(fd, "one", 3), 3);
	CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
	CHECK_EQ(write(fd, "two", 3), 3);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 6);
	CHECK_EQ(pwrite(fd, "six", 3, 0), 3);	/* Linux: O_APPEND wins over pwrite's offset (pwrite(2), BUGS) */
	text_is("f", "onetwosix");
	OK(fcntl(fd, F_SETFL, 0));
	CHECK_EQ(pwrite(fd, "ONE", 3, 0), 3);
	text_is("f", "ONEtwosix");
	OK(fcntl(fd, F_SETFL, O_APPEND));
	CHECK_EQ(write(fd, "end", 3), 3);
	text_is("f", "ONEtwosixend");
}

static void append_processes(void)
{
	enum { PROCESSES = 4, RECORDS = 150, SIZE = 37 };
	unsigned int next[PROCESSES] = { 0 };
	pid_t pids[PROCESSES];
	char record[SIZE];
	int fd;

	for (int p = 0; p < PROCESSES; p++) {
		pids[p] = OK(fork());
		if (pids[p])
			continue;
		fd = OK(open("f", O_CREAT | O_WRONLY | O_APPEND, 0644));
		for (unsigned int i = 0; i < RECORDS; i++) {
			memset(record, 'a' + p, SIZE);
			memcpy(record + 1, &i, sizeof(i));
			CHECK_EQ(write(fd, record, SIZE), SIZE);
		}
		_exit(0);
	}
	for (int p = 0; p < PROCESSES; p++)
		REAP(pids[p]);
	fd = OK(open("f", O_RDONLY));
	CHECK_EQ(SIZE_OF(fd), PROCESSES * RECORDS * SIZE);
	for (int i = 0; i < PROCESSES * RECORDS; i++) {
		unsigned int number, p;

		CHECK_EQ(read(fd, record, SIZE), SIZE);
		p = record[0] - 'a';
		CHECK(p < PROCESSES);
		memcpy(&number, record + 1, sizeof(number));
		CHECK_EQ(number, next[p]++);
		for (int at = 5; at < SIZE; at++)
			CHECK_EQ(record[at], 'a' + p);
	}
}

static void open_errors(void)
{
	touch("f");
	OK(mkdir("d", 0755));
	OK(symlink("f", "l"));
	OK(symlink("loop", "loop"));
	FAILS(open("missing", O_RDONLY), ENOENT);
	FAILS(open("missing/f", O_RDONLY | O_CREAT, 0644), ENOENT);
	FAILS(open("f/x", O_RDONLY), ENOTDIR);
	FAILS(open("f/", O_RDONLY), ENOTDIR);
	FAILS(open("f", O_RDONLY | O_DIRECTORY), ENOTDIR);
	FAILS(open("d", O_RDWR), EISDIR);
	FAILS(open("new/", O_RDWR | O_CREAT, 0644), EISDIR);
	FAILS(open("l", O_RDONLY | O_NOFOLLOW), ELOOP);
	FAILS(open("loop", O_RDONLY), ELOOP);
	FAILS(open("", O_RDONLY), ENOENT);
	FAILS(open("f", O_RDONLY | O_TMPFILE | O_RDWR, 0644), ENOTDIR);

	int fd = OK(open("f", O_RDONLY)), path = OK(open("f", O_PATH));
	struct stat st;

	FAILS(write(fd, "x", 1), EBADF);
	FAILS(ftruncate(fd, 0), EINVAL);
	OK(fstat(path, &st));
	FAILS(read(path, &st, 1), EBADF);
	fd = OK(open("f", O_WRONLY));
	FAILS(read(fd, &st, 1), EBADF);
	fd = OK(open("d", O_RDONLY));
	FAILS(read(fd, &st, 1), EISDIR);
}

static void rename_replaces(void)
{
	struct stat a, b;
	int fd;

	put_text("a", "new");
	put_text("b", "old");
	a = st_of("a");
	fd = OK(open("b", O_RDWR));
	OK(rename("a", "b"));
	CHECK(!exists("a"));
	b = st_of("b");
	CHECK_EQ(a.st_ino, b.st_ino);
	text_is("b", "new");
	/* The file that was replaced lives as long as it is open. */
	OK(fstat(fd, &b));
	CHECK_EQ(b.st_nlink, 0);
	char buf[4] = "";

	CHECK_EQ(pread(fd, buf, 3, 0), 3);
	CHECK(!strcmp(buf, "old"));
	CHECK_EQ(pwrite(fd, "OLD!", 4, 0), 4);
	OK(fsync(fd));
	CHECK_EQ(SIZE_OF(fd), 4);
	text_is("b", "new");
}

static void rename_same_inode(void)
{
	put_text("a", "text");
	OK(link("a", "b"));
	OK(rename("a", "b"));	/* POSIX: does nothing */
	CHECK(exists("a") && exists("b"));
	CHECK_EQ(st_of("a").st_nlink, 2);
	OK(rename("a", "a"));
	CHECK(exists("a"));
}

static void rename_folders(void)
{
	nlink_t before;

	OK(mkdir("a", 0755));
	OK(mkdir("a/sub", 0755));
	OK(mkdir("empty", 0755));
	OK(mkdir("full", 0755));
	touch("full/f");
	touch("file");
	/* POSIX allows both; XFS has always said EEXIST (xfs_rename()) */
	FAILS(rename("a", "full"), EEXIST);
	FAILS(rename("file", "empty"), EISDIR);
	FAILS(rename("a", "file"), ENOTDIR);
	FAILS(rename("a", "a/sub/x"), EINVAL);
	FAILS(rename("a/sub", "a"), ENOTEMPTY);
	FAILS(rename("missing", "x"), ENOENT);
	FAILS(rename("a/.", "x"), EBUSY);
	OK(rename("a", "empty"));
	CHECK(exists("empty/sub"));
	/* A folder that moves takes its ".." along. */
	before = st_of("full").st_nlink;
	OK(rename("empty/sub", "full/sub"));
	CHECK_EQ(st_of("full").st_nlink, before + 1);
	CHECK_EQ(st_of("empty").st_nlink, 2);
	CHECK_EQ(st_of("full/sub/..").st_ino, st_of("full").st_ino);
}

static void rename_noreplace(void)
{
	put_text("a", "A");
	put_text("b", "B");
	FAILS(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE), EEXIST);
	text_is("b", "B");
	OK(renameat2(AT_FDCWD, "a", AT_FDCWD, "c", RENAME_NOREPLACE));
	CHECK(!exists("a"));
	text_is("c", "A");
	FAILS(renameat2(AT_FDCWD, "b", AT_FDCWD, "c", RENAME_NOREPLACE | RENAME_EXCHANGE), EINVAL);
}

static void rename_exchange(void)
{
	struct stat a, d;

	put_text("a", "A");
	OK(mkdir("d", 0755));
	OK(mkdir("d/sub", 0755));
	put_text("d/f", "F");
	a = st_of("a");
	d = st_of("d/sub");
	OK(renameat2(AT_FDCWD, "a", AT_FDCWD, "d/f", RENAME_EXCHANGE));
	text_is("a", "F");
	text_is("d/f", "A");
	CHECK_EQ(st_of("d/f").st_ino, a.st_ino);
	/* file against folder */
	OK(renameat2(AT_FDCWD, "a", AT_FDCWD, "d/sub", RENAME_EXCHANGE));
	CHECK_EQ(st_of("a").st_ino, d.st_ino);
	CHECK(S_ISDIR(st_of("a").st_mode) && S_ISREG(st_of("d/sub").st_mode));
	CHECK_EQ(st_of("d").st_nlink, 2);
	CHECK_EQ(st_of("a/..").st_ino, st_of(".").st_ino);
	FAILS(renameat2(AT_FDCWD, "a", AT_FDCWD, "missing", RENAME_EXCHANGE), ENOENT);
}

static void rename_whiteout(void)
{
	put_text("a", "A");
	OK(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_WHITEOUT));
	text_is("b", "A");
	CHECK(S_ISCHR(st_of("a").st_mode));
	CHECK_EQ(st_of("a").st_rdev, makedev(0, 0));
	OK(unlink("a"));
}

static void links(void)
{
	struct stat a;
	int fd;

	put_text("a", "A");
	OK(mkdir("d", 0755));
	OK(link("a", "d/b"));
	a = st_of("a");
	CHECK_EQ(a.st_nlink, 2);
	CHECK_EQ(st_of("d/b").st_ino, a.st_ino);
	FAILS(link("a", "d/b"), EEXIST);
	FAILS(link("d", "e"), EPERM);
	FAILS(link("missing", "e"), ENOENT);
	put_text("a", "changed");
	text_is("d/b", "changed");
	OK(symlink("a", "s"));
	OK(linkat(AT_FDCWD, "s", AT_FDCWD, "hard-to-symlink", 0));
	CHECK(S_ISLNK(st_of("hard-to-symlink").st_mode));
	OK(linkat(AT_FDCWD, "s", AT_FDCWD, "hard-to-file", AT_SYMLINK_FOLLOW));
	CHECK_EQ(st_of("hard-to-file").st_ino, a.st_ino);
	fd = OK(open("a", O_RDONLY));
	OK(linkat(fd, "", AT_FDCWD, "by-fd", AT_EMPTY_PATH));
	CHECK_EQ(st_of("by-fd").st_nlink, 4);
	OK(unlink("a"));
	OK(unlink("by-fd"));
	OK(unlink("hard-to-file"));
	OK(unlink("d/b"));
	FAILS(linkat(fd, "", AT_FDCWD, "again", AT_EMPTY_PATH), ENOENT);
}

static void symlinks(void)
{
	char target[1024], got[1100];

	for (size_t len = 1; len < sizeof(target); len = len * 3 + 1) {
		memset(target, 'x', len);
		target[len] = '\0';
		OK(symlink(target, "l"));
		CHECK_EQ(st_of("l").st_size, len);
		CHECK_EQ(readlink("l", got, sizeof(got)), len);
		CHECK(!memcmp(got, target, len));
		OK(unlink("l"));
	}
	memset(target, 'y', 1023);
	target[1023] = '\0';
	OK(symlink(target, "long"));
	CHECK_EQ(readlink("long", got, 10), 10);
	CHECK_EQ(readlink("long", got, sizeof(got)), 1023);
	FAILS(symlink("x", "long"), EEXIST);
	FAILS(symlink("", "empty"), ENOENT);
	touch("f");
	FAILS(readlink("f", got, sizeof(got)), EINVAL);
	OK(mkdir("d", 0755));
	put_text("d/f", "through");
	OK(symlink("d", "to-d"));
	OK(symlink("to-d/f", "to-f"));
	text_is("to-f", "through");
	OK(unlink("to-d"));
	CHECK(exists("d/f"));
}

static void special_files(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "socket" };
	int fd, server, client, peer;
	char buf[8] = "";
	pid_t pid;

	OK(mkfifo("fifo", 0600));
	CHECK(S_ISFIFO(st_of("fifo").st_mode));
	pid = OK(fork());
	if (!pid) {
		fd = OK(open("fifo", O_WRONLY));
		CHECK_EQ(write(fd, "hello", 5), 5);
		_exit(0);
	}
	fd = OK(open("fifo", O_RDONLY));
	CHECK_EQ(read(fd, buf, 5), 5);
	CHECK(!strcmp(buf, "hello"));
	REAP(pid);
	CHECK_EQ(read(fd, buf, 5), 0);

	server = OK(socket(AF_UNIX, SOCK_STREAM, 0));
	OK(bind(server, (void *)&address, sizeof(address)));
	CHECK(S_ISSOCK(st_of("socket").st_mode));
	OK(listen(server, 1));
	client = OK(socket(AF_UNIX, SOCK_STREAM, 0));
	OK(connect(client, (void *)&address, sizeof(address)));
	peer = OK(accept(server, NULL, NULL));
	CHECK_EQ(write(client, "world", 5), 5);
	CHECK_EQ(read(peer, buf, 5), 5);
	CHECK(!strcmp(buf, "world"));
	FAILS(bind(OK(socket(AF_UNIX, SOCK_STREAM, 0)), (void *)&address, sizeof(address)), EADDRINUSE);
	FAILS(open("socket", O_RDONLY), ENXIO);

	OK(mknod("null", S_IFCHR | 0666, makedev(1, 3)));
	CHECK_EQ(st_of("null").st_rdev, makedev(1, 3));
	OK(mknod("block", S_IFBLK | 0600, makedev(259, 262143)));
	CHECK_EQ(st_of("block").st_rdev, makedev(259, 262143));
	fd = OK(open("null", O_RDWR));
	CHECK_EQ(write(fd, "x", 1), 1);
	CHECK_EQ(read(fd, buf, 1), 0);
	OK(mknod("plain", S_IFREG | 0644, 0));
	CHECK(S_ISREG(st_of("plain").st_mode));
}

static void folders(void)
{
	nlink_t before = st_of(".").st_nlink;

	OK(mkdir("d", 0751));
	CHECK_EQ(st_of("d").st_mode, S_IFDIR | 0751);
	CHECK_EQ(st_of("d").st_nlink, 2);
	CHECK_EQ(st_of(".").st_nlink, before + 1);
	FAILS(mkdir("d", 0755), EEXIST);
	FAILS(mkdir("no/d", 0755), ENOENT);
	touch("f");
	FAILS(mkdir("f", 0755), EEXIST);
	FAILS(mkdir("f/d", 0755), ENOTDIR);
	touch("d/f");
	FAILS(rmdir("d"), ENOTEMPTY);
	FAILS(rmdir("f"), ENOTDIR);
	FAILS(rmdir("d/."), EINVAL);
	FAILS(rmdir("d/.."), ENOTEMPTY);
	FAILS(unlink("d"), EISDIR);
	OK(unlink("d/f"));
	OK(rmdir("d"));
	CHECK_EQ(st_of(".").st_nlink, before);
	FAILS(rmdir("d"), ENOENT);
}

static void removed_cwd(void)
{
	struct stat st;
	DIR *dir;

	OK(mkdir("d", 0755));
	OK(chdir("d"));
	OK(rmdir("../d"));
	FAILS(open("f", O_CREAT | O_RDWR, 0644), ENOENT);
	FAILS(mkdir("e", 0755), ENOENT);
	OK(fstatat(AT_FDCWD, ".", &st, 0));
	CHECK_EQ(st.st_nlink, 0);
	dir = opendir(".");
	if (dir) {
		while (readdir(dir))
			;
		closedir(dir);
	}
	CHECK(!getcwd((char[4096]){ 0 }, 4096) && errno == ENOENT);
}

static void unlinked_open(void)
{
	char path[64];
	struct stat st;
	int fd, again;

	fd = MAKE_FILE("f", 100000, 7);
	OK(unlink("f"));
	FAILS(lstat("f", &st), ENOENT);
	OK(fstat(fd, &st));
	CHECK_EQ(st.st_nlink, 0);
	HOLDS(fd, 0, 100000, 7, 0);
	CHECK_EQ(pwrite(fd, "tail", 4, 100000), 4);
	CHECK_EQ(SIZE_OF(fd), 100004);
	OK(ftruncate(fd, 50));
	OK(fsync(fd));
	OK(fchmod(fd, 0600));
	/* A new file of the same name is another one. */
	put_text("f", "new");
	HOLDS(fd, 0, 50, 7, 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = OK(open(path, O_RDWR));
	HOLDS(again, 0, 50, 7, 0);
	FAILS(linkat(AT_FDCWD, path, AT_FDCWD, "back", AT_SYMLINK_FOLLOW), ENOENT);
	close(fd);
	HOLDS(again, 0, 50, 7, 0);
}

/* Makes "f" in one of several ways; what is made has another inode than anything before. */
static void make_somehow(int way)
{
	switch (way) {
	case 0:
		close(OK(open("f", O_CREAT | O_EXCL | O_WRONLY, 0644)));
		break;
	case 1:
		OK(mkdir("f", 0755));
		break;
	case 2:
		OK(symlink("nowhere", "f"));
		break;
	case 3:
		OK(mknod("f", S_IFIFO | 0644, 0));
		break;
	case 4:
		touch("other");
		OK(rename("other", "f"));
		break;
	case 5:
		touch("other");
		OK(link("other", "f"));
		OK(unlink("other"));
		break;
	case 6:
		touch("other");
		OK(renameat2(AT_FDCWD, "other", AT_FDCWD, "f", RENAME_NOREPLACE));
		break;
	}
}

/* O_PATH opens nothing: it only keeps the inode in memory. */
static void names_used_again(void)
{
	for (int way = 0; way < 7; way++) {
		struct stat held;
		int fd;

		put_text("f", "old");
		fd = OK(open("f", O_PATH));
		OK(unlink("f"));
		FAILS(open("f", O_RDONLY), ENOENT);
		CHECK(!exists("f"));
		make_somehow(way);
		OK(fstat(fd, &held));
		CHECK_EQ(held.st_nlink, 0);
		CHECK_EQ(held.st_size, 3);
		CHECK(held.st_ino != st_of("f").st_ino);
		close(fd);
		CHECK(exists("f"));
		OK(remove("f"));
		FAILS(remove("f"), ENOENT);
	}
	/* The same with a second name, and with the name moved away instead. */
	put_text("f", "old");
	OK(link("f", "g"));
	OK(unlink("f"));
	put_text("f", "new");
	text_is("g", "old");
	OK(rename("f", "h"));
	CHECK(!exists("f"));
	OK(unlink("g"));
	OK(rename("h", "g"));
	text_is("g", "new");
}

static void names_under_eyes(void)
{
	pid_t looker = OK(fork());

	if (!looker) {
		for (;;) {
			struct stat st;
			int fd = open("f", O_PATH);

			if (fd >= 0) {
				OK(fstat(fd, &st));
				close(fd);
			} else if (errno != ENOENT) {
				tap_fail(__LINE__, errno, "open with O_PATH");
			}
			fd = open("f", O_RDONLY);
			if (fd >= 0)
				close(fd);
			else if (errno != ENOENT)
				tap_fail(__LINE__, errno, "open");
			if (lstat("f", &st) && errno != ENOENT)
				tap_fail(__LINE__, errno, "lstat");
		}
	}
	for (int i = 0; i < 3000; i++) {
		close(OK(open("f", O_CREAT | O_EXCL | O_WRONLY, 0644)));
		OK(unlink("f"));
		CHECK(!exists("f"));
	}
	CHECK_EQ(waitpid(looker, NULL, WNOHANG), 0);
	kill(looker, SIGKILL);
	OK(waitpid(looker, NULL, 0));
}

static void tmpfile_linked(void)
{
	char path[64];
	struct stat st;
	int fd;

	fd = OK(open(".", O_TMPFILE | O_RDWR, 0640));
	OK(fstat(fd, &st));
	CHECK_EQ(st.st_nlink, 0);
	CHECK_EQ(st.st_mode, S_IFREG | 0640);
	CHECK_EQ(write(fd, "nameless", 8), 8);
	OK(fsync(fd));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	OK(linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
	text_is("named", "nameless");
	OK(fstat(fd, &st));
	CHECK_EQ(st.st_nlink, 1);
	CHECK_EQ(write(fd, "!", 1), 1);
	text_is("named", "nameless!");
	fd = OK(open(".", O_TMPFILE | O_RDWR | O_EXCL, 0640));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	FAILS(linkat(AT_FDCWD, path, AT_FDCWD, "never", AT_SYMLINK_FOLLOW), ENOENT);
	FAILS(open(".", O_TMPFILE | O_RDONLY, 0644), EINVAL);
}

static void name_lengths(void)
{
	char name[300], deep[5000];

	memset(name, 'n', sizeof(name));
	name[255] = '\0';
	touch(name);
	CHECK(exists(name));
	OK(unlink(name));
	OK(mkdir(name, 0755));
	OK(rmdir(name));
	name[255] = 'n';
	name[256] = '\0';
	FAILS(open(name, O_CREAT | O_RDWR, 0644), ENAMETOOLONG);
	FAILS(mkdir(name, 0755), ENAMETOOLONG);
	memset(deep, 'p', sizeof(deep) - 1);
	for (size_t i = 100; i < sizeof(deep) - 1; i += 100)
		deep[i] = '/';
	deep[sizeof(deep) - 1] = '\0';
	FAILS(open(deep, O_RDONLY), ENAMETOOLONG);
	/* Every byte but NUL and '/' is fine in a name. */
	for (int c = 1; c < 256; c++) {
		if (c == '/')
			continue;
		snprintf(name, sizeof(name), "c%c", c);
		touch(name);
	}
	for (int c = 1; c < 256; c++) {
		if (c == '/')
			continue;
		snprintf(name, sizeof(name), "c%c", c);
		OK(unlink(name));
	}
}

static void deep_folders(void)
{
	enum { DEPTH = 300 };
	char cwd[4096];

	for (int i = 0; i < DEPTH; i++) {
		OK(mkdir("deep", 0755));
		OK(chdir("deep"));
	}
	put_text("bottom", "b");
	CHECK(getcwd(cwd, sizeof(cwd)));
	CHECK(strlen(cwd) >= DEPTH * 5);
	/* By its absolute path, from elsewhere. */
	OK(chdir("/"));
	strcat(cwd, "/bottom");
	text_is(cwd, "b");
}

static void read_everything(const char *name, int *seen, int count)
{
	DIR *dir = opendir(name);
	struct dirent *entry;
	unsigned int number;

	CHECK(dir);
	memset(seen, 0, count * sizeof(*seen));
	while ((errno = 0, entry = readdir(dir))) {
		if (sscanf(entry->d_name, "file-%u", &number) != 1)
			continue;
		CHECK(number < (unsigned int)count);
		seen[number]++;
	}
	CHECK_EQ(errno, 0);
	closedir(dir);
}

static void many_files(void)
{
	enum { FILES = 10000 };
	static int seen[FILES];
	char name[32];

	OK(mkdir("d", 0755));
	OK(chdir("d"));
	for (int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "file-%05d", i);
		touch(name);
	}
	read_everything(".", seen, FILES);
	for (int i = 0; i < FILES; i++)
		CHECK_EQ(seen[i], 1);
	for (int i = 0; i < FILES; i += 997) {
		snprintf(name, sizeof(name), "file-%05d", i);
		CHECK(exists(name));
	}
	FAILS(open("file-x", O_RDONLY), ENOENT);
	for (int i = 0; i < FILES; i += 2) {
		snprintf(name, sizeof(name), "file-%05d", i);
		OK(unlink(name));
	}
	read_everything(".", seen, FILES);
	for (int i = 0; i < FILES; i++)
		CHECK_EQ(seen[i], i & 1);
	for (int i = 1; i < FILES; i += 2) {
		snprintf(name, sizeof(name), "file-%05d", i);
		OK(unlink(name));
	}
	OK(chdir(".."));
	OK(rmdir("d"));
}

static void telldir_seekdir(void)
{
	enum { FILES = 600 };
	static char names[FILES + 2][256];
	static long places[FILES + 2];
	struct dirent *entry;
	char name[32];
	int count = 0;
	DIR *dir;

	for (int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "file-%05d", i);
		touch(name);
	}
	dir = opendir(".");
	CHECK(dir);
	for (;;) {
		long place = telldir(dir);

		entry = readdir(dir);
		if (!entry)
			break;
		CHECK(count < FILES + 2);
		places[count] = place;
		strcpy(names[count++], entry->d_name);
	}
	CHECK_EQ(count, FILES + 2);
	for (int i = 0; i < count; i += 7) {
		int at = tap_mix(i) % count;

		seekdir(dir, places[at]);
		entry = readdir(dir);
		CHECK(entry && !strcmp(entry->d_name, names[at]));
	}
	rewinddir(dir);
	entry = readdir(dir);
	CHECK(entry && !strcmp(entry->d_name, names[0]));
	closedir(dir);
}

static void readdir_while_changing(void)
{
	enum { FILES = 1500 };
	static int seen[FILES];
	char name[32], buf[700];
	unsigned int number;
	int fd, step = 0;

	for (int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "file-%05d", i);
		touch(name);
	}
	/* A small buffer, so that the directory is read in many calls, with changes in between. */
	fd = OK(open(".", O_RDONLY | O_DIRECTORY));
	for (;;) {
		long n = OK(syscall(SYS_getdents64, fd, buf, sizeof(buf)));

		if (!n)
			break;
		for (long at = 0; at < n;) {
			struct dirent64 *entry = (void *)(buf + at);

			if (sscanf(entry->d_name, "file-%u", &number) == 1)
				seen[number]++;
			at += entry->d_reclen;
		}
		/* Odd ones go, others come; what stays is to be seen exactly once. */
		for (int i = 0; i < 20; i++, step++) {
			if (step * 2 + 1 < FILES) {
				snprintf(name, sizeof(name), "file-%05d", step * 2 + 1);
				OK(unlink(name));
			}
			snprintf(name, sizeof(name), "other-%05d", step);
			if (step < 2000)
				touch(name);
		}
	}
	for (int i = 0; i < FILES; i += 2)
		if (seen[i] != 1)
			tap_fail(__LINE__, 0, "file-%05d was seen %d times", i, seen[i]);
	for (int i = 1; i < FILES; i += 2)
		CHECK(seen[i] <= 1);
}

static void entry_types(void)
{
	struct dirent *entry;
	int found = 0;
	DIR *dir;

	touch("f");
	OK(mkdir("d", 0755));
	OK(symlink("f", "l"));
	OK(mkfifo("p", 0644));
	dir = opendir(".");
	CHECK(dir);
	while ((entry = readdir(dir))) {
		struct stat st = st_of(entry->d_name);

		if (strcmp(entry->d_name, ".."))
			CHECK_EQ(entry->d_ino, st.st_ino);
		CHECK(entry->d_type == DT_UNKNOWN || entry->d_type == IFTODT(st.st_mode));
		found++;
	}
	CHECK_EQ(found, 6);
	closedir(dir);
}

static bool later(struct timespec a, struct timespec b)
{
	return a.tv_sec > b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec > b.tv_nsec);
}

/* The clock of time stamps ticks with the timer (current_time() in fs/inode.c): wait until it has moved on. */
static void tick(void)
{
	struct timespec start, now;

	clock_gettime(CLOCK_REALTIME_COARSE, &start);
	do
		clock_gettime(CLOCK_REALTIME_COARSE, &now);
	while (!later(now, start));
}

static void time_stamps(void)
{
	struct timespec times[2] = { { 1000000000, 123456789 }, { 2000000000, 987654321 } };
	struct stat a, b, dir;
	int fd;

	put_text("f", "x");
	OK(utimensat(AT_FDCWD, "f", times, 0));
	a = st_of("f");
	CHECK_EQ(a.st_atim.tv_sec, 1000000000);
	CHECK_EQ(a.st_atim.tv_nsec, 123456789);
	CHECK_EQ(a.st_mtim.tv_sec, 2000000000);
	CHECK_EQ(a.st_mtim.tv_nsec, 987654321);
	times[0].tv_nsec = UTIME_OMIT;
	times[1].tv_nsec = UTIME_NOW;
	OK(utimensat(AT_FDCWD, "f", times, 0));
	b = st_of("f");
	CHECK_EQ(b.st_atim.tv_nsec, 123456789);
	CHECK(b.st_mtim.tv_sec != 2000000000);

	dir = st_of(".");
	tick();
	touch("g");
	CHECK(later(st_of(".").st_mtim, dir.st_mtim));
	a = st_of("g");
	dir = st_of(".");
	tick();
	OK(rename("g", "h"));
	b = st_of("h");
	CHECK(later(b.st_ctim, a.st_ctim));
	CHECK(!later(b.st_mtim, a.st_mtim));
	CHECK(later(st_of(".").st_mtim, dir.st_mtim));
	tick();
	OK(link("h", "i"));
	CHECK(later(st_of("h").st_ctim, b.st_ctim));
	b = st_of("h");
	tick();
	OK(chmod("h", 0600));
	CHECK(later(st_of("h").st_ctim, b.st_ctim));
	b = st_of("h");
	tick();
	fd = OK(open("h", O_RDWR));
	CHECK_EQ(write(fd, "x", 1), 1);
	CHECK(later(st_of("h").st_mtim, b.st_mtim));
	b = st_of("h");
	tick();
	OK(ftruncate(fd, 0));
	CHECK(later(st_of("h").st_mtim, b.st_mtim));
	b = st_of("h");
	tick();
	OK(unlink("i"));
	CHECK(later(st_of("h").st_ctim, b.st_ctim));
	CHECK_EQ(st_of("h").st_nlink, 1);
}

static void access_time(void)
{
	struct timespec times[2] = { { 1000000000, 1 }, { 2000000000, 1 } };
	struct stat st;
	char c;
	int fd;

	put_text("f", "x");
	OK(utimensat(AT_FDCWD, "f", times, 0));
	fd = OK(open("f", O_RDONLY | O_NOATIME));
	CHECK_EQ(read(fd, &c, 1), 1);
	CHECK_EQ(st_of("f").st_atim.tv_sec, 1000000000);
	fd = OK(open("f", O_RDONLY));
	CHECK_EQ(read(fd, &c, 1), 1);
	/* relatime: older than mtime, so it moves */
	OK(fstat(fd, &st));
	CHECK(st.st_atim.tv_sec > 1000000000);
	/* With one open file: it moves once after each change of the content or the attributes, and once an access is old. */
	fd = OK(open("g", O_CREAT | O_RDWR, 0644));
	for (int round = 0; round < 8; round++) {
		tick();
		switch (round % 4) {
		case 0:
			CHECK_EQ(pwrite(fd, "y", 1, 0), 1);
			break;
		case 1:
			OK(fchmod(fd, round == 1 ? 0600 : 0640));
			break;
		case 2:
			times[0] = (struct timespec){ 1000000000, 1 };
			times[1] = (struct timespec){ 1000000000, 0 };
			OK(futimens(fd, times));
			break;
		case 3:
			OK(link("g", round == 3 ? "g3" : "g7"));
			break;
		}
		for (int again = 0; again < 3; again++) {
			struct stat before = st_of("g");

			tick();
			CHECK_EQ(pread(fd, &c, 1, 0), 1);
			st = st_of("g");
			CHECK_EQ(later(st.st_atim, before.st_atim), !again);
		}
	}
}

static void statx_fields(void)
{
	struct timespec before, after;
	struct statx sx;
	struct stat st;

	clock_gettime(CLOCK_REALTIME_COARSE, &before);
	close(MAKE_FILE("f", 10000, 3));
	clock_gettime(CLOCK_REALTIME, &after);
	OK(statx(AT_FDCWD, "f", AT_STATX_FORCE_SYNC, STATX_BASIC_STATS | STATX_BTIME, &sx));
	CHECK((sx.stx_mask & (STATX_BASIC_STATS | STATX_BTIME)) == (STATX_BASIC_STATS | STATX_BTIME));
	CHECK(sx.stx_btime.tv_sec >= before.tv_sec && sx.stx_btime.tv_sec <= after.tv_sec);
	st = st_of("f");
	CHECK_EQ(sx.stx_ino, st.st_ino);
	CHECK_EQ(sx.stx_size, 10000);
	CHECK_EQ(sx.stx_mode, st.st_mode);
	CHECK_EQ(sx.stx_blksize, st.st_blksize);
	CHECK_EQ(makedev(sx.stx_dev_major, sx.stx_dev_minor), st.st_dev);
	CHECK_EQ(st.st_dev, st_of(".").st_dev);
	OK(statx(AT_FDCWD, "f", AT_STATX_DONT_SYNC, STATX_SIZE, &sx));
	CHECK_EQ(sx.stx_size, 10000);
	CHECK(sx.stx_attributes_mask & STATX_ATTR_APPEND);
}

static void truncate_paths(void)
{
	int fd = MAKE_FILE("f", 100000, 5);

	OK(truncate("f", 1234567));
	CHECK_EQ(SIZE_OF(fd), 1234567);
	HOLDS(fd, 0, 100000, 5, 0);
	HOLDS_ZEROS(fd, 100000, 1134567);
	OK(truncate("f", 777));
	CHECK_EQ(SIZE_OF(fd), 777);
	OK(truncate("f", 9000));
	HOLDS(fd, 0, 777, 5, 0);
	HOLDS_ZEROS(fd, 777, 9000 - 777);
	OK(mkdir("d", 0755));
	FAILS(truncate("d", 0), EISDIR);
	FAILS(truncate("missing", 0), ENOENT);
	FAILS(truncate("f", -1), EINVAL);
}

static void folder_fsync(void)
{
	int fd = OK(open(".", O_RDONLY));

	touch("f");
	OK(fsync(fd));
	OK(fdatasync(fd));
	OK(syncfs(fd));
	sync();
}

static void handle_of_cwd(void)
{
	int fd;

	OK(mkdir("d", 0755));
	fd = OK(open("d", O_RDONLY | O_DIRECTORY));
	OK(rename("d", "e"));
	close(OK(openat(fd, "f", O_CREAT | O_RDWR, 0644)));
	CHECK(exists("e/f"));
	OK(fchdir(fd));
	touch("g");
	CHECK(exists("../e/g"));
	OK(mkdirat(fd, "sub", 0755));
	OK(renameat(fd, "g", fd, "sub/g"));
	CHECK(exists("sub/g"));
	OK(unlinkat(fd, "sub/g", 0));
	OK(unlinkat(fd, "sub", AT_REMOVEDIR));
}

static void concurrent_creates(void)
{
	enum { PROCESSES = 4, FILES = 150 };
	static int seen[PROCESSES * FILES];
	pid_t pids[PROCESSES];
	int won[2], wins = 0;
	char name[32], c;

	OK(pipe(won));
	for (int p = 0; p < PROCESSES; p++) {
		pids[p] = OK(fork());
		if (pids[p])
			continue;
		for (int i = 0; i < FILES; i++) {
			snprintf(name, sizeof(name), "file-%05d", p * FILES + i);
			close(OK(open(name, O_CREAT | O_EXCL | O_RDWR, 0644)));
			snprintf(name, sizeof(name), "race-%d", i);
			int fd = open(name, O_CREAT | O_EXCL | O_RDWR, 0644);

			if (fd < 0)
				CHECK_EQ(errno, EEXIST);
			else
				CHECK_EQ(write(won[1], "w", 1), 1);
			close(fd);
		}
		_exit(0);
	}
	close(won[1]);
	while (read(won[0], &c, 1) == 1)
		wins++;
	for (int p = 0; p < PROCESSES; p++)
		REAP(pids[p]);
	/* Each contested name was made by exactly one of them. */
	CHECK_EQ(wins, FILES);
	read_everything(".", seen, PROCESSES * FILES);
	for (int i = 0; i < PROCESSES * FILES; i++)
		CHECK_EQ(seen[i], 1);
}

static void space_is_counted(void)
{
	struct statvfs before, during, after;
	int fd;

	sync();
	OK(statvfs(".", &before));
	CHECK(before.f_blocks && before.f_bfree <= before.f_blocks && before.f_namemax == 255);
	fd = OK(open("f", O_CREAT | O_RDWR, 0644));
	OK(fallocate(fd, 0, 0, 64 << 20));
	OK(fsync(fd));
	OK(statvfs(".", &during));
	CHECK(before.f_bfree - during.f_bfree >= (64 << 20) / before.f_frsize);
	CHECK_EQ(st_of("f").st_blocks, (64 << 20) / 512);
	close(fd);
	OK(unlink("f"));
	/* XFS frees the space of an unlinked inode in the background. */
	for (int i = 0; i < 1000; i++) {
		sync();
		OK(statvfs(".", &after));
		if (after.f_bfree + 1000 > before.f_bfree)
			return;
		usleep(10000);
	}
	tap_fail(__LINE__, 0, "the space of a removed file did not come back in 10 s");
}

/* What one process removes, another opens by its handle. */
struct published {
	struct file_handle h;
	unsigned char room[MAX_HANDLE_SZ];
	ino_t ino;
	int number;	/* odd while it is written; -1 at the end */
};

static bool take_published(const struct published *from, struct published *to)
{
	int number = __atomic_load_n(&from->number, __ATOMIC_ACQUIRE);

	memcpy(to, from, sizeof(*to));
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return number > 0 && number % 2 == 0 && __atomic_load_n(&from->number, __ATOMIC_RELAXED) == number;
}

static void open_published(const struct published *shared)
{
	int here = OK(open(".", O_RDONLY | O_DIRECTORY)), opened = 0, stale = 0;
	struct published mine;
	struct stat st;

	while (__atomic_load_n(&shared->number, __ATOMIC_ACQUIRE) >= 0) {
		int fd;

		if (!take_published(shared, &mine))
			continue;
		fd = open_by_handle_at(here, &mine.h, O_RDONLY);
		if (fd < 0) {
			CHECK_EQ(errno, ESTALE);
			stale++;
			continue;
		}
		opened++;
		OK(fstat(fd, &st));
		CHECK_EQ(st.st_ino, mine.ino);
		CHECK(st.st_nlink <= 1);
		close(fd);
	}
	CHECK(opened && stale);
}

static void removed_by_handle(void)
{
	struct published *shared = OK(mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	int here = OK(open(".", O_RDONLY | O_DIRECTORY)), mount_id;
	pid_t child = OK(fork());

	if (!child) {
		open_published(shared);
		_exit(0);
	}
	for (int i = 0; i < 3000; i++) {
		close(OK(open("f", O_CREAT | O_EXCL | O_RDWR, 0644)));
		__atomic_store_n(&shared->number, 2 * i + 1, __ATOMIC_SEQ_CST);
		shared->h.handle_bytes = MAX_HANDLE_SZ;
		OK(name_to_handle_at(AT_FDCWD, "f", &shared->h, &mount_id, 0));
		shared->ino = st_of("f").st_ino;
		__atomic_store_n(&shared->number, 2 * i + 2, __ATOMIC_SEQ_CST);
		if (i % 3)
			sched_yield();
		OK(unlink("f"));
	}
	__atomic_store_n(&shared->number, -1, __ATOMIC_SEQ_CST);
	REAP(child);
	FAILS(open_by_handle_at(here, &shared->h, O_RDONLY), ESTALE);
}

static char *through_proc(int fd)
{
	static char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return path;
}

/* Opens the name until told to stop; @twice: as systemd does, first with O_PATH and then what that found. */
static void open_replaced(const int *stop, bool twice)
{
	char text[4];
	int fd, found;

	while (!__atomic_load_n(stop, __ATOMIC_ACQUIRE)) {
		fd = OK(open("v", twice ? O_PATH : O_RDONLY));
		if (twice) {
			found = fd;
			fd = OK(open(through_proc(found), O_RDONLY));
			close(found);
		}
		CHECK_EQ(read(fd, text, sizeof(text)), 4);
		CHECK(!memcmp(text, "good", 4));
		close(fd);
	}
}

/* rename(): "the link named new shall remain visible to other threads throughout the renaming operation" (POSIX). */
static void replaced_under_eyes(void)
{
	int *stop = OK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	pid_t readers[2];

	put_text("v", "good");
	for (int twice = 0; twice < 2; twice++) {
		readers[twice] = OK(fork());
		if (!readers[twice]) {
			open_replaced(stop, twice);
			_exit(0);
		}
	}
	for (int i = 0; i < 1500 && waitpid(readers[0], NULL, WNOHANG | WNOWAIT) <= 0; i++) {
		put_text("t", "good");
		OK(rename("t", "v"));
	}
	__atomic_store_n(stop, 1, __ATOMIC_RELEASE);
	REAP(readers[0]);
	REAP(readers[1]);
}

static void opened_through_proc(void)
{
	struct stat st;
	char text[8];
	int fd, again;

	put_text("f", "good");
	fd = OK(open("f", O_PATH));
	OK(unlink("f"));
	CHECK(!exists("f"));
	again = OK(open(through_proc(fd), O_RDWR));
	CHECK_EQ(read(again, text, sizeof(text)), 4);
	CHECK_EQ(write(again, "more", 4), 4);
	close(again);
	again = OK(open(through_proc(fd), O_RDONLY));
	CHECK_EQ(read(again, text, sizeof(text)), 8);
	OK(fstat(fd, &st));
	CHECK_EQ(st.st_nlink, 0);
	close(again);
	close(fd);
	OK(mkfifo("p", 0600));
	fd = OK(open("p", O_PATH));
	OK(unlink("p"));
	close(OK(open(through_proc(fd), O_RDWR)));
	OK(fstat(fd, &st));
	CHECK(S_ISFIFO(st.st_mode) && !st.st_nlink);
}

/* One process closes what the other removes, at the same moment: whoever is last, the space is free. */
static void closed_while_removed(void)
{
	int *turn = OK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	struct statvfs before, after;
	pid_t child;

	sync();
	OK(statvfs(".", &before));
	child = OK(fork());
	for (int i = 0; i < 2000; i++) {
		if (!child) {
			while (__atomic_load_n(turn, __ATOMIC_ACQUIRE) != 2 * i + 1)
				sched_yield();
			int fd = OK(open("f", O_RDONLY));

			__atomic_store_n(turn, 2 * i + 2, __ATOMIC_RELEASE);
			for (volatile int spin = i % 200 * 10; spin > 0; spin--)
				;
			close(fd);
		} else {
			int fd = OK(open("f", O_CREAT | O_EXCL | O_RDWR, 0644));

			OK(fallocate(fd, 0, 0, 65536));
			close(fd);
			__atomic_store_n(turn, 2 * i + 1, __ATOMIC_RELEASE);
			while (__atomic_load_n(turn, __ATOMIC_ACQUIRE) != 2 * i + 2)
				sched_yield();
			OK(unlink("f"));
		}
	}
	if (!child)
		_exit(0);
	REAP(child);
	/* A hundredth of what was written may be on its way: XFS frees in the background. */
	for (int i = 0; i < 1000; i++) {
		sync();
		OK(statvfs(".", &after));
		if (after.f_bfree + 320 > before.f_bfree && after.f_ffree + 20 > before.f_ffree)
			return;
		usleep(10000);
	}
	tap_fail(__LINE__, 0, "%lld blocks are not free again", (long long)before.f_bfree - (long long)after.f_bfree);
}

static const struct test tests[] = {
	{ "open with O_CREAT makes a file of the mode less the umask", create_mode },
	{ "O_CREAT with O_EXCL refuses any existing name", create_exclusive },
	{ "O_TRUNC empties a file", truncate_on_open },
	{ "O_APPEND writes at the end wherever the position is", append_position },
	{ "records appended by four processes are all there and whole", append_processes },
	{ "open fails with the errno that fits", open_errors },
	{ "rename replaces a file, which lives on while open", rename_replaces },
	{ "rename between two names of one file does nothing", rename_same_inode },
	{ "rename of folders keeps links, '..' and the rules", rename_folders },
	{ "RENAME_NOREPLACE never replaces", rename_noreplace },
	{ "RENAME_EXCHANGE swaps files and folders", rename_exchange },
	{ "RENAME_WHITEOUT leaves a whiteout", rename_whiteout },
	{ "hard links share the inode and its count", links },
	{ "symbolic links hold up to 1023 bytes and are followed", symlinks },
	{ "fifo, socket and device nodes work", special_files },
	{ "mkdir and rmdir keep link counts and refuse what they must", folders },
	{ "in a removed working directory nothing can be made", removed_cwd },
	{ "an unlinked file is read, written and grown while open", unlinked_open },
	{ "the name of a removed file is free at once, though its inode is held", names_used_again },
	{ "a name is removed and made again while others look at it", names_under_eyes },
	{ "a removed file is gone for who has its handle, and who opens it meanwhile has it whole", removed_by_handle },
	{ "a name that is replaced is the old file or the new one for who opens it", replaced_under_eyes },
	{ "what O_PATH holds is opened through /proc when its name is gone", opened_through_proc },
	{ "a file that is closed while it is removed leaves nothing", closed_while_removed },
	{ "O_TMPFILE has no name until it is linked", tmpfile_linked },
	{ "names have up to 255 bytes of any value", name_lengths },
	{ "three hundred folders deep works", deep_folders },
	{ "ten thousand files are listed once each and removed", many_files },
	{ "seekdir goes back to what telldir named", telldir_seekdir },
	{ "a directory read while it changes shows what stays exactly once", readdir_while_changing },
	{ "directory entries carry inode number and type", entry_types },
	{ "time stamps change when they must, and are kept to the nanosecond", time_stamps },
	{ "reading moves the access time, with O_NOATIME it does not", access_time },
	{ "statx tells birth time, size and attributes", statx_fields },
	{ "truncate cuts and grows with zeros", truncate_paths },
	{ "a directory is made durable by fsync and syncfs", folder_fsync },
	{ "a directory's descriptor follows it through a rename", handle_of_cwd },
	{ "of four creators of one name exactly one wins", concurrent_creates },
	{ "used and freed space shows in statfs", space_is_counted },
};

TAP_MAIN(tests)
