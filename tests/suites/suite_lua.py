"""Lua, rebuilt with -finstrument-functions: the calls of each of its functions, by hark and by uftrace.

No suite of Lua's own: "without hark" is what uftrace counts, and the cases are the functions.
"""

import json
import os

import core

# Deterministic: no table is keyed by an address, and what is sorted is short.
SCRIPT = """
local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end
print(fib(18))
local words = {}
for word in ("the quick brown fox jumps over the lazy dog"):gmatch("%a+") do
  words[#words + 1] = word:upper():rep(3):gsub("O", function(o) return o:lower() end)
end
table.sort(words)
print(table.concat(words, ","), #string.format("%10.3f|%s", 3.14159, words[1]))
for i = 1, 200 do pcall(error, { code = i }) end
for i = 1, 100 do pcall(function(t) return t.x.y end, {}) end
local co = coroutine.wrap(function() for i = 1, 300 do coroutine.yield(i) end end)
local sum = 0
for i = 1, 300 do sum = sum + co() end
local Point = {}
Point.__index = Point
Point.__add = function(a, b) return setmetatable({ x = a.x + b.x }, Point) end
local p = setmetatable({ x = 0 }, Point)
for i = 1, 2000 do p = p + setmetatable({ x = i }, Point) end
print(sum, p.x, load("return 1 + 2 * 3")(), select("#", table.unpack(words)))
collectgarbage()
"""


class Lua(core.Suite):
    name = "lua"
    source = "lua5.4"
    packages = ("uftrace",)
    modes = ("file",)
    limit = 120

    def build(self):
        self.shell("echo '#define DEB_HOST_MULTIARCH \"none\"' >src/lua5.4-deb-multiarch.h")
        self.shell("gcc -O1 -g -finstrument-functions -DLUA_USE_POSIX '-Dluai_makeseed(L)=1' -o lua"
                   " $(ls src/*.c | grep -v /luac.c) -lm")

    def run(self, run, cases):
        script, data = (os.path.join(run.top, name) for name in ("script.lua", "data"))
        with open(script, "w", encoding="ascii") as file:
            file.write(SCRIPT)
        lua = os.path.join(self.place, "src", "lua")
        if run.mode.name == "native":
            self.call(["uftrace", "record", "--no-libcall", "--no-event", "-d", data, lua, script],
                      run, run.top)
            calls = self.by_uftrace(run, data)
        else:
            self.call([*run.mode.prefix, lua, script], run, run.top,
                      {"HARK_STAMP": "trace", "HARK_DATA": data})
            said = self.call([core.HARK, "report", "--format", "json", "--data", data], run, run.top)
            rows = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
            calls = {row["function"]: row["calls"] for row in rows}
        return calls if cases is None else {name: calls.get(name) for name in cases}

    def by_uftrace(self, run, data):
        said = self.call(["uftrace", "report", "--no-pager", "-f", "call", "-d", data], run, run.top)
        rows = (line.split(None, 1) for line in said.splitlines())
        return {row[1]: int(row[0]) for row in rows if len(row) == 2 and row[0].isdigit()
                and not row[1].startswith("linux:")}
