// SPDX-License-Identifier: Apache-2.0
/*
 * Holds files, maps and a working directory open while a test does something to the volume, and works on them on
 * command: one command a line on standard input, one answer a line on standard output ("ok ...", "errno ENAME", or "wrong ...").
 * Content is the pattern of tap.h: a seed and an offset say each byte, on every node.
 *
 *	open ID PATH FLAGS		FLAGS of r w + a c x t d p l s, as in O_RDONLY, O_WRONLY, O_RDWR, O_APPEND, O_CREAT, O_EXCL,
 *					O_TRUNC, O_DIRECT, O_PATH, O_NOFOLLOW, O_SYNC
 *	reopen ID OTHER FLAGS		what OTHER holds, through /proc
 *	tmpfile ID DIR			close ID
 *	write ID OFFSET LEN SEED	append ID LEN SEED OFFSET	(OFFSET in the pattern)
 *	wild ID OFFSET LEN		(a write from memory that is not there)
 *	spill ID OTHER LEN		(a write from the map of OTHER)
 *	check ID OFFSET LEN SEED	zeros ID OFFSET LEN
 *	truncate ID LEN			fsync ID			fchmod ID MODE (octal)
 *	size ID				nlink ID			lock ID
 *	map ID LEN			unmap ID			msync ID
 *	store ID OFFSET LEN SEED	load ID OFFSET LEN SEED		touch ID OFFSET (says whether SIGBUS came)
 *	link ID PATH			(of a file without a name)
 *	chdir PATH	cwd		mkdir PATH	unlink PATH	rmdir PATH	rename A B	exists PATH	count PATH
 *	mkfifo PATH	symlink PATH	handle ID PATH			byhandle ID FLAGS (in the working directory)
 *	stuck PATH PAGES		reads a directory into memory that never comes, but for so many pages; ends with the keeper
 */
#include "tap.h"
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <setjmp.h>
#include <sys/file.h>

enum { IDS = 32, ROOM = 1 << 20 };

static int fds[IDS];
static char *maps[IDS];
static size_t lengths[IDS];
static char buf[ROOM] __attribute__((aligned(4096)));
static sigjmp_buf bus;

static void on_bus(int number)
{
	siglongjmp(bus, number);
}

static int said(long long result)
{
	if (result < 0)
		printf("errno %s\n", strerrorname_np(errno));
	else
		printf("ok %lld\n", result);
	return 0;
}

static long long count_entries(const char *path)
{
	DIR *dir = opendir(path);
	long long n = 0;

	if (!dir)
		return -1;
	while (errno = 0, readdir(dir))
		n++;
	if (errno)
		n = -1;
	closedir(dir);
	return n;
}

static int flags_of(const char *text)
{
	int flags = 0;

	for (; *text; text++)
		flags |= *text == 'w' ? O_WRONLY : *text == '+' ? O_RDWR : *text == 'a' ? O_APPEND : *text == 'c' ? O_CREAT :
			 *text == 'x' ? O_EXCL : *text == 't' ? O_TRUNC : *text == 'd' ? O_DIRECT :
			 *text == 'p' ? O_PATH : *text == 'l' ? O_NOFOLLOW : *text == 's' ? O_SYNC : 0;
	return flags;
}

static void compare(const char *p, size_t len, uint64_t seed, uint64_t offset)
{
	long long at = tap_differs(p, len, seed, offset);

	if (at < 0)
		printf("ok %zu\n", len);
	else
		printf("wrong byte at offset %lld\n", (long long)offset + at);
}

static void use_map(char how, char *p, size_t len, uint64_t seed, uint64_t offset)
{
	if (sigsetjmp(bus, 1)) {
		printf("SIGBUS\n");
		return;
	}
	switch (how) {
	case 's':
		tap_pattern(p, len, seed, offset);
		printf("ok\n");
		break;
	case 'l':
		compare(p, len, seed, offset);
		break;
	default:
		printf("ok %d\n", *(volatile char *)p);
	}
}

