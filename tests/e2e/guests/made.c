/* Makes code at run time, burns processor time in it, and says in /tmp/perf-PID.map what it is. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* push rbp; mov rbp,rsp; mov rax,rdi; again: dec rax; jnz again; pop rbp; ret */
static const unsigned char code[] = { 0x55, 0x48, 0x89, 0xe5, 0x48, 0x89, 0xf8, 0x48,
				      0xff, 0xc8, 0x75, 0xfb, 0x5d, 0xc3 };

int main(void)
{
	static const struct { int at; long rounds; const char *name; } made[] = {
		{ 0, 400000000, "int Burner.seven(int)" },
		{ 256, 300000000, "three" },
		{ 512, 300000000, "int Burner.seven(int)" }, /* compiled once more */
	};
	char path[64];
	unsigned char *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
				 -1, 0);

	snprintf(path, sizeof path, "/tmp/perf-%d.map", getpid());
	FILE *map = fopen(path, "wx");
	if (at == MAP_FAILED || !map)
		return 1;
	printf("map %s\n", path);
	for (int i = 0; i < 3; i++)
		memcpy(at + made[i].at, code, sizeof code);
	mprotect(at, 4096, PROT_READ | PROT_EXEC);
	fprintf(map, "nonsense\n%lx zz no\n", (long)at);
	fprintf(map, "%lx 10 what was there before\n", (long)at);
	for (int i = 0; i < 3; i++) {
		fprintf(map, i ? "%lx %zx %s\n" : "0x%016lx 0x%016zx %s\n",
			(long)at + made[i].at, sizeof code, made[i].name);
		((long (*)(long))(at + made[i].at))(made[i].rounds);
	}
	fclose(map);
	return 0;
}
