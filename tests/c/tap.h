/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the test programs share. A test is a function whose name in the list states a fact; it runs in a process of its
 * own, in an empty directory of its own on the file system under test, so that a crash, a signal, a limit or a
 * changed identity stays with it. Output is TAP: one line a test, "ok N - fact" or "not ok N - fact", with the reason on a "#"
 * line. The same program runs on mxfs and on plain XFS and must print the same verdicts.
 */
#ifndef TAP_H
#define TAP_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <signal.h>
#include <stddef.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <linux/fs.h>
#include <time.h>
#include <unistd.h>

struct test {
	const char *fact;
	void (*run)(void);
};

#define TAP_LIMIT_SECONDS	90
#define TAP_SLOWNESS		"/run/lab-slowness"	/* what limits are multiplied with on this kernel, where the lab says it */

static int tap_pipe = -1;

static inline unsigned int tap_limit(void)
{
	FILE *f = fopen(TAP_SLOWNESS, "re");
	unsigned int slowness = 1;

	if (f && fscanf(f, "%u", &slowness) != 1)
		slowness = 1;
	if (f)
		fclose(f);
	return TAP_LIMIT_SECONDS * slowness;
}

/* Ends the test with a reason; in a process that the test made as well. */
__attribute__((noreturn, format(printf, 3, 4)))
static inline void tap_fail(int line, int error, const char *format, ...)
{
	char text[900];
	va_list args;
	int n;

	n = snprintf(text, sizeof(text), "line %d: ", line);
	va_start(args, format);
	n += vsnprintf(text + n, sizeof(text) - n, format, args);
	va_end(args);
	if (n > (int)sizeof(text) - 64)
		n = sizeof(text) - 64;
	if (error)
		n += snprintf(text + n, sizeof(text) - n, " (%s)", strerrorname_np(error) ?: "unknown errno");
	if (write(tap_pipe, text, n) != n)
		_exit(3);
	_exit(1);
}

