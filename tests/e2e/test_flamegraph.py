#!/usr/bin/env python3
"""The page that `hark export --format flamegraph` writes, in a browser. Speaks TAP."""
# limit: 400

import html
import json
import os
import re
import shutil
import subprocess

import cli
from known import EVIL, read, written

PROBE = """<script>
addEventListener("error", e => document.body.append(probe("error " + e.message)));
function probe(text) {
	const p = document.createElement("p");
	p.className = "probe";
	p.textContent = text;
	return p;
}
setTimeout(() => {
	const said = [];
	const say = what => said.push(what + "=" + byId("what").textContent + "|" + byId("how").textContent +
		"|" + byId("found").textContent + "|" + (document.body.dataset.zoom || ""));
	const where = (depth, part) => {
		const box = canvas.getBoundingClientRect();
		return { clientX: box.left + part * box.width, clientY: box.top + depth * 20 + 10,
			bubbles: true };
	};
	const move = (depth, part) => canvas.dispatchEvent(new MouseEvent("mousemove", where(depth, part)));
	const click = (depth, part) => canvas.dispatchEvent(new MouseEvent("click", where(depth, part)));
	draw();
	move(3, 0.01); say("over");
	click(3, 0.01); say("clicked");
	from = left[at]; to = from + total[at]; draw();
	move(4, 0.01); say("inside");
	byId("up").click(); say("out");
	byId("search").value = "PARSE"; byId("search").dispatchEvent(new Event("input")); say("found");
	byId("search").value = "/^fact|^co$/"; byId("search").dispatchEvent(new Event("input")); say("regex");
	document.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape" })); say("escaped");
	byId("list").click();
	said.push("list=" + document.querySelector("tbody tr").innerText.replace(/\\s+/g, " "));
	const pixels = pen.getImageData(0, 0, canvas.width, 60).data;
	said.push("colours=" + new Set(new Uint32Array(pixels.buffer)).size);
	said.push("labels=" + Array.from({ length: count }, (_, i) => labelOf(i)).join("|"));
	said.push("about=" + byId("about").textContent);
	said.push("images=" + document.querySelectorAll("img").length);
	for (const s of said)
		document.body.append(probe(s));
}, 0);
</script>"""


def browse(home, path):
    """What the probe found in the page: {word: text}"""
    browser = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    if not browser:
        raise cli.harness.Skip("no Chromium is installed")
    page = os.path.join(home.top, "probed.html")
    with open(path, encoding="utf-8") as file, open(page, "w", encoding="utf-8") as probed:
        probed.write(file.read().replace("</body>", PROBE + "</body>"))
    done = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
         f"--user-data-dir={home.top}/browser", "--window-size=1000,600", "--virtual-time-budget=2000",
         "--dump-dom", "file://" + page], env=home.env(), stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, timeout=60, check=True)
    found = re.findall(r'<p class="probe">(.*?)</p>', done.stdout.decode(), re.S)
    return dict(html.unescape(row).partition("=")[::2] for row in found)


@cli.case
def flamegraph(home, expect):
    path = written(home)(".html")
    text = read(path).decode()
    expect(not re.search(r"(?:src|href)=[\"']?(?!x onerror)\w*:?//", text), "asks the network")
    expect.same(text.count("</script>"), 2, "the ends of our own scripts")
    got = browse(home, path)
    expect(not [k for k in got if k.startswith("error")], f"errors: {got}")
    expect.same(got["over"].split("|")[:2],
                ["parse", "known  ·  known.c:20  ·  2 calls  ·  6.00 µs (13.25 %)  ·  "
                          "self 5.00 µs (11.04 %)  ·  average 3.00 µs"], "over a box")
    expect.same(got["clicked"].split("|")[3], "parse", "zoomed")
    expect.same(got["inside"].split("|")[0], EVIL, "a box that was too thin before")
    expect.same(got["out"].split("|")[3], "main", "out again")
    # 6000 + 10000 of 45300; 500 + 800
    expect.same(got["found"].split("|")[2], "1 found, 35.32 %", "search")
    expect.same(got["regex"].split("|")[2], "2 found, 2.87 %", "search by a regular expression")
    expect.same(got["escaped"].split("|")[2:], ["", "all"], "Escape")
    expect.same(got["list"], "parse 15.0 µs 16.0 µs 3", "the function with most time of its own")
    expect(int(got["colours"]) > 5, "nothing is drawn")
    expect.same(got["images"], "0", "markup out of a name")


@cli.case
def samples(home, expect):
    """How often was looked, in the page's head; of samples no calls are counted. Stripped functions have
    their file's name, too."""
    path = written(home)(".html")
    page = read(path).decode()
    data = json.loads(re.search(r'type="application/json">(.*?)</script>', page, re.S)[1])
    for function in data["functions"]:
        function["sampled"] = True
        if function["name"] == "parse":
            function["name"] = "func_1a2b"
    data["samples"] = {"period_ns": 1001001, "inside": True, "missing": 1234}
    page = re.sub(r'(type="application/json">).*?(</script>)',
                  lambda m: m[1] + json.dumps(data).replace("<", "\\u003c") + m[2], page, flags=re.S)
    with open(path, "w", encoding="utf-8") as file:
        file.write(page)
    got = browse(home, path)
    expect("sampled 999 times a second by timers in the program, 1,234 samples are missing" in
           got["about"], f"{got['about']}")
    expect.same(got["over"].split("|")[1].split("  ·  ")[2], "2 samples", "over a box")
    expect("average" not in got["over"], "no call was measured")
    expect("func_1a2b [known]" in got["labels"].split("|") and "main" in got["labels"].split("|"),
           got["labels"])


if __name__ == "__main__":
    cli.main(__doc__)
