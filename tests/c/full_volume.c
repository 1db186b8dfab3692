// SPDX-License-Identifier: Apache-2.0
/*
 * Removing files that are open, on a volume without a free block.
 *
 *	full_volume DIRECTORY OPEN [USER]	makes and opens OPEN files, fills the volume (or, as USER, a number, whatever
 *						that user may have), removes half of the files, puts others over the rest, and
 *						checks what is open. Says "ready", waits for a line on standard input, in which time the
 *						volume may change its owner, and checks again.
 */
#include "tap.h"
#include <sys/resource.h>

enum { LENGTH = 3000 };

static void name_of(char *name, const char *kind, int i)
{
	sprintf(name, "%s-%d", kind, i);
}

static void fill(void)
{
	static char buf[1 << 20];
	int fd = OK(open("filler", O_CREAT | O_WRONLY, 0644)), number = 0;
	size_t chunk = sizeof(buf);
	char name[100];
	ssize_t n;

	memset(buf, 1, sizeof(buf));
	while (chunk >= 512) {
		n = write(fd, buf, chunk);
		if (n > 0)
			continue;
		CHECK(errno == ENOSPC || errno == EDQUOT);
		/* What was written is given its blocks: before, XFS holds more than it needs. */
		if (chunk == sizeof(buf))
			OK(fsync(fd));
		chunk /= 2;
	}
	fsync(fd);
	close(fd);
	/* Folders take a block and an inode each, until there is not one. */
	do
		name_of(name, "folder-with-a-long-name", number++);
	while (number < 1000000 && !mkdir(name, 0755));
	CHECK(errno == ENOSPC || errno == EDQUOT);
	sync();
}

static void check(const int *fds, int count)
{
	struct stat st;

	for (int i = 0; i < count; i++) {
		OK(fstat(fds[i], &st));
		CHECK_EQ(st.st_nlink, 0);
		HOLDS(fds[i], 0, LENGTH, i, 0);
	}
}

int main(int argc, char **argv)
{
	struct rlimit limit = { 8192, 8192 };
	char old[100], new[100], line[16];
	int count, *fds;

	tap_pipe = 1;
	if (argc < 3) {
		fprintf(stderr, "usage: %s DIRECTORY OPEN [USER]\n", argv[0]);
		return 2;
	}
	OK(setrlimit(RLIMIT_NOFILE, &limit));
	OK(chdir(argv[1]));
	if (argc > 3)
		OK(setuid(atoi(argv[3])));
	count = atoi(argv[2]);
	fds = calloc(count, sizeof(*fds));
	for (int i = 0; i < count; i++) {
		name_of(old, "old", i);
		fds[i] = MAKE_FILE(old, LENGTH, i);
		name_of(new, "new", i);
		if (i % 2)
			close(MAKE_FILE(new, 10, i));
	}
	fill();
	for (int i = 0; i < count; i++) {
		name_of(old, "old", i);
		name_of(new, "new", i);
		if (i % 2)
			OK(rename(new, old));
		else
			OK(unlink(old));
	}
	check(fds, count);
	printf("ready\n");
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		return 1;
	check(fds, count);
	printf("ok\n");
	return 0;
}
