// said_inlined.cc - an error, said by what is inlined into what is inlined into main().
#include <unistd.h>

#define INLINED __attribute__((always_inline)) inline

namespace deep {
template <int N> INLINED void say()
{
	static const char text[] = "error: from deep inside\n";
	if (write(2, text, sizeof text - 1) < 0) // say: write
		_exit(1);
}

struct Caller {
	INLINED void call(int n)
	{
		if (n)
			say<4>(); // call: say
	}
};
}

int main(int argc, char **)
{
	deep::Caller caller;

	caller.call(argc); // main: call
	return 0;
}
