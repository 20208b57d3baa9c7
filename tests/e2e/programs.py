"""What real programs are made to do: the table behind test_programs.py.

Each row is run by bash in a directory of its own, natively and under hark. `needs` are the programs
without which it is skipped; `vague` says that numbers differ from run to run, `sometimes` that
there may be more or fewer lines, so that only the exit status and the files are compared.
"""

import collections

Row = collections.namedtuple("Row", "name needs script vague sometimes", defaults=(False, False))

CONFIGURE = r'''
exec 5>config.log 6>&1
cat >conftest.c <<'END'
int main(void) { return undeclared; }
END
echo "checking whether the compiler works... " >&6
(eval "cc -c conftest.c") 2>conftest.err; status=$?
cat conftest.err >&5; echo "status $status" >&5
if grep -q undeclared conftest.err; then echo "no" >&6; else echo "yes" >&6; fi
out=$(cc -E nothing.c 2>&1); echo "read back: $out"
for tool in awk sed no-such-tool; do
	if command -v $tool >/dev/null 2>&1; then echo "checking for $tool... yes"
	else echo "checking for $tool... no"; echo "configure: WARNING: no $tool" >&2; fi
done
cat >config.h <<END
#define STATUS $status
END
echo "configure: error: cannot go on" >&2
exit 77
'''
PROJECT = r'''
for i in 1 2 3 4; do
	echo "int f$i(int unused) { return $i; }" >f$i.c
done
echo 'int main(void) { return 0; }' >main.c
cat >Makefile <<'END'
OBJS = f1.o f2.o f3.o f4.o main.o
prog: $(OBJS)
	cc -o $@ $(OBJS)
	@echo linked >&2
%.o: %.c
	@cc -Wall -Wextra -c -o $@ $<
broken:
	@echo about to fail >&2; exit 3
END
make -j4 prog; echo "make $?"; ls -1 *.o; ./prog; echo "prog $?"
make broken; echo "make $?"; make nothing; echo "make $?"; make -j4 -B prog 2>log; grep -c warning log
rm -f prog *.o
'''
GIT = r'''
export GIT_AUTHOR_DATE='2020-01-01T00:00:00Z' GIT_COMMITTER_DATE='2020-01-01T00:00:00Z'
export GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a \
	GIT_COMMITTER_EMAIL=a@b
git init -q -b main one; cd one; for i in $(seq 30); do echo $i >$i; done
git add .; git commit -q -m first; git commit -m again; echo "status $?"
cd ..; git clone --progress --no-local one two; git clone -q --bare one bare.git
cd two; git checkout -b topic; echo x >x; git add x; git commit -m x
git push --progress ../bare.git topic; git push ../nowhere topic; echo "status $?"
git checkout no-such-branch; echo "status $?"; git frobnicate; echo "status $?"
git log --oneline | cat; git -c core.pager=cat diff HEAD~1; git gc --quiet; GIT_TRACE=0 git fsck
cd ..; rm -rf one two bare.git
'''
PYTHON = r'''
cat >t.py <<'END'
import logging, multiprocessing, os, subprocess, sys, threading, unittest, warnings
def work(n):
    print(f"worker {n}", file=sys.stderr, flush=True)
    return n * n
class Case(unittest.TestCase):
    def test_good(self): pass
    def test_bad(self): self.assertEqual(1, 2)
def main():
    if "exit" in sys.argv:
        print("going", file=sys.stderr); raise SystemExit("the last words")
    logging.basicConfig(level=logging.DEBUG, format="%(levelname)s:%(message)s")
    for level in "debug", "info", "warning", "error", "critical":
        getattr(logging, level)("by logging, %s", level)
    warnings.warn("careful")
    print("by print", file=sys.stderr); sys.stderr.write("unfinished "); sys.stderr.write("line\n")
    os.write(2, b"by os.write\n")
    say = ["sh", "-c", "echo child out; echo child err >&2"]
    for err in None, subprocess.PIPE, subprocess.STDOUT, subprocess.DEVNULL, open("child.err", "w"):
        done = subprocess.run(say, stdout=subprocess.PIPE, stderr=err)
        print(done.stdout, done.stderr, flush=True)
    p = subprocess.Popen(say, stdout=sys.stderr, close_fds=False); p.wait()
    subprocess.run(say, stdout=sys.stderr, start_new_session=True, preexec_fn=lambda: None)
    for method in "fork", "spawn":
        with multiprocessing.get_context(method).Pool(2) as pool:
            print(pool.map(work, range(4)))
    threads = [threading.Thread(target=work, args=(i + 10,)) for i in range(4)]
    [t.start() for t in threads]; [t.join() for t in threads]
    unittest.TextTestRunner(verbosity=2).run(unittest.defaultTestLoader.loadTestsFromTestCase(Case))
    raise KeyError("a traceback")
if __name__ == "__main__":
    main()
END
python3 -B t.py; echo "status $?"; python3 -B t.py exit >/dev/null; echo "status $?"
python3 -c 'syntax error'; python3 -m no_such_module; echo 1/0 | python3 -; rm -rf __pycache__
'''

