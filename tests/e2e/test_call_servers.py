#!/usr/bin/env python3
# limit: 120
"""A server of several processes whose library calls are all recorded (--calls '*'): it answers, reloads
and ends as it does without hark. Speaks TAP.
"""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess

import cli
import traces

NGINX = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
REQUESTS = (("GET", "/index.html"), ("HEAD", "/index.html"), ("GET", "/missing"), ("GET", "/big"),
            ("POST", "/index.html"), ("GET", "/"))


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def configure(top):
    """A folder with a server's files and settings; (its path, the port)"""
    port = free_port()
    os.makedirs(os.path.join(top, "html"))
    os.makedirs(os.path.join(top, "t"))
    for name, text in (("index.html", "served\n"), ("big", "0123456789abcdef" * 40000)):
        with open(os.path.join(top, "html", name), "w", encoding="ascii") as file:
            file.write(text)
    temporary = "".join(f"{kind}_temp_path {top}/t;" for kind in
                        ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    user = "user root;" if os.getuid() == 0 else ""
    with open(os.path.join(top, "nginx.conf"), "w", encoding="ascii") as file:
        file.write(f"{user} error_log stderr error; pid {top}/pid; worker_processes 2; events {{}}\n"
                   f"http {{ access_log off; server_tokens off; {temporary}\n"
                   f"server {{ listen 127.0.0.1:{port}; root {top}/html; }} }}\n")
    return port


def answers(port):
    """Status, length of the body and its beginning, of each request"""
    rows = []
    for _ in range(3):
        for how, what in REQUESTS:
            link = http.client.HTTPConnection("127.0.0.1", port, timeout=cli.LIMIT)
            link.request(how, what, headers={"Connection": "close"})
            answer = link.getresponse()
            body = answer.read()
            rows.append((how, what, answer.status, len(body), body[:20]))
            link.close()
    return rows


def listening(port):
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def serve(home, top, *before):
    """What it answered, before and after a reload, its exit status, what it said, and the master's pid"""
    port = configure(top)
    server = subprocess.Popen([*before, NGINX, "-p", top, "-e", "stderr", "-c", top + "/nginx.conf",
                               "-g", "daemon off;"], env=home.env(), cwd=top, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    home.children.append(server)
    cli.wait_for(lambda: server.poll() is not None or listening(port))
    rows = answers(port)
    server.send_signal(signal.SIGHUP)
    rows += answers(port)
    server.send_signal(signal.SIGQUIT)
    out, err = server.communicate(timeout=cli.LIMIT)
    said = re.sub(r"^\S+ \S+ ", "", err, flags=re.M)
    said = re.sub(r"\d+#\d+: (\*\d+ )?", "", said).replace(top, "TOP").replace(str(port), "PORT")
    return rows, server.returncode, out, sorted(said.splitlines()), server.pid


@cli.case
def nginx(home, expect):
    """Master and workers, a reload, requests of each kind, and a quiet end."""
    if not NGINX:
        raise cli.harness.Skip("nginx is not installed")
    tops = [os.path.join(home.top, name) for name in ("native", "heard")]
    data = os.path.join(home.top, "data")
    native = serve(home, tops[0])
    heard = serve(home, tops[1], cli.HARK, "run", "--calls", "*", "--data", data, "--")
    for what, got, wanted in zip(("answers", "status", "stdout", "stderr"), heard, native):
        expect.same(got, wanted, what)
    expect.same({row[2] for row in native[0]}, {200, 404, 405}, "statuses")
    trace = traces.read(data)
    pids = {int(keys["pid"]) for word, keys in trace.events if word == "image"}
    expect(heard[4] in pids and len(pids) >= 3, f"master and workers have recorded: {pids}")
    calls = trace.calls()
    expect(calls.get("accept4", 0) >= 2 * len(native[0]) / 2, calls.get("accept4"))
    rows = home.run("report", "--format", "json", "--data", data)
    expect.same((rows.returncode, rows.stderr), (0, ""), "report")
    functions = {row["function"]: row["calls"] for row in map(json.loads, rows.stdout.splitlines())}
    expect.same(functions.get("accept4"), calls.get("accept4"), "calls of accept4 in the report")


cli.main(__doc__)