static struct {
	struct file_handle h;
	unsigned char room[MAX_HANDLE_SZ];
} handles[IDS];

static int stuck_dir;

static void *read_stuck(void *page)
{
	return (void *)syscall(SYS_getdents64, stuck_dir, page, 1 << 16);
}

/* Pages that userfaultfd(2) keeps away: whoever copies to them waits. Says so when somebody waits. */
static void stuck(const char *path, int there)
{
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC), dir = open(path, O_RDONLY | O_DIRECTORY);
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = { .range.len = (1 << 16) - there * 4096, .mode = UFFDIO_REGISTER_MODE_MISSING };
	void *page = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct uffd_msg msg;
	pthread_t thread;

	memset(page, 0, there * 4096);
	range.range.start = (uintptr_t)page + there * 4096;
	if (uffd < 0 || dir < 0 || ioctl(uffd, UFFDIO_API, &api) || ioctl(uffd, UFFDIO_REGISTER, &range)) {
		said(-1);
		return;
	}
	stuck_dir = dir;
	errno = pthread_create(&thread, NULL, read_stuck, page);
	said(errno ? -1 : read(uffd, &msg, sizeof(msg)) == sizeof(msg) ? 0 : -1);
}

static void command(int argc, char **argv)
{
	const char *name = argv[0];
	int id = argc > 1 ? atoi(argv[1]) : 0;
	long long a = argc > 2 ? atoll(argv[2]) : 0, b = argc > 3 ? atoll(argv[3]) : 0;
	uint64_t seed = argc > 4 ? strtoull(argv[4], NULL, 0) : 0;
	struct stat st;
	ssize_t n;
	char path[64];
	int mount_id;

	if (id < 0 || id >= IDS)
		id = 0;
	errno = 0;
	if (!strcmp(name, "open") && argc == 4) {
		said(fds[id] = open(argv[2], flags_of(argv[3]), 0644));
	} else if (!strcmp(name, "reopen") && argc == 4) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fds[a]);
		said(fds[id] = open(path, flags_of(argv[3])));
	} else if (!strcmp(name, "handle") && argc == 3) {
		handles[id].h.handle_bytes = MAX_HANDLE_SZ;
		said(name_to_handle_at(AT_FDCWD, argv[2], &handles[id].h, &mount_id, 0));
	} else if (!strcmp(name, "byhandle") && argc == 3) {
		mount_id = open(".", O_RDONLY | O_DIRECTORY);
		said(fds[id] = open_by_handle_at(mount_id, &handles[id].h, flags_of(argv[2])));
		close(mount_id);
	} else if (!strcmp(name, "mkfifo") && argc == 2) {
		said(mkfifo(argv[1], 0600));
	} else if (!strcmp(name, "symlink") && argc == 2) {
		said(symlink("nowhere", argv[1]));
	} else if (!strcmp(name, "stuck") && argc == 3) {
		stuck(argv[1], a);
	} else if (!strcmp(name, "tmpfile") && argc == 3) {
		said(fds[id] = open(argv[2], O_TMPFILE | O_RDWR, 0644));
	} else if (!strcmp(name, "close")) {
		said(close(fds[id]));
	} else if (!strcmp(name, "write") && argc == 5 && b <= ROOM) {
		tap_pattern(buf, b, seed, a);
		said(pwrite(fds[id], buf, b, a));
	} else if (!strcmp(name, "append") && argc == 5 && a <= ROOM) {
		tap_pattern(buf, a, b, seed);
		said(write(fds[id], buf, a));
	} else if (!strcmp(name, "wild") && argc == 4) {
		said(pwrite(fds[id], (void *)4096, b, a));
	} else if (!strcmp(name, "spill") && argc == 4 && a >= 0 && a < IDS) {
		said(write(fds[id], maps[a], b));
	} else if ((!strcmp(name, "check") || !strcmp(name, "zeros")) && argc >= 4 && b <= ROOM) {
		memset(buf, 0xa5, b);
		n = pread(fds[id], buf, b, a);
		if (n < 0)
			said(n);
		else if (n != b)
			printf("wrong length %zd of %lld\n", n, b);
		else if (!strcmp(name, "check"))
			compare(buf, b, seed, a);
		else
			printf(tap_zero(buf, b) ? "ok\n" : "wrong: not all zeros\n");
	} else if (!strcmp(name, "truncate")) {
		said(ftruncate(fds[id], a));
	} else if (!strcmp(name, "fsync")) {
		said(fsync(fds[id]));
	} else if (!strcmp(name, "fchmod") && argc == 3) {
		said(fchmod(fds[id], strtol(argv[2], NULL, 8)));
	} else if (!strcmp(name, "size")) {
		said(fstat(fds[id], &st) ? -1 : st.st_size);
	} else if (!strcmp(name, "nlink")) {
		said(fstat(fds[id], &st) ? -1 : (long long)st.st_nlink);
	} else if (!strcmp(name, "lock")) {
		said(flock(fds[id], LOCK_EX | LOCK_NB));
	} else if (!strcmp(name, "map") && argc == 3) {
		/* Of what is open for reading only, to be read. */
		maps[id] = mmap(NULL, a, (fcntl(fds[id], F_GETFL) & O_ACCMODE) == O_RDONLY ? PROT_READ : PROT_READ | PROT_WRITE,
				MAP_SHARED, fds[id], 0);
		lengths[id] = a;
		said(maps[id] == MAP_FAILED ? -1 : 0);
	} else if (!strcmp(name, "unmap")) {
		said(munmap(maps[id], lengths[id]));
	} else if (!strcmp(name, "msync")) {
		said(msync(maps[id], lengths[id], MS_SYNC));
	} else if ((!strcmp(name, "store") || !strcmp(name, "load")) && argc == 5) {
		use_map(name[0], maps[id] + a, b, seed, a);
	} else if (!strcmp(name, "touch") && argc == 3) {
		use_map('t', maps[id] + a, 1, 0, a);
	} else if (!strcmp(name, "link") && argc == 3) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fds[id]);
		said(linkat(AT_FDCWD, path, AT_FDCWD, argv[2], AT_SYMLINK_FOLLOW));
	} else if (!strcmp(name, "chdir") && argc == 2) {
		said(chdir(argv[1]));
	} else if (!strcmp(name, "cwd")) {
		printf(getcwd(buf, 4096) ? "ok %s\n" : "errno %s\n", errno ? strerrorname_np(errno) : buf);
	} else if (!strcmp(name, "mkdir") && argc == 2) {
		said(mkdir(argv[1], 0755));
	} else if (!strcmp(name, "unlink") && argc == 2) {
		said(unlink(argv[1]));
	} else if (!strcmp(name, "rmdir") && argc == 2) {
		said(rmdir(argv[1]));
	} else if (!strcmp(name, "rename") && argc == 3) {
		said(rename(argv[1], argv[2]));
	} else if (!strcmp(name, "exists") && argc == 2) {
		said(access(argv[1], F_OK));
	} else if (!strcmp(name, "count") && argc == 2) {
		said(count_entries(argv[1]));
	} else {
		printf("wrong command\n");
	}
}

int main(void)
{
	struct sigaction action = { .sa_handler = on_bus };
	char line[4096], *argv[8], *word, *rest;
	int argc;

	sigaction(SIGBUS, &action, NULL);
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("ready\n");
	while (fgets(line, sizeof(line), stdin)) {
		argc = 0;
		for (word = strtok_r(line, " \n", &rest); word && argc < 8; word = strtok_r(NULL, " \n", &rest))
			argv[argc++] = word;
		if (argc)
			command(argc, argv);
	}
	return 0;
}
