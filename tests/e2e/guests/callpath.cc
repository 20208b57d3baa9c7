// callpath.cc - a complaint from C++, out of inlined functions: outer<> and a lambda in main().
#include <iostream>
#include <string>
#include <vector>

namespace shop {
struct Till {
	std::string name;
	[[gnu::noinline]] void refuse(int coins)
	{
		std::cerr << "error: " + name + " refuses " + std::to_string(coins) + "\n";
		asm volatile("" ::: "memory");
	}
};

template <typename T> [[gnu::noinline]] void each(const std::vector<T> &all, Till &till)
{
	for (const T &one : all)
		till.refuse(one);
	asm volatile("" ::: "memory");
}
}

int main()
{
	shop::Till till{"till"};

	shop::each(std::vector<int>{ 3 }, till);
	asm volatile("" ::: "memory");
	return 0;
}
