// SPDX-License-Identifier: Apache-2.0
/* Who may do what: modes, set-id bits, sticky folders, ACLs, extended attributes, file flags, limits. */
#include "tap.h"
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/xattr.h>

enum { USER1 = 1001, USER2 = 1002 };

static mode_t mode_of(const char *name)
{
	struct stat st;

	OK(lstat(name, &st));
	return st.st_mode & 07777;
}

static void make(const char *name, mode_t mode, uid_t uid, gid_t gid)
{
	close(MAKE_FILE(name, 100, 1));
	OK(chown(name, uid, gid));
	OK(chmod(name, mode));
}

static void run(const char *line)
{
	int status = system(line);

	if (status)
		tap_fail(__LINE__, 0, "'%s' ended with status 0x%x", line, status);
}

static void modes_decide(void)
{
	char c;

	make("private", 0600, USER1, USER1);
	make("group", 0640, USER1, USER2);
	make("none", 0000, USER2, USER2);
	IN_CHILD(
		BECOME(USER2);
		FAILS(open("private", O_RDONLY), EACCES);
		FAILS(open("group", O_RDWR), EACCES);
		int fd = OK(open("group", O_RDONLY));
		CHECK_EQ(read(fd, &c, 1), 1);
		/* the owner's bits count for the owner, even when they give less */
		FAILS(open("none", O_RDONLY), EACCES);
		FAILS(access("private", R_OK), EACCES);
		OK(access("private", F_OK));
		FAILS(truncate("private", 0), EACCES);
		FAILS(execl("./group", "group", NULL), EACCES);
	);
	IN_CHILD(
		BECOME(USER1);
		close(OK(open("private", O_RDWR)));
	);
	close(OK(open("none", O_RDWR)));
}

static void folders_decide(void)
{
	OK(mkdir("closed", 0700));
	OK(mkdir("search", 0711));
	OK(mkdir("list", 0744));
	OK(mkdir("open", 0755));
	OK(chmod("open", 0777));
	make("search/f", 0644, 0, 0);
	make("list/f", 0644, 0, 0);
	make("open/f", 0600, 0, 0);
	IN_CHILD(
		struct stat st;

		BECOME(USER1);
		FAILS(stat("closed/f", &st), EACCES);
		FAILS(open("search", O_RDONLY), EACCES);
		OK(stat("search/f", &st));
		FAILS(stat("list/f", &st), EACCES);
		FAILS(open("search/new", O_CREAT | O_RDWR, 0644), EACCES);
		FAILS(unlink("search/f"), EACCES);
		FAILS(rename("search/f", "open/g"), EACCES);
		FAILS(mkdir("search/d", 0755), EACCES);
		FAILS(symlink("x", "search/l"), EACCES);
		FAILS(mkfifo("search/p", 0644), EACCES);
		FAILS(open("search", O_TMPFILE | O_RDWR, 0644), EACCES);
		/* who may write a folder may remove what others own */
		OK(unlink("open/f"));
	);
}

static void owners_only(void)
{
	struct timespec times[2] = { { 1, 0 }, { 2, 0 } };

	make("f", 0666, USER1, USER1);
	IN_CHILD(
		BECOME(USER2);
		FAILS(chmod("f", 0777), EPERM);
		FAILS(chown("f", USER2, -1), EPERM);
		FAILS(chown("f", -1, USER2), EPERM);
		FAILS(utimensat(AT_FDCWD, "f", times, 0), EPERM);
		OK(utimensat(AT_FDCWD, "f", NULL, 0));	/* "now" only needs write permission */
		FAILS(open("f", O_RDONLY | O_NOATIME), EPERM);
	);
	IN_CHILD(
		BECOME(USER1);
		OK(chmod("f", 0600));
		FAILS(chown("f", 0, -1), EPERM);
		FAILS(chown("f", -1, USER2), EPERM);
		OK(chown("f", -1, USER1));
		OK(utimensat(AT_FDCWD, "f", times, 0));
		close(OK(open("f", O_RDONLY | O_NOATIME)));
	);
}

