"""Lua, rebuilt with -finstrument-functions: the calls of each of its functions, as hark counts them.

No suite of Lua's own. "Without hark" is what uftrace counts of a script without errors, and what a
library of twenty lines counts of one with many: errors leave by longjmp, after which uftrace takes calls
for deeper and deeper ones, and drops them. The cases are the functions.
"""

import json
import os
import subprocess

import core

# Deterministic: no table is keyed by an address, and what is sorted is short.
SCRIPTS = {"calm": """
local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end
print(fib(18))
local words = {}
for word in ("the quick brown fox jumps over the lazy dog"):gmatch("%a+") do
  words[#words + 1] = word:upper():rep(3):gsub("O", function(o) return o:lower() end)
end
table.sort(words)
print(table.concat(words, ","), #string.format("%10.3f|%s", 3.14159, words[1]))
local Point = {}
Point.__index = Point
Point.__add = function(a, b) return setmetatable({ x = a.x + b.x }, Point) end
local p = setmetatable({ x = 0 }, Point)
for i = 1, 2000 do p = p + setmetatable({ x = i }, Point) end
print(p.x, load("return 1 + 2 * 3")(), select("#", table.unpack(words)))
collectgarbage()
""", "errors": """
for i = 1, 200 do pcall(error, { code = i }) end
for i = 1, 100 do pcall(function(t) return t.x.y end, {}) end
local co = coroutine.wrap(function() for i = 1, 300 do coroutine.yield(i) end end)
local sum = 0
for i = 1, 300 do sum = sum + co() end
local function deep(n) if n == 0 then error("enough") end return deep(n - 1) + 1 end
for i = 1, 50 do pcall(deep, i) end
print(sum)
"""}
COUNTER = """
#include <stdio.h>
#include <stdlib.h>

static long calls[1 << 20]; /* by offset, of a program of less than a megabyte */
static char *base;

__attribute__((constructor)) static void begin(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	if (!maps || fscanf(maps, "%p", (void **)&base) != 1)
		abort();
	fclose(maps);
}

void __cyg_profile_func_enter(void *function, void *site) { calls[(char *)function - base]++; }
void __cyg_profile_func_exit(void *function, void *site) { }

__attribute__((destructor)) static void end(void)
{
	FILE *out = fopen(getenv("COUNTS"), "w");
	for (long i = 0; out && i < 1 << 20; i++)
		if (calls[i])
			fprintf(out, "%lx %ld\\n", i, calls[i]);
}
"""


class Lua(core.Suite):
    name = "lua"
    source = "lua5.4"
    packages = ("uftrace",)
    modes = ("file",)
    limit = 120

    def build(self):
        with open(os.path.join(self.place, "src", "counter.c"), "w", encoding="ascii") as file:
            file.write(COUNTER)
        self.shell("echo '#define DEB_HOST_MULTIARCH \"none\"' >src/lua5.4-deb-multiarch.h")
        self.shell("gcc -O1 -g -finstrument-functions -DLUA_USE_POSIX '-Dluai_makeseed(L)=1' -o lua"
                   " $(ls src/*.c | grep -v /luac.c) -lm")
        self.shell("gcc -O1 -w -shared -fPIC -o counter.so counter.c")

    def run(self, run, cases):
        verdicts = {}
        for name, text in SCRIPTS.items():
            script = os.path.join(run.top, name + ".lua")
            with open(script, "w", encoding="ascii") as file:
                file.write(text)
            argv = [os.path.join(self.place, "src", "lua"), script]
            data = os.path.join(run.top, name)
            if run.mode.name != "native":
                calls = self.by_hark(run, data, argv)
            elif name == "calm":
                calls = self.by_uftrace(run, data, argv)
            else:
                calls = self.by_counter(run, data, argv)
            verdicts |= {f"{name}: {function}": count for function, count in calls.items()}
        return verdicts if cases is None else {case: verdicts.get(case) for case in cases}

    def by_hark(self, run, data, argv):
        self.call([*run.mode.prefix, *argv], run, run.top, {"HARK_STAMP": "trace", "HARK_DATA": data})
        said = self.call([core.HARK, "report", "--format", "json", "--data", data], run, run.top)
        rows = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
        return {row["function"]: row["calls"] for row in rows}

    def by_uftrace(self, run, data, argv):
        self.call(["uftrace", "record", "--no-libcall", "--no-event", "-d", data, *argv], run, run.top)
        said = self.call(["uftrace", "report", "--no-pager", "-f", "call", "-d", data], run, run.top)
        rows = (line.split(None, 1) for line in said.splitlines())
        return {row[1]: int(row[0]) for row in rows if len(row) == 2 and row[0].isdigit()
                and not row[1].startswith("linux:")}

    def by_counter(self, run, data, argv):
        counter = os.path.join(self.place, "src", "counter.so")
        self.call(argv, run, run.top, {"LD_PRELOAD": counter, "COUNTS": data})
        symbols = subprocess.run(["nm", argv[0]], capture_output=True, text=True, check=True).stdout
        names = {int(row[0], 16): row[2] for row in map(str.split, symbols.splitlines())
                 if len(row) == 3 and row[1] in "tT"}
        with open(data, encoding="ascii") as file:
            rows = [line.split() for line in file]
        return {names[int(at, 16)]: int(count) for at, count in rows}
