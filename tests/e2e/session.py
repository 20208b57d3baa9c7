"""A session that a test talks to line by line, and what came of it."""

import os
import re
import subprocess
import time

import cli
import harness

def messages(path, source="stderr"):
    return [m for m in harness.read_messages(path) if m["source"] == source]


class Session:
    """A shell that says what is typed, and starts others; its messages are in self.out."""

    def __init__(self, home, *options, hark=cli.HARK, **env):
        self.out = os.path.join(home.top, "out.json")
        self.heard, self.heard_bytes = [], 0
        self.home = home
        self.child = subprocess.Popen(
            [hark, "run", "--to", f"file:{self.out}?format=json", *options, "--", "bash", "-c",
             'while read -r line; do eval "$line"; echo; done'], env=home.env(**env), cwd=home.top,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        home.children.append(self.child)

    def do(self, line):
        """Has it done, and waits for that; what the line printed comes back."""
        self.child.stdin.write(line + "\n")
        self.child.stdin.flush()
        return self.child.stdout.readline().strip()

    def texts(self):
        """So far. What has been read once is not read again."""
        data = harness.whole_lines(self.out, self.heard_bytes)
        self.heard += [m["msg"] for m in harness.parse_objects(data) if m["source"] == "stderr"]
        self.heard_bytes += len(data)
        return self.heard

    def wait_for(self, text):
        """Seconds until it is in the file."""
        started = time.monotonic()
        cli.wait_for(lambda: text in self.texts())
        return time.monotonic() - started

    def end(self):
        self.child.stdin.close()
        status = self.child.wait(cli.LIMIT)
        cli.wait_for(lambda: not os.listdir(self.home.runtime))
        return status


def lost(path):
    return sum(int(n) for m in messages(path, "hark")
               for n in re.findall(r"^(\d+) messages? .* lost", m["msg"]))