static void write_clears_setid(void)
{
	make("f", 06777, USER1, USER1);
	int root = OK(open("f", O_RDWR));

	CHECK_EQ(write(root, "r", 1), 1);	/* CAP_FSETID keeps them */
	CHECK_EQ(mode_of("f"), 06777);
	IN_CHILD(
		BECOME(USER2);
		int fd = OK(open("f", O_RDWR));
		CHECK_EQ(write(fd, "x", 1), 1);
	);
	CHECK_EQ(mode_of("f"), 0777);
	OK(chmod("f", 06767));
	IN_CHILD(
		BECOME(USER2);
		int fd = OK(open("f", O_RDWR));
		CHECK_EQ(write(fd, "x", 1), 1);
	);
	/* setgid without group execution is no set-id bit; the user's goes */
	CHECK((mode_of("f") & 04000) == 0);
	OK(chmod("f", 06777));
	IN_CHILD(
		BECOME(USER2);
		OK(truncate("f", 10));
	);
	CHECK_EQ(mode_of("f"), 0777);
	OK(chmod("f", 06777));
	IN_CHILD(
		BECOME(USER2);
		int fd = OK(open("f", O_RDWR));
		OK(fallocate(fd, 0, 0, 5000));
	);
	CHECK_EQ(mode_of("f"), 0777);
	OK(chmod("f", 06777));
	IN_CHILD(
		BECOME(USER2);
		int fd = OK(open("f", O_RDWR | O_APPEND));
		CHECK_EQ(write(fd, "y", 1), 1);
	);
	CHECK_EQ(mode_of("f"), 0777);
}

static void chown_clears_setid(void)
{
	make("f", 06755, USER1, USER1);
	OK(chown("f", USER2, USER2));
	CHECK_EQ(mode_of("f"), 0755);
	OK(chmod("f", 06755));
	OK(chown("f", -1, -1));
	make("g", 0755, USER1, USER2);
	IN_CHILD(
		/* not a member of the group: the bit is dropped without an error (chmod(2)) */
		BECOME(USER1);
		OK(chmod("g", 02755));
	);
	CHECK_EQ(mode_of("g"), 0755);
}

static void sticky_folder(void)
{
	OK(mkdir("tmp", 0777));
	OK(chmod("tmp", 01777));
	make("tmp/a", 0666, USER1, USER1);
	make("tmp/b", 0666, USER2, USER2);
	IN_CHILD(
		BECOME(USER2);
		FAILS(unlink("tmp/a"), EPERM);
		FAILS(rename("tmp/a", "tmp/c"), EPERM);
		FAILS(rename("tmp/b", "tmp/a"), EPERM);
		OK(rename("tmp/b", "tmp/d"));
		OK(unlink("tmp/d"));
	);
	IN_CHILD(
		BECOME(USER1);
		OK(unlink("tmp/a"));
	);
}

static void setgid_folder(void)
{
	struct stat st;

	OK(mkdir("d", 0755));
	OK(chown("d", 0, USER2));
	OK(chmod("d", 02777));
	IN_CHILD(
		BECOME(USER1);
		close(OK(open("d/f", O_CREAT | O_RDWR, 0644)));
		OK(mkdir("d/sub", 0755));
	);
	OK(stat("d/f", &st));
	CHECK_EQ(st.st_uid, USER1);
	CHECK_EQ(st.st_gid, USER2);
	OK(stat("d/sub", &st));
	CHECK_EQ(st.st_gid, USER2);
	CHECK_EQ(st.st_mode & 07777, 02755);
}

