// SPDX-License-Identifier: Apache-2.0
/*
 * Dies holding a robust mutex that lies in a map: robust FILE. Makes FILE, locks a mutex in a map of it, says "held", and at the end of
 * standard input kills itself. The kernel then looks at the mutex, by a page fault of a process that exits (set_robust_list(2)).
 */
#include "tap.h"
#include <pthread.h>

int main(int argc, char **argv)
{
	pthread_mutexattr_t attr;
	pthread_mutex_t *mutex;
	int fd, c;

	tap_pipe = 2;
	if (argc != 2)
		return 2;
	fd = OK(open(argv[1], O_RDWR | O_CREAT, 0644));
	OK(ftruncate(fd, 4096));
	mutex = OK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	CHECK_EQ(pthread_mutexattr_init(&attr), 0);
	CHECK_EQ(pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED), 0);
	CHECK_EQ(pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST), 0);
	CHECK_EQ(pthread_mutex_init(mutex, &attr), 0);
	CHECK_EQ(pthread_mutex_lock(mutex), 0);
	printf("held\n");
	fflush(stdout);
	do
		c = getchar();
	while (c != EOF);
	raise(SIGKILL);
	return 1;
}
