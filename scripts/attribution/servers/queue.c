/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread reads the requests of two connections, another one answers them, one
 * after the other and 20 ms each. Argument: port; only for the tests.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static sem_t work;
static int connections[2];

static void *answer(void *unused)
{
	const char *text = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
	struct timespec t = {.tv_nsec = 20000000};

	for (int i = 0;; i = 1 - i) {
		sem_wait(&work);
		nanosleep(&t, NULL);
		write(connections[i], text, strlen(text));
	}
	return unused;
}

int main(int argc, char **argv)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int s = socket(AF_INET, SOCK_STREAM, 0), c;
	pthread_t worker;
	char q[4096];

	a.sin_port = htons(argc > 1 ? atoi(argv[1]) : 0);
	sem_init(&work, 0, 0);
	if (bind(s, (struct sockaddr *)&a, sizeof(a)) || listen(s, 64))
		return 1;
	pthread_create(&worker, NULL, answer, NULL);
	for (int i = 0; i < 2;) {
		c = accept(s, NULL, NULL);
		if (recv(c, q, 1, MSG_PEEK) == 1) /* not who only looks whether it listens */
			connections[i++] = c;
		else
			close(c);
	}
	while (read(connections[0], q, sizeof(q)) > 0 && read(connections[1], q, sizeof(q)) > 0) {
		sem_post(&work);
		sem_post(&work);
	}
	return 0;
}