static void acl_grants(void)
{
	char c;

	make("f", 0600, USER1, USER1);
	run("setfacl -m u:user2:r f");
	CHECK_EQ(mode_of("f"), 0640);	/* the group bits show the mask */
	IN_CHILD(
		BECOME(USER2);
		int fd = OK(open("f", O_RDONLY));
		CHECK_EQ(read(fd, &c, 1), 1);
		FAILS(open("f", O_RDWR), EACCES);
		FAILS(setxattr("f", "system.posix_acl_access", "", 0, 0), EPERM);
	);
	run("test \"$(getfacl -cE f | tr -s '\\n' ' ')\" = 'user::rw- user:user2:r-- group::--- mask::r-- other::--- '");
	/* chmod sets the mask, which limits the named user */
	OK(chmod("f", 0600));
	IN_CHILD(
		BECOME(USER2);
		FAILS(open("f", O_RDONLY), EACCES);
	);
	run("setfacl -m m::rw,u:user2:rw f");
	IN_CHILD(
		BECOME(USER2);
		close(OK(open("f", O_RDWR)));
	);
	run("setfacl -b f");
	IN_CHILD(
		BECOME(USER2);
		FAILS(open("f", O_RDONLY), EACCES);
	);
	FAILS(getxattr("f", "system.posix_acl_access", NULL, 0), ENODATA);
}

static void acl_default(void)
{
	umask(077);
	OK(mkdir("d", 0755));
	run("setfacl -d -m u::rwx,g::r-x,o::---,u:user2:rwx d");
	close(OK(open("d/f", O_CREAT | O_RDWR, 0666)));
	OK(mkdir("d/sub", 0777));
	/* with a default ACL the umask does not count */
	CHECK_EQ(mode_of("d/f"), 0660);
	run("getfacl -cE d/f | grep -qx 'user:user2:rwx'");
	run("getfacl -cEd d/sub | grep -qx 'default:user:user2:rwx' || getfacl -cE d/sub | grep -qx 'default:user:user2:rwx'");
	OK(chmod("d", 0755));
	IN_CHILD(
		BECOME(USER2);
		close(OK(open("d/f", O_RDWR)));
		close(OK(open("d/sub/by-user2", O_CREAT | O_RDWR, 0666)));
	);
	OK(mkfifo("d/p", 0666));
	run("getfacl -cE d/p | grep -qx 'user:user2:rwx'");
	run("setfacl -k d");
	close(OK(open("d/g", O_CREAT | O_RDWR, 0666)));
	CHECK_EQ(mode_of("d/g"), 0600);
}

static void xattr_user(void)
{
	char buf[200], list[200];
	ssize_t n;

	close(MAKE_FILE("f", 10, 1));
	OK(setxattr("f", "user.one", "1", 1, 0));
	OK(setxattr("f", "user.two", "", 0, 0));
	FAILS(setxattr("f", "user.one", "x", 1, XATTR_CREATE), EEXIST);
	FAILS(setxattr("f", "user.new", "x", 1, XATTR_REPLACE), ENODATA);
	OK(setxattr("f", "user.one", "one", 3, XATTR_REPLACE));
	CHECK_EQ(getxattr("f", "user.one", NULL, 0), 3);
	FAILS(getxattr("f", "user.one", buf, 2), ERANGE);
	CHECK_EQ(getxattr("f", "user.one", buf, sizeof(buf)), 3);
	CHECK(!memcmp(buf, "one", 3));
	CHECK_EQ(getxattr("f", "user.two", buf, sizeof(buf)), 0);
	FAILS(getxattr("f", "user.none", buf, sizeof(buf)), ENODATA);
	n = OK(listxattr("f", list, sizeof(list)));
	CHECK_EQ(listxattr("f", NULL, 0), n);
	FAILS(listxattr("f", list, 3), ERANGE);
	CHECK(memmem(list, n, "user.one", 9) && memmem(list, n, "user.two", 9));
	OK(removexattr("f", "user.one"));
	FAILS(removexattr("f", "user.one"), ENODATA);
	FAILS(setxattr("f", "unknown.one", "x", 1, 0), EOPNOTSUPP);
	FAILS(setxattr("f", "user.", "x", 1, 0), EINVAL);
	OK(symlink("f", "l"));
	FAILS(lsetxattr("l", "user.x", "x", 1, 0), EPERM);
	OK(lsetxattr("l", "trusted.x", "x", 1, 0));
	CHECK_EQ(lgetxattr("l", "trusted.x", buf, sizeof(buf)), 1);
	OK(mkdir("d", 0755));
	OK(setxattr("d", "user.x", "dir", 3, 0));
	CHECK_EQ(getxattr("d", "user.x", buf, sizeof(buf)), 3);
	int fd = OK(open("f", O_RDWR));

	OK(fsetxattr(fd, "user.fd", "by fd", 5, 0));
	CHECK_EQ(fgetxattr(fd, "user.fd", buf, sizeof(buf)), 5);
	OK(fremovexattr(fd, "user.fd"));
	OK(mkfifo("p", 0666));
	FAILS(setxattr("p", "user.x", "x", 1, 0), EPERM);
}

