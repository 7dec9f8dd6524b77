/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread that serves one request at a time, over blocking sockets; a
 * second thread holds the lock. Arguments: port, port of the downstream server,
 * folder for its files.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CHUNK (1 << 20)
#define MOST 64 /* connections */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int port, downstream, file, schedstat;
static char *chunk;
static long offset;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static long clock_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

static long now_ns(void) { return clock_ns(CLOCK_MONOTONIC); }

/*
 * Run-queue delay of the serving thread: the second number. The file stays open,
 * so that little of a request lies outside what is measured.
 */
static long runq_ns(void)
{
	char text[100];
	long n = pread(schedstat, text, sizeof(text) - 1, 0), delay;

	if (n <= 0)
		die("schedstat");
	text[n] = 0;
	if (sscanf(text, "%*d %ld", &delay) != 1)
		die("schedstat");
	return delay;
}

static struct sockaddr_in local(int p)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(p)};

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return a;
}

/* Holds the lock for 50 ms whenever a datagram asks for it, and answers when it has it. */
static void *hold(void *unused)
{
	struct sockaddr_in a = local(port), peer;
	struct timespec t = {.tv_nsec = 50000000};
	int s = socket(AF_INET, SOCK_DGRAM, 0);
	char byte;

	if (bind(s, (struct sockaddr *)&a, sizeof(a)))
		die("bind");
	for (;;) {
		socklen_t size = sizeof(peer);

		if (recvfrom(s, &byte, 1, 0, (struct sockaddr *)&peer, &size) < 0)
			die("recvfrom");
		pthread_mutex_lock(&lock);
		sendto(s, "h", 1, 0, (struct sockaddr *)&peer, size);
		nanosleep(&t, NULL);
		pthread_mutex_unlock(&lock);
	}
	return unused;
}

static void ask_downstream(void)
{
	struct sockaddr_in a = local(downstream);
	const char *q = "GET / HTTP/1.0\r\n\r\n";
	int s = socket(AF_INET, SOCK_STREAM, 0);
	char answer[4096];

	if (connect(s, (struct sockaddr *)&a, sizeof(a)) || write(s, q, strlen(q)) < 0)
		die("downstream");
	while (read(s, answer, sizeof(answer)) > 0)
		;
	close(s);
}

static void write_chunk(int fd)
{
	if (pwrite(fd, chunk, CHUNK, offset) != CHUNK)
		die("pwrite");
}

static void use_disk(long until)
{
	while (now_ns() < until) {
		offset = (offset + CHUNK) % (64 * CHUNK);
		write_chunk(file);
		if (fsync(file))
			die("fsync");
		posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
		if (pread(file, chunk, CHUNK, offset) != CHUNK)
			die("pread");
	}
}

/* Dirties page cache. */
static void use_memory(long until)
{
	while (now_ns() < until) {
		offset = (offset + CHUNK) % (512L * CHUNK);
		write_chunk(file);
	}
}

static void work(const char *path, long began)
{
	struct timespec t = {.tv_nsec = 50000000};

	if (!strcmp(path, "/spin")) {
		while (now_ns() < began + 50000000)
			;
	} else if (!strcmp(path, "/sleep")) {
		nanosleep(&t, NULL);
	} else if (!strcmp(path, "/lock")) {
		pthread_mutex_lock(&lock);
		pthread_mutex_unlock(&lock);
	} else if (!strcmp(path, "/net")) {
		ask_downstream();
	} else if (!strcmp(path, "/disk")) {
		use_disk(began + 50000000);
	} else if (!strcmp(path, "/memory")) {
		use_memory(began + 150000000);
	}
}

static int serve(int s)
{
	char q[4096], path[64], body[200], head[300];
	long n = read(s, q, sizeof(q) - 1), began, cpu, runq;

	if (n <= 0)
		return -1;
	runq = runq_ns();
	cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	began = now_ns();
	q[n] = 0;
	if (sscanf(q, "GET %63[^? ]", path) != 1)
		return -1;
	work(path, began);
	began = now_ns() - began;
	cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
	runq = runq_ns() - runq;
	n = snprintf(body, sizeof(body), "{\"added_ns\":%ld,\"cpu_ns\":%ld,\"runq_ns\":%ld}", began,
		     cpu, runq);
	n = snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %ld\r\n\r\n%s", n, body);
	return write(s, head, n) == n ? 0 : -1;
}

int main(int argc, char **argv)
{
	struct pollfd p[MOST] = {{.events = POLLIN}};
	struct sockaddr_in a;
	pthread_t holder;
	int n = 1, yes = 1;
	char name[4096];

	if (argc != 4)
		return 2;
	port = atoi(argv[1]);
	downstream = atoi(argv[2]);
	snprintf(name, sizeof(name), "%s/data", argv[3]);
	file = open(name, O_RDWR | O_CREAT, 0644);
	chunk = malloc(CHUNK);
	schedstat = open("/proc/thread-self/schedstat", O_RDONLY);
	if (file < 0 || !chunk || schedstat < 0)
		die(name);
	memset(chunk, 'x', CHUNK);
	pthread_create(&holder, NULL, hold, NULL);
	a = local(port);
	p[0].fd = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(p[0].fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (bind(p[0].fd, (struct sockaddr *)&a, sizeof(a)) || listen(p[0].fd, 64))
		die("listen");
	for (;;) {
		if (poll(p, n, -1) < 0)
			die("poll");
		for (int i = n - 1; i > 0; i--) {
			if (p[i].revents && serve(p[i].fd)) {
				close(p[i].fd);
				p[i] = p[--n];
			}
		}
		if (p[0].revents && n < MOST)
			p[n++] = (struct pollfd){.fd = accept(p[0].fd, NULL, NULL), .events = POLLIN};
	}
}
