// SPDX-License-Identifier: Apache-2.0
/*
 * Holds a file in a way that a test looks at from another node:
 *
 *	attr_hold path FILE	opens it O_PATH, says "ready"; at each line of input opens it through /proc for reading and writing and
 *				says "ok" or "errno ENAME"
 *	attr_hold fiemap FILE	asks for its extents, to be told in memory that never comes (userfaultfd), and says "stuck"
 *				when the kernel waits for that memory
 *	attr_hold label DIR	reads the label of the volume, likewise
 */
#include "tap.h"
#include <linux/fiemap.h>
#include <linux/userfaultfd.h>
#include <pthread.h>

enum { PAGE = 4096 };

static int fd;
static unsigned long request;
static char *memory;

static void *ask(void *arg)
{
	(void)arg;
	printf("came back: %d\n", ioctl(fd, request, memory));
	return NULL;
}

static int said(int result)
{
	return printf(result < 0 ? "errno %s\n" : "ok\n", strerrorname_np(errno)) < 0;
}

static int by_path(const char *name)
{
	char link[64], line[64];

	fd = open(name, O_PATH);
	if (fd < 0)
		return said(fd);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	printf("ready\n");
	while (fgets(line, sizeof(line), stdin)) {
		int again = open(link, O_RDWR);

		said(again);
		if (again >= 0)
			close(again);
	}
	return 0;
}

/* The first page is there, for what is asked; @where in it the answer begins, and the second page never comes. */
static int stuck(const char *name, unsigned long what, size_t where)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	struct uffd_msg message;
	pthread_t thread;
	char c;

	fd = open(name, O_RDONLY);
	memory = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (fd < 0 || uffd < 0 || memory == MAP_FAILED || ioctl(uffd, UFFDIO_API, &api))
		return said(-1);
	*memory = 0;
	reg.range.start = (uintptr_t)memory + PAGE;
	reg.range.len = PAGE;
	if (ioctl(uffd, UFFDIO_REGISTER, &reg))
		return said(-1);
	memory += where;
	if (what == FS_IOC_FIEMAP)
		*(struct fiemap *)memory = (struct fiemap){ .fm_length = FIEMAP_MAX_OFFSET, .fm_extent_count = 50 };
	request = what;
	if (pthread_create(&thread, NULL, ask, NULL) || read(uffd, &message, sizeof(message)) != sizeof(message))
		return said(-1);
	printf("stuck\n");
	/* Until the input ends. */
	while (read(0, &c, 1) > 0)
		;
	_exit(0);
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc != 3)
		return 2;
	if (!strcmp(argv[1], "path"))
		return by_path(argv[2]);
	if (!strcmp(argv[1], "fiemap"))
		return stuck(argv[2], FS_IOC_FIEMAP, PAGE - sizeof(struct fiemap));
	if (!strcmp(argv[1], "label"))
		return stuck(argv[2], FS_IOC_GETFSLABEL, PAGE);
	return 2;
}