static void xattr_large(void)
{
	static char value[65537], got[65536];
	char name[300];

	close(MAKE_FILE("f", 10, 1));
	for (size_t len = 1; len < sizeof(value); len *= 4) {
		tap_pattern(value, len, len, 0);
		OK(setxattr("f", "user.large", value, len, 0));
		CHECK_EQ(getxattr("f", "user.large", got, sizeof(got)), len);
		CHECK_EQ(tap_differs(got, len, len, 0), -1);
	}
	FAILS(setxattr("f", "user.large", value, sizeof(value), 0), E2BIG);
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "user.number-%d", i);
		OK(setxattr("f", name, name, strlen(name), 0));
	}
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "user.number-%d", i);
		CHECK_EQ(getxattr("f", name, got, sizeof(got)), strlen(name));
		CHECK(!memcmp(got, name, strlen(name)));
		OK(removexattr("f", name));
	}
	memset(name, 'n', sizeof(name));
	memcpy(name, "user.", 5);
	name[255] = '\0';
	OK(setxattr("f", name, "x", 1, 0));
	name[255] = 'n';
	name[256] = '\0';
	FAILS(setxattr("f", name, "x", 1, 0), ERANGE);
}

static void xattr_permission(void)
{
	char buf[8];

	make("f", 0644, USER1, USER1);
	OK(setxattr("f", "trusted.t", "t", 1, 0));
	OK(setxattr("f", "user.u", "u", 1, 0));
	IN_CHILD(
		char list[100];

		BECOME(USER2);
		CHECK_EQ(getxattr("f", "user.u", buf, sizeof(buf)), 1);
		FAILS(setxattr("f", "user.u", "x", 1, 0), EACCES);
		FAILS(getxattr("f", "trusted.t", buf, sizeof(buf)), ENODATA);
		FAILS(setxattr("f", "trusted.t", "x", 1, 0), EPERM);
		ssize_t n = OK(listxattr("f", list, sizeof(list)));

		CHECK(!memmem(list, n, "trusted.t", 10));
		CHECK(memmem(list, n, "user.u", 7));
	);
}

static void file_capabilities(void)
{
	struct vfs_cap_data cap = { .magic_etc = VFS_CAP_REVISION_2, .data[0].permitted = 1 << CAP_NET_RAW }, got;

	make("f", 0777, USER1, USER1);
	OK(setxattr("f", "security.capability", &cap, sizeof(cap), 0));
	CHECK_EQ(getxattr("f", "security.capability", &got, sizeof(got)), sizeof(got));
	CHECK_EQ(got.data[0].permitted, 1 << CAP_NET_RAW);
	/* writing a file takes its capabilities, whoever writes */
	int fd = OK(open("f", O_RDWR));

	CHECK_EQ(write(fd, "x", 1), 1);
	close(fd);
	FAILS(getxattr("f", "security.capability", &got, sizeof(got)), ENODATA);
	OK(setxattr("f", "security.capability", &cap, sizeof(cap), 0));
	OK(truncate("f", 1));
	FAILS(getxattr("f", "security.capability", &got, sizeof(got)), ENODATA);
	OK(setxattr("f", "security.capability", &cap, sizeof(cap), 0));
	OK(chown("f", USER2, -1));
	FAILS(getxattr("f", "security.capability", &got, sizeof(got)), ENODATA);
}

