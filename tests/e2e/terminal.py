"""A pseudo-terminal with a program on it, for tests that type and look at the screen.

    with terminal.Terminal(home, ["bash", "--norc"]) as tty:
        tty.type("echo hello\n")
        tty.wait_for("hello")
"""

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time

import harness

LIMIT = 60  # seconds until what is waited for must be on the screen


class Terminal:
    def __init__(self, home, argv, **env):
        """argv becomes the leader of a session whose terminal this is."""
        self.screen = b""
        self.status = None
        self.master, slave = pty.openpty()
        name = os.ttyname(slave)
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        actions = [(os.POSIX_SPAWN_OPEN, fd, name, os.O_RDWR, 0) for fd in range(3)]
        variables = home.env(**env)
        with harness.spawning:
            before = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.chdir(home.top)
                self.pid = os.posix_spawnp(argv[0], argv, variables, file_actions=actions,
                                           setsid=True, setsigmask=[], setsigdef=range(1, 32))
            finally:
                os.fchdir(before)
                os.close(before)
        os.close(slave)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.status is None:
            with contextlib.suppress(OSError):
                os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.master)

    def type(self, text):
        os.write(self.master, text.encode())

    def pump(self, seconds):
        """Takes what has come within that time; False at the end."""
        if not select.select([self.master], [], [], max(0, seconds))[0]:
            return True
        try:
            piece = os.read(self.master, 1 << 16)
        except OSError:
            piece = b""
        self.screen += piece
        return bool(piece)

    def wait_for(self, pattern, after=0):
        """Where the regular expression's match ends on the screen, from `after` on."""
        until = time.monotonic() + LIMIT
        while not (match := re.compile(pattern.encode()).search(self.screen, after)):
            if time.monotonic() > until or not self.pump(until - time.monotonic()):
                raise TimeoutError(f"{pattern!r} is not on the screen: {self.screen[-500:]!r}")
        return match.end()

    def end(self):
        """Waits for the leader's end: (exit status, all that was on the screen)."""
        until = time.monotonic() + LIMIT
        while self.pump(until - time.monotonic()):
            if time.monotonic() > until:
                raise TimeoutError(f"it does not end: {self.screen[-500:]!r}")
        _, status = os.waitpid(self.pid, 0)
        self.status = os.waitstatus_to_exitcode(status)
        return self.status, self.screen


def plain(screen):
    """Without colours and other control sequences."""
    return re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", screen)