ROWS = [
    Row("bash_redirections", ["bash"], r'''
echo one >&2; echo hidden 2>file >&2; ls /nonexistent 2>errors; ls /nonexistent 2>&1 | cat
{ echo a; echo b >&2; } 2>&1 >out | sed 's/^/piped: /' >&2
cat <<END >&2
here $((1 + 1))
END
cat <<<"a here-string" >&2
(echo sub >&2; (echo subsub >&2) 2>sub) & wait
exec 7>&2 2>moved; echo moved >&2; ls /nonexistent; exec 2>&7 7>&-; echo back >&2
while read -r x; do echo "read $x" >&2; done < <(printf '1\n2\n'; echo producer >&2)
coproc { read x; echo "coproc $x" >&2; }; echo hi >&"${COPROC[1]}"; wait $COPROC_PID
set -x; : traced; { set +x; } 2>/dev/null
trap 'echo at exit >&2' EXIT; f() { local x; echo "$1: in f" >&2; return 3; }; f a; f b 2>fb
no-such-command; [ 1 -eq a ]; echo $((1/0)); printf 'no newline' >&2; exit 9
'''),
    Row("bash_jobs", ["bash"], r'''
for i in $(seq 20); do (echo "job $i" >&2; exit $i) & done; wait
for i in $(seq 10); do (sleep 0.0$i; echo "late $i" >&2) & done; wait -n; echo "first $?"; wait
seq 50 | xargs -P 8 -n 1 sh -c 'echo "xargs $0" >&2'
(trap 'echo term >&2; exit 4' TERM; echo up >up; while :; do sleep 0.01; done) & p=$!
until [ -s up ]; do sleep 0.01; done; kill $p; wait $p; echo "status $?"
timeout 0.1 sleep 5; echo "status $?"; sh -c 'kill -SEGV $$'; echo "status $?"
''', vague=True),
    Row("git", ["git"], GIT, vague=True),
    Row("python", ["python3"], PYTHON, vague=True),
    Row("perl", ["perl"], r'''
perl -we 'use strict; my @a; print STDERR "one\n"; warn "two\n"; print "x" . undef; exit 3'
echo "status $?"; perl -e 'open STDERR, ">", "moved" or die; warn "in the file\n"; system "ls /none"'
perl -e 'open(my $old, ">&", \*STDERR); open(STDERR, ">", "there"); warn "there\n";
	open(STDERR, ">&", $old); warn "back\n"; printf STDERR "%s-%d\n", "f", 3; syswrite STDERR, "s\n"'
perl -e '$x = `sh -c "echo out; echo err >&2" 2>&1`; print "<$x>"; system "echo child >&2"; exec "ls /x"'
perl -e 'if (fork) { wait; die "parent\n" } else { warn "child\n"; exit 0 }'; echo "status $?"
perl -MPOSIX -e 'POSIX::write(2, "posix\n", 6); POSIX::_exit(5)'; echo "status $?"; perl -e 'syntax('
'''),
    Row("gcc", ["gcc"], r'''
printf 'int main(void) { int unused; return "x"; }\n' >w.c; printf 'int main( { }\n' >e.c
gcc -Wall -Wextra -c w.c; echo "status $?"; gcc -c e.c; echo "status $?"; gcc nothing.c; echo $?
gcc -v -c w.c 2>v.log; echo "status $?"; grep -c COLLECT_GCC v.log; gcc -### w.c 2>&1 | grep -c cc1
gcc -v --version 2>&1 >/dev/null | head -1 | cut -c1-18; printf 'int f(void); int main(void) { return f(); }' >l.c
gcc l.c; echo "status $?"; rm -f v.log *.o
''', vague=True),
    Row("make", ["make", "cc"], PROJECT, vague=True),
    Row("configure", ["cc"], CONFIGURE),
    Row("sqlite3", ["sqlite3"], r'''
sqlite3 db 'create table t(x); insert into t values(1),(2); select sum(x) from t; select * from none'
echo "status $?"; echo 'select count(*) from t; .nonsense' | sqlite3 -batch db; echo "status $?"
sqlite3 /nonexistent/db 'select 1'; echo "status $?"; sqlite3 -bail db 'selec 1; select 2'; echo $?; rm db
'''),
    Row("tools", ["tar", "find", "awk", "sed", "sort"], r'''
mkdir -p d/e; for i in 3 1 2; do echo $i >d/$i; done; echo one >d/e/f
tar cvf a.tar d 2>&1 | sort; tar cf b.tar d nothing; echo "status $?"; tar tvf a.tar >/dev/null
tar xf nowhere.tar; echo "status $?"; tar cf - d | tar xf - -C /nonexistent; echo "${PIPESTATUS[*]}"
find d none -type f -newermt 1990-01-01 | sort; find d -name '*' -exec ls {} + 2>/dev/null | wc -l
awk 'BEGIN { print "to stderr" >"/dev/stderr"; print "cat" | "cat 1>&2"; close("cat 1>&2"); exit 3 }'
echo "status $?"; awk '{ print >"/dev/stderr" }' d/1; awk 'syntax {{'; echo "status $?"
sed 's/x/'; sed -n 'w /dev/stderr' d/2; sort none; echo "status $?"; sort -c d/3 none
cat d/1 none d/2; cp none x; mv none x; rm none; mkdir d; cmp d/1 d/2; diff d/1 none; grep x none; dd if=d/1 of=x 2>dd
tee /dev/stderr <d/1 >/dev/null; cat d/1 >/dev/stderr; echo direct >/proc/self/fd/2; wc none; head -c 3 none
rm -f a.tar b.tar dd
'''),
    Row("curl", ["curl", "python3"], r'''
mkdir www; echo hello >www/hello; cd www
python3 -u -c 'import http.server as h, sys
s = h.ThreadingHTTPServer(("127.0.0.1", 0), h.SimpleHTTPRequestHandler)
open("../port", "w").write(f"{s.server_port}\n"); s.serve_forever()' & server=$!
cd ..; until [ -s port ]; do sleep 0.01; done; url=http://127.0.0.1:$(cat port)
curl -sS $url/hello; curl -v $url/hello -o got 2>verbose; grep -c 'GET /hello' verbose
curl -f $url/none -o none -sS; echo "status $?"; curl -sS http://127.0.0.1:1/; echo "status $?"
curl -# $url/hello -o got; curl $url/hello -o got -s -w '%{http_code}\n'; curl --no-such-option
kill $server; wait $server; echo "status $?"; rm -f port verbose
''', vague=True),
    Row("nginx", ["nginx", "curl"], r'''
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
mkdir -p t html; echo served >html/index.html; chmod -R a+rX . ; cat >nginx.conf <<END
error_log stderr info; pid $PWD/nginx.pid; worker_processes 2;
$([ "$(id -u)" = 0 ] && echo "user root;")
events {} http { access_log off; client_body_temp_path t; proxy_temp_path t; fastcgi_temp_path t;
uwsgi_temp_path t; scgi_temp_path t; server { listen 127.0.0.1:$port; root $PWD/html; } }
END
nginx -p $PWD -e stderr -c nginx.conf -t; echo "status $?"; nginx -p $PWD -e stderr -c missing.conf; echo $?
nginx -p $PWD -e stderr -c nginx.conf -g 'daemon off;' 2>/dev/fd/2 & p=$!
until curl -s http://127.0.0.1:$port/; do sleep 0.02; done; curl -s http://127.0.0.1:$port/none | grep -c 404
kill -QUIT $p; wait $p; echo "status $?"; rm -rf nginx.conf t html/index.html
nginx -v; nginx -Z; echo "status $?"
''', vague=True, sometimes=True),
    Row("redis", ["redis-server", "redis-cli"], r'''
redis-server --port 0 --unixsocket $PWD/sock --save '' --dir $PWD >log & p=$!
until redis-cli -s sock ping 2>/dev/null | grep -q PONG; do sleep 0.02; done
redis-cli -s sock set key value; redis-cli -s sock get key; redis-cli -s nowhere get key; echo "status $?"
redis-cli -s sock shutdown nosave; wait $p; echo "status $?"
grep -c 'Ready to accept\|bye bye' log; redis-server --nonsense 2>&1 | grep -c 'FATAL\|Bad'; rm -f log
''', vague=True),
    Row("sshd", ["sshd", "ssh-keygen"], r'''
ssh-keygen -q -t ed25519 -N '' -f key; echo "HostKey $PWD/key" >good; echo "Nonsense yes" >bad
sshd=$(command -v sshd); $sshd -t -f good; echo "status $?"; $sshd -t -f bad; echo "status $?"
$sshd -t -f none; echo "status $?"; rm -f key key.pub
''', vague=True),
]
