/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread that serves one connection, and whose waits come in turns that a timer
 * ends. Arguments as of server.c, then a name for the thread; only for the tests.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MS 1000000L

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static sem_t work, held, never;
static int other[2], own[2]; /* to another process; from another thread */
static char wanted;

static struct timespec after(clockid_t id, long ns)
{
	struct timespec t;

	clock_gettime(id, &t);
	t.tv_nsec += ns;
	t.tv_sec += t.tv_nsec / (1000 * MS);
	t.tv_nsec %= 1000 * MS;
	return t;
}

static long ns(clockid_t id)
{
	struct timespec t = after(id, 0);

	return t.tv_sec * 1000 * MS + t.tv_nsec;
}

static void nap(long ms) { nanosleep(&(struct timespec){.tv_nsec = ms * MS}, NULL); }

/* Another process: answers after 50 ms, or stops its parent for as long. */
static void answer(int s)
{
	char byte;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (read(s, &byte, 1) == 1) {
		if (byte == 's')
			kill(getppid(), SIGSTOP);
		nap(50);
		if (byte == 's')
			kill(getppid(), SIGCONT);
		if (write(s, &byte, 1) != 1)
			break;
	}
	_exit(0);
}

/* Another thread: holds the lock for 50 ms, or computes for as long. */
static void *help(void *unused)
{
	for (;;) {
		sem_wait(&work);
		if (wanted == 'l') {
			pthread_mutex_lock(&lock);
			sem_post(&held);
			nap(50);
			pthread_mutex_unlock(&lock);
		} else {
			for (long end = ns(CLOCK_THREAD_CPUTIME_ID) + 50 * MS;
			     ns(CLOCK_THREAD_CPUTIME_ID) < end;)
				;
			send(own[1], "h", 1, 0);
		}
	}
	return unused;
}

static void ask_thread(char what)
{
	wanted = what;
	sem_post(&work);
}

/* Polls for so many ms, again and again. */
static void await(int s, int ms)
{
	struct pollfd p = {.fd = s, .events = POLLIN};
	char byte;

	while (!poll(&p, 1, ms))
		;
	read(s, &byte, 1);
}

/* Waits for a byte in io_uring. */
static void await_ring(int s)
{
	struct io_uring_params p = {};
	int ring = syscall(SYS_io_uring_setup, 1, &p);
	size_t size = p.sq_off.array + p.sq_entries * sizeof(unsigned);
	char *q = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
	struct io_uring_sqe *e = mmap(NULL, p.sq_entries * sizeof(*e), PROT_READ | PROT_WRITE,
				      MAP_SHARED, ring, IORING_OFF_SQES);
	char byte;

	if (ring < 0 || q == MAP_FAILED || e == MAP_FAILED) {
		await(s, -1);
		return;
	}
	e->opcode = IORING_OP_RECV;
	e->fd = s;
	e->addr = (unsigned long)&byte;
	e->len = 1;
	__atomic_store_n((unsigned *)(q + p.sq_off.tail), 1, __ATOMIC_RELEASE);
	syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0);
	munmap(q, size);
	munmap(e, p.sq_entries * sizeof(*e));
	close(ring);
}

static void serve(const char *path)
{
	struct timespec t;

	if (!strcmp(path, "turns")) {
		ask_thread('l');
		sem_wait(&held);
		do
			t = after(CLOCK_REALTIME, 18 * MS);
		while (pthread_mutex_timedlock(&lock, &t));
		pthread_mutex_unlock(&lock);
	} else if (!strcmp(path, "sleep")) {
		for (int i = 0; i < 10; i++) {
			t = after(CLOCK_REALTIME, 5 * MS);
			sem_timedwait(&never, &t);
		}
	} else if (!strcmp(path, "net")) {
		send(other[0], "a", 1, 0);
		await(other[0], 18);
	} else if (!strcmp(path, "both")) { /* a sleep, then the network */
		poll(&(struct pollfd){.fd = other[0], .events = POLLIN}, 1, 50);
		send(other[0], "a", 1, 0);
		await(other[0], 18);
	} else if (!strcmp(path, "help")) {
		ask_thread('h');
		await(own[0], 18);
	} else if (!strcmp(path, "ring")) {
		send(other[0], "a", 1, 0);
		await_ring(other[0]);
	} else if (!strcmp(path, "stop")) {
		send(other[0], "s", 1, 0);
		await(other[0], -1);
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int s = socket(AF_INET, SOCK_STREAM, 0), yes = 1, n;
	char q[4096], path[64], body[64];
	pthread_t helper;

	a.sin_port = htons(argc > 1 ? atoi(argv[1]) : 0);
	if (argc > 4)
		prctl(PR_SET_NAME, argv[4]);
	sem_init(&work, 0, 0);
	sem_init(&held, 0, 0);
	sem_init(&never, 0, 0);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, other) || socketpair(AF_UNIX, SOCK_STREAM, 0, own))
		return 1;
	if (!fork())
		answer(other[1]);
	pthread_create(&helper, NULL, help, NULL);
	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (bind(s, (struct sockaddr *)&a, sizeof(a)) || listen(s, 64))
		return 1;
	for (;;) {
		int c = accept(s, NULL, NULL);

		while ((n = read(c, q, sizeof(q) - 1)) > 0) {
			long began = ns(CLOCK_MONOTONIC);

			q[n] = 0;
			if (sscanf(q, "GET /%63[^? ]", path) == 1)
				serve(path);
			n = snprintf(body, sizeof(body), "{\"added_ns\":%ld}", ns(CLOCK_MONOTONIC) - began);
			dprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", n, body);
		}
		close(c);
	}
}
