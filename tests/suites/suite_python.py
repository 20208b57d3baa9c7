"""CPython's own test modules that have to do with descriptors, processes, signals, terminals."""

import os
import xml.etree.ElementTree

import core

# Short ones, for `make check`, then the rest.
SHORT = """test_posix test_fcntl test_os test_popen test_pty test_openpty test_syslog test_file
    test_fileio test_atexit test_getpass test_ioctl test_pipes test_resource""".split()
LONG = """test_fork1 test_wait3 test_wait4 test_threadsignals test_print test_subprocess
    test_signal test_io test_threading test_select test_poll test_epoll test_selectors
    test_faulthandler test_cmd_line test_sys test_eintr test_mmap test_tempfile
    test_logging test_readline test_socketserver test_socket test_repl test_shutil
    test_warnings test_traceback test_unittest test_bdb test_pdb test_embed test_audit
    test_cmd_line_script test_site test_utf8_mode test_c_locale_coercion test_tracemalloc
    test_gc test_thread test_runpy test_capi test_asyncio""".split()


class Python(core.Suite):
    name = "python"
    packages = ("libpython3.11-testsuite",)
    modes = ("file", "both", "bare")
    limit = 400
    modules = SHORT + LONG

    def run(self, run, cases):
        verdicts = {}
        for module in self.modules:
            names = None if cases is None else [c.partition(":")[2] for c in cases
                                                if c.startswith(module + ":")]
            if names == []:
                continue
            report = os.path.join(run.top, module + ".xml")
            # in a virtual machine, these wait for ever for its host
            match = ["-i", "*VSOCK*", *(arg for n in names or [] for arg in ("-m", n))]
            self.call([*run.mode.prefix, "/usr/bin/python3.11", "-m", "test", "--junit-xml", report,
                       *match, module], run, run.top)
            verdicts |= {f"{module}:{name}": v for name, v in parse(report)}
            verdicts[module + ":"] = run.status
        return verdicts


def parse(path):
    try:
        tree = xml.etree.ElementTree.parse(path)
    except (OSError, xml.etree.ElementTree.ParseError):
        return
    for case in tree.iter("testcase"):
        kind = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
        yield case.get("name"), (kind or ["ok"])[0]