static void immutable(void)
{
	struct statx sx;
	int fd = MAKE_FILE("f", 100, 1), folder;

	SET_FLAGS(fd, FS_IMMUTABLE_FL, 0);
	OK(statx(AT_FDCWD, "f", 0, STATX_BASIC_STATS, &sx));
	CHECK(sx.stx_attributes & STATX_ATTR_IMMUTABLE);
	FAILS(open("f", O_RDWR), EPERM);
	close(OK(open("f", O_RDONLY)));
	FAILS(unlink("f"), EPERM);
	FAILS(rename("f", "g"), EPERM);
	FAILS(link("f", "g"), EPERM);
	FAILS(chmod("f", 0600), EPERM);
	FAILS(truncate("f", 0), EPERM);
	FAILS(setxattr("f", "user.x", "x", 1, 0), EPERM);
	SET_FLAGS(fd, 0, FS_IMMUTABLE_FL);
	OK(chmod("f", 0600));
	OK(mkdir("d", 0755));
	close(MAKE_FILE("d/f", 10, 1));
	folder = OK(open("d", O_RDONLY));
	SET_FLAGS(folder, FS_IMMUTABLE_FL, 0);
	FAILS(open("d/new", O_CREAT | O_RDWR, 0644), EPERM);
	FAILS(unlink("d/f"), EPERM);
	close(OK(open("d/f", O_RDWR)));
	SET_FLAGS(folder, 0, FS_IMMUTABLE_FL);
	make("g", 0666, USER1, USER1);
	IN_CHILD(
		int flags;

		BECOME(USER1);
		int own = OK(open("g", O_RDONLY));
		OK(ioctl(own, FS_IOC_GETFLAGS, &flags));
		flags |= FS_IMMUTABLE_FL;
		FAILS(ioctl(own, FS_IOC_SETFLAGS, &flags), EPERM);
	);
}

static void append_only(void)
{
	int fd = MAKE_FILE("f", 100, 1), log;

	SET_FLAGS(fd, FS_APPEND_FL, 0);
	FAILS(open("f", O_RDWR), EPERM);
	FAILS(open("f", O_RDWR | O_APPEND | O_TRUNC), EPERM);
	log = OK(open("f", O_RDWR | O_APPEND));
	CHECK_EQ(write(log, "more", 4), 4);
	FAILS(ftruncate(log, 0), EPERM);
	FAILS(fcntl(log, F_SETFL, 0), EPERM);
	FAILS(unlink("f"), EPERM);
	HOLDS(log, 0, 100, 1, 0);
	SET_FLAGS(log, 0, FS_APPEND_FL);
	CHECK_EQ(SIZE_OF(log), 104);
}

static void inode_flags(void)
{
	struct fsxattr attr = { 0 }, got = { 0 };
	int fd = OK(open("f", O_CREAT | O_RDWR, 0644));

	OK(ioctl(fd, FS_IOC_FSGETXATTR, &attr));
	attr.fsx_projid = 4711;
	attr.fsx_extsize = 65536;
	attr.fsx_xflags |= FS_XFLAG_EXTSIZE | FS_XFLAG_NODUMP;
	OK(ioctl(fd, FS_IOC_FSSETXATTR, &attr));
	OK(ioctl(fd, FS_IOC_FSGETXATTR, &got));
	CHECK_EQ(got.fsx_projid, 4711);
	CHECK_EQ(got.fsx_extsize, 65536);
	CHECK(got.fsx_xflags & FS_XFLAG_NODUMP);
	int flags;

	OK(ioctl(fd, FS_IOC_GETFLAGS, &flags));
	CHECK(flags & FS_NODUMP_FL);
	SET_FLAGS(fd, FS_SYNC_FL | FS_NOATIME_FL, 0);
	CHECK_EQ(write(fd, "x", 1), 1);
}

