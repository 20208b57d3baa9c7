/*
 * crowd.c - threads that speak at the same time, each with its own buffer and no race between them. For
 * ThreadSanitizer, which must find none when they are listened to.
 */
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

enum { THREADS = 3, LINES = 2000 };

static void *speak(void *argument)
{
	char line[200];

	for (int i = 0; i < LINES; i++) {
		int n = snprintf(line, sizeof line, "thread %ld says line %d of its own%50s\n",
				 (long)argument, i, "");
		if (i % 100 == 0)
			fputs(line, stderr);
		else if (write(STDERR_FILENO, line, (size_t)n) != n)
			return argument;
	}
	return NULL;
}

int main(void)
{
	pthread_t threads[THREADS];
	void *failed = NULL, *result;

	for (long i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, speak, (void *)(i + 1)) != 0)
			return 99;
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &result);
		failed = result ? result : failed;
	}
	puts("out");
	return failed ? 98 : 7;
}