/* Ends a program that is no list of tests, with what it found; @error: 0 where no call failed. */
__attribute__((noreturn, format(printf, 2, 3)))
static inline void tap_end(int error, const char *format, ...)
{
	va_list args;

	flockfile(stdout);
	printf("not ok: ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	if (error)
		printf(" (%s)", strerrorname_np(error) ?: "unknown errno");
	putchar('\n');
	fflush(stdout);
	_exit(1);
}

/* A condition that holds. */
#define CHECK(cond)							\
do {									\
	if (!(cond))							\
		tap_fail(__LINE__, 0, "%s is not so", #cond);		\
} while (0)

/* Two numbers are the same. */
#define CHECK_EQ(a, b)							\
do {									\
	long long tap_a = (long long)(a), tap_b = (long long)(b);	\
									\
	if (tap_a != tap_b)						\
		tap_fail(__LINE__, 0, "%s is %lld, expected %s = %lld", #a, tap_a, #b, tap_b); \
} while (0)

/* A call that returns -1 on failure does not fail; its value. */
#define OK(call)							\
({									\
	errno = 0;							\
	__typeof__(call) tap_r = (call);				\
									\
	if (tap_r == (__typeof__(tap_r))-1)				\
		tap_fail(__LINE__, errno, "%s failed", #call);		\
	tap_r;								\
})

/* A call fails, with this errno. */
#define FAILS(call, expected)						\
do {									\
	errno = 0;							\
	long long tap_r = (long long)(call);				\
	int tap_e = errno;						\
									\
	if (tap_r != -1)						\
		tap_fail(__LINE__, 0, "%s returned %lld, expected %s", #call, tap_r, #expected); \
	if (tap_e != (expected))					\
		tap_fail(__LINE__, tap_e, "%s failed, but not with %s", #call, #expected); \
} while (0)

/* A child process ends well; its own failed checks have been written already. */
static inline void tap_reap(int line, pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		tap_fail(line, errno, "waitpid");
	if (WIFEXITED(status) && WEXITSTATUS(status) == 1)
		_exit(1);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		tap_fail(line, 0, "child ended with status 0x%x", status);
}
#define REAP(pid) tap_reap(__LINE__, pid)

/* By the monotonic clock. */
static inline double tap_millis(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

/* FS_IMMUTABLE_FL and the like. */
static inline void tap_set_flags(int line, int fd, int add, int remove)
{
	int flags;

	if (ioctl(fd, FS_IOC_GETFLAGS, &flags))
		tap_fail(line, errno, "FS_IOC_GETFLAGS");
	flags = (flags | add) & ~remove;
	if (ioctl(fd, FS_IOC_SETFLAGS, &flags))
		tap_fail(line, errno, "FS_IOC_SETFLAGS");
}
#define SET_FLAGS(fd, add, remove) tap_set_flags(__LINE__, fd, add, remove)

/* Runs the block in a child process and waits for its good end. */
#define IN_CHILD(...)							\
do {									\
	pid_t tap_pid = OK(fork());					\
									\
	if (!tap_pid) {							\
		__VA_ARGS__						\
		_exit(0);						\
	}								\
	REAP(tap_pid);							\
} while (0)

/* Reproducible bytes: the same seed gives the same content everywhere. */
static inline uint64_t tap_mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ull;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

static inline void tap_pattern(void *buf, size_t len, uint64_t seed, uint64_t offset)
{
	unsigned char *p = buf;

	for (size_t i = 0; i < len; i++) {
		uint64_t at = offset + i;

		p[i] = tap_mix(seed ^ (at >> 3)) >> ((at & 7) * 8);
	}
}

/* The first byte that is not the pattern's, or -1. */
static inline long long tap_differs(const void *buf, size_t len, uint64_t seed, uint64_t offset)
{
	const unsigned char *p = buf;

	for (size_t i = 0; i < len; i++) {
		uint64_t at = offset + i;

		if (p[i] != (unsigned char)(tap_mix(seed ^ (at >> 3)) >> ((at & 7) * 8)))
			return i;
	}
	return -1;
}

static inline bool tap_zero(const void *buf, size_t len)
{
	const char *p = buf;

	return !len || (!*p && !memcmp(p, p + 1, len - 1));
}

/* Writes a whole file with a pattern and leaves it open for reading and writing. */
static inline int tap_file(int line, const char *name, size_t len, uint64_t seed)
{
	size_t done = 0, chunk;
	static char buf[1 << 16];
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0644);

	if (fd < 0)
		tap_fail(line, errno, "open %s", name);
	while (done < len) {
		chunk = len - done < sizeof(buf) ? len - done : sizeof(buf);
		tap_pattern(buf, chunk, seed, done);
		if (pwrite(fd, buf, chunk, done) != (ssize_t)chunk)
			tap_fail(line, errno, "pwrite %s at %zu", name, done);
		done += chunk;
	}
	return fd;
}
#define MAKE_FILE(name, len, seed) tap_file(__LINE__, name, len, seed)

/* A range of a file holds the pattern. */
static inline void tap_holds(int line, int fd, size_t from, size_t len, uint64_t seed, size_t seed_offset)
{
	static char buf[1 << 16];
	size_t done = 0, chunk;
	long long at;
	ssize_t got;

	while (done < len) {
		chunk = len - done < sizeof(buf) ? len - done : sizeof(buf);
		got = pread(fd, buf, chunk, from + done);
		if (got != (ssize_t)chunk)
			tap_fail(line, got < 0 ? errno : 0, "pread of %zu at %zu gave %zd", chunk, from + done, got);
		at = tap_differs(buf, chunk, seed, seed_offset + done);
		if (at >= 0)
			tap_fail(line, 0, "wrong byte at offset %lld", (long long)(from + done + at));
		done += chunk;
	}
}
#define HOLDS(fd, from, len, seed, seed_offset) tap_holds(__LINE__, fd, from, len, seed, seed_offset)

static inline void tap_holds_zeros(int line, int fd, size_t from, size_t len)
{
	static char buf[1 << 16];
	size_t done = 0, chunk;
	ssize_t got;

	while (done < len) {
		chunk = len - done < sizeof(buf) ? len - done : sizeof(buf);
		got = pread(fd, buf, chunk, from + done);
		if (got != (ssize_t)chunk)
			tap_fail(line, got < 0 ? errno : 0, "pread of %zu at %zu gave %zd", chunk, from + done, got);
		for (size_t i = 0; i < chunk; i++)
			if (buf[i])
				tap_fail(line, 0, "byte at offset %zu is not zero", from + done + i);
		done += chunk;
	}
}
#define HOLDS_ZEROS(fd, from, len) tap_holds_zeros(__LINE__, fd, from, len)

static inline off_t tap_size(int line, int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		tap_fail(line, errno, "fstat");
	return st.st_size;
}
#define SIZE_OF(fd) tap_size(__LINE__, fd)

/* Becomes an ordinary user for the rest of the process. */
static inline void tap_become(int line, uid_t uid)
{
	if (setgroups(0, NULL) || setresgid(uid, uid, uid) || setresuid(uid, uid, uid))
		tap_fail(line, errno, "becoming user %u", uid);
}
#define BECOME(uid) tap_become(__LINE__, uid)

static inline int tap_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)ftw;
	(void)type;
	return remove(path) ? errno : 0;
}

/*
 * The main program of a test: PROGRAM DIRECTORY [NUMBER...]. All tests, or those of the given numbers. Status 0 when each
 * was ok, 1 when one was not, 2 when it could not be told.
 */
static inline int tap_main(int argc, char **argv, const struct test *tests, int count)
{
	int failed = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	umask(022);
	if (argc < 2 || chdir(argv[1])) {
		fprintf(stderr, "usage: %s DIRECTORY [NUMBER...]\n", argv[0]);
		return 2;
	}
	printf("1..%d\n", count);
	for (int i = 0; i < count; i++) {
		char folder[64], why[1024];
		int ends[2], status, n = 0, got;
		struct timespec a, b;
		bool chosen = argc == 2;
		pid_t pid;

		for (int arg = 2; arg < argc; arg++)
			chosen |= atoi(argv[arg]) == i + 1;
		if (!chosen)
			continue;
		snprintf(folder, sizeof(folder), "t%d-%d", getpid(), i + 1);
		if (mkdir(folder, 0755) || pipe2(ends, O_CLOEXEC)) {
			printf("Bail out! %s: %s\n", folder, strerrorname_np(errno));
			return 2;
		}
		clock_gettime(CLOCK_MONOTONIC, &a);
		pid = fork();
		if (pid < 0) {
			printf("Bail out! fork: %s\n", strerrorname_np(errno));
			return 2;
		}
		if (!pid) {
			setpgid(0, 0);
			close(ends[0]);
			tap_pipe = ends[1];
			alarm(tap_limit());
			if (chdir(folder))
				tap_fail(__LINE__, errno, "chdir");
			tests[i].run();
			_exit(0);
		}
		close(ends[1]);
		waitpid(pid, &status, 0);
		kill(-pid, SIGKILL);	/* what a failed test left running */
		while (n < (int)sizeof(why) - 1 && (got = read(ends[0], why + n, sizeof(why) - 1 - n)) > 0)
			n += got;
		why[n] = '\0';
		close(ends[0]);
		clock_gettime(CLOCK_MONOTONIC, &b);
		if (WIFSIGNALED(status))
			snprintf(why + n, sizeof(why) - n, "%s", WTERMSIG(status) == SIGALRM ? "did not end in time" :
				 sigdescr_np(WTERMSIG(status)));
		if (WIFEXITED(status) && !WEXITSTATUS(status) && n)
			status = 0x100;	/* a child of the test failed and was not waited for */
		errno = 0;
		/* Of a test that failed, too: a volume that it has filled is not the next one's fault. */
		if (nftw(folder, tap_remove, 32, FTW_DEPTH | FTW_PHYS) && !status) {
			snprintf(why, sizeof(why), "what it made cannot be removed (%s)", strerrorname_np(errno));
			status = 0x100;
		}
		printf("%sok %d - %s\n", status ? "not " : "", i + 1, tests[i].fact);
		if (status) {
			printf("# %s\n", why);
			failed++;
		}
		if ((b.tv_sec - a.tv_sec) >= 10)
			printf("# took %ld s\n", (long)(b.tv_sec - a.tv_sec));
	}
	printf("# %d failed\n", failed);
	return failed ? 1 : 0;
}

#define TAP_MAIN(tests)									\
int main(int argc, char **argv)								\
{											\
	return tap_main(argc, argv, tests, sizeof(tests) / sizeof((tests)[0]));		\
}

#endif /* TAP_H */