static void file_size_limit(void)
{
	struct rlimit limit = { 5000, 5000 };
	static char buf[8192];
	int fd = OK(open("f", O_CREAT | O_RDWR, 0644));

	signal(SIGXFSZ, SIG_IGN);
	OK(setrlimit(RLIMIT_FSIZE, &limit));
	tap_pattern(buf, sizeof(buf), 9, 0);
	CHECK_EQ(write(fd, buf, sizeof(buf)), 5000);
	FAILS(write(fd, buf, 1), EFBIG);
	FAILS(pwrite(fd, buf, 1, 5000), EFBIG);
	FAILS(ftruncate(fd, 5001), EFBIG);
	FAILS(fallocate(fd, 0, 0, 6000), EFBIG);
	CHECK_EQ(pwrite(fd, buf, 100, 4950), 50);
	CHECK_EQ(SIZE_OF(fd), 5000);
	HOLDS(fd, 0, 4950, 9, 0);
	pid_t pid = OK(fork());

	if (!pid) {
		signal(SIGXFSZ, SIG_DFL);
		write(fd, buf, 1);
		_exit(0);
	}
	int status;

	OK(waitpid(pid, &status, 0));
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGXFSZ);
}

static void capabilities_gone(void)
{
	make("d-owner", 0600, USER1, USER1);
	OK(chown(".", USER1, USER1));
	OK(chmod(".", 0755));
	/* What the file system does below on its own account must not lend root's power to the caller. */
	IN_CHILD(
		BECOME(USER2);
		FAILS(open("new", O_CREAT | O_RDWR, 0644), EACCES);
		FAILS(open(".", O_TMPFILE | O_RDWR, 0644), EACCES);
		FAILS(unlink("d-owner"), EACCES);
	);
	IN_CHILD(
		struct stat st;

		BECOME(USER1);
		FAILS(mknod("n", S_IFCHR | 0666, 0x103), EPERM);
		int fd = OK(open("mine", O_CREAT | O_RDWR, 0644));
		OK(fstat(fd, &st));
		CHECK_EQ(st.st_uid, USER1);
		CHECK_EQ(st.st_gid, USER1);
		fd = OK(open(".", O_TMPFILE | O_RDWR, 0644));
		OK(fstat(fd, &st));
		CHECK_EQ(st.st_uid, USER1);
	);
}

static const struct test tests[] = {
	{ "mode bits decide who reads and writes", modes_decide },
	{ "folder modes decide who lists, searches and changes", folders_decide },
	{ "only the owner changes mode, owner and times", owners_only },
	{ "writing clears the set-id bits", write_clears_setid },
	{ "chown clears the set-id bits, and chmod refuses a foreign group's", chown_clears_setid },
	{ "in a sticky folder only owners remove and rename", sticky_folder },
	{ "a setgid folder hands its group on", setgid_folder },
	{ "an ACL grants access within its mask", acl_grants },
	{ "a default ACL is inherited", acl_default },
	{ "user and trusted attributes are set, read, listed and removed", xattr_user },
	{ "attributes may have 64 KiB, and be many", xattr_large },
	{ "attributes keep to permissions", xattr_permission },
	{ "file capabilities are kept until the file changes", file_capabilities },
	{ "an immutable file or folder does not change", immutable },
	{ "an append-only file only grows", append_only },
	{ "inode flags, project and extent size are kept", inode_flags },
	{ "the file size limit holds", file_size_limit },
	{ "new files belong to the caller, who gains no power", capabilities_gone },
};

TAP_MAIN(tests)
