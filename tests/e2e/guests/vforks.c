/*
 * vforks.c - a program whose vfork children become others, in the midst of a call that its memory then says
 * is open. Prints what it calls of the library (leaf.c), as calls.c does.
 */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

struct pair { long a, b; };
int leaf_plain(int n);
struct pair leaf_pair(long n);
void leaf_back(void (*function)(void *), void *argument);

static void nested(void *n) { leaf_pair(*(int *)n); }
static __attribute__((noinline)) int below(int i) { return leaf_plain(i) != i + 1; }

int main(void)
{
	int wrong = 0, status = 0;

	for (int i = 0; i < 20; i++) {
		pid_t child = vfork();
		if (child == 0) {
			execl(i % 2 ? "/nonexistent" : "/bin/true", "true", (char *)NULL);
			_exit(0);
		}
		wrong += below(i);
		leaf_back(nested, &i);
		wrong += waitpid(child, &status, 0) != child || status != 0;
	}
	printf("leaf_plain 20\nleaf_back 20\nleaf_pair 20\n");
	return wrong != 0;
}
