"""Scripts that redirect descriptor 2, and what runs them: the table behind test_identity.py.

Each is run natively and under hark, in a directory of its own. What reaches the real stderr
natively is what hark must report; stdout, the exit status and every file must be the same.
`sometimes` marks those whose lines have no order of their own.
"""

import sys

SH, BASH, PERL, PYTHON = "sh", "bash", "perl", "python"

INTERPRETERS = {
    SH: [["/bin/dash", "-c"], ["/bin/bash", "--posix", "-c"], ["/bin/bash", "-c"]],
    BASH: [["/bin/bash", "-c"]],
    PERL: [["/usr/bin/perl", "-e"]],
    PYTHON: [[sys.executable, "-c"]],
}

# A configure script in small: it asks a compiler, reads back what that said, and keeps a log.
CONFIGURE = r'''
exec 5>config.log 6>&1
cat >compiler <<'END'
#!/bin/sh
case $1 in
-V) echo "compiler: unrecognized option '-V'" >&2; exit 1 ;;
*bad*) echo "$1:1: error: no such thing" >&2; exit 1 ;;
esac
echo "$1: warning: careful" >&2
END
chmod +x compiler
for arg in --version -V good.c bad.c; do
	{ echo "$0: ./compiler $arg" >&5
	  (eval "./compiler $arg") 2>conftest.er1
	  status=$?
	  grep -v '^ *+' conftest.er1 >conftest.err
	  cat conftest.err >&5
	  echo "status $status" >&5; }
	if test -s conftest.err; then echo "checking $arg... says something" >&6
	else echo "checking $arg... says nothing" >&6; fi
done
out=$(./compiler good.c 2>&1) && echo "read back: $out"
if (./compiler bad.c) >/dev/null 2>&1; then echo yes; else echo no; fi
./compiler bad.c 2>&5 || echo "configure: error: compiler cannot" >&2
exit 7
'''

# name, interpreter, script
SCRIPTS = [
    ("to_file", SH, "ls /nonexistent 2>errors; echo done >&2"),
    ("append", SH, "for i in 1 2 3; do echo $i >&2; done 2>>errors; echo done >&2"),
    ("substitution", SH, 'x=$(ls /nonexistent 2>&1); echo "[$x]"; echo "not $x" >&2'),
    ("backquotes", SH, 'x=`echo a >&2; echo b` 2>errors; echo "[$x]"'),
    ("both_to_file", SH, "{ echo out; echo err >&2; } >both 2>&1; echo after >&2"),
    ("order_matters", SH, "{ echo out; echo err >&2; } 2>&1 >file; echo after >&2"),
    ("pipeline", SH, "{ echo out; echo err >&2; } 2>&1 | sort; echo after >&2"),
    ("pipeline_errors", SH, "{ echo out; echo err >&2; } 2>&1 >/dev/null | sed s/^/E:/"),
    ("to_null", SH, "ls /nonexistent 2>/dev/null; echo after >&2"),
    ("closed", SH, "ls /nonexistent 2>&-; echo after >&2; (exec 2>&-; echo lost >&2) 2>&-; :"),
    ("exec_file", SH, "echo before >&2; exec 2>file; echo in the file >&2; ls /nonexistent"),
    ("exec_closed", SH, "echo before >&2; exec 2>&-; echo x >file; cat file"),
    ("there_and_back", SH, "exec 3>&2 2>file; echo there >&2; ls /nonexistent; exec 2>&3 3>&-;"
                           " echo back >&2; ls /nonexistent"),
    ("there_and_back_again", SH, "for i in 1 2 3 4 5; do exec 7>&2 2>>file; echo there $i >&2;"
                                 " exec 2>&7 7>&-; echo back $i >&2; done"),
    ("saved_meanwhile", SH, "exec 3>&2 2>file; echo there >&2; echo here >&3; /bin/echo here >&3"),
    ("echo_to_2", SH, "echo one >&2; /bin/echo two >&2; printf '%s\\n' three >&2"),
    ("command_to_2", SH, "cat >&2 <<END\none\ntwo\nEND\nls / >/dev/null; expr 1 + 1 >&2"),
    ("stdout_is_2", SH, "exec >&2; echo one; /bin/echo two; ls /nonexistent; seq 1 500"),
    ("swap", SH, "{ echo out; echo err >&2; ls /nonexistent; } 3>&1 1>&2 2>&3"),
    ("unfinished", SH, "printf 'no newline' >&2"),
    ("subshell", SH, "(echo one >&2; (echo two >&2) 2>file; echo three >&2)"),
    ("function", SH, "f() { echo from f >&2; ls /nonexistent; }; f; f 2>file; f"),
    ("loop", SH, "while read x; do echo line $x >&2; done 2>file <<E\n1\n2\nE\necho after >&2"),
    ("background", SH, "(echo background >&2; ls /nonexistent) 2>file & wait; echo after >&2"),
    ("background_here", SH, "echo background >&2 & wait; sleep 0 & wait; echo after >&2"),
    ("nested", SH, "sh -c 'echo one >&2; sh -c \"echo two >&2\" 2>file; echo three >&2'"),
    ("trace", SH, "set -x; x=1; echo $x; { y=2; } 2>file; : $x $y"),
    ("trap", SH, "trap 'echo at exit >&2' EXIT; echo before >&2; exec 2>file; echo in file >&2"),
    ("not_found", SH, "no-such-command-here; no-such-command-here 2>file; echo $? >&2"),
    ("syntax", SH, "eval 'if' 2>file; echo unreached >&2"),
    ("parameter", SH, "(: ${unset?is not set}); (: ${unset?is not set}) 2>file; echo after >&2"),
    ("read_back", SH, "x=$( { echo a; echo b >&2; } 2>&1 >/dev/null ); echo \"got $x\" >&2"),
    ("tee", SH, "echo through tee | tee copy >&2"),
    ("dev_stderr", SH, "echo by name >/dev/stderr; /bin/echo by name >>/dev/stderr"),
    ("xargs", SH, "seq 1 5 | xargs -n1 sh -c 'echo $0 >&2'"),
    ("exec_other", SH, "echo before >&2; exec sh -c 'echo after exec >&2' 2>file"),
    ("exec_same", SH, "echo before >&2; exec sh -c 'echo after exec >&2; exit 3'"),
    ("env_i", SH, "env -i sh -c 'echo bare >&2; ls /nonexistent'; env -i ls /nonexistent 2>file; :"),
    ("configure", SH, CONFIGURE),
    ("killed", SH, "sh -c 'echo before >&2; kill -9 $$; echo unreached >&2' 2>file | cat; echo after >&2"),
    ("same_file_twice", SH, "exec 4>file 2>&4; echo one >&2; echo two >&4; /bin/echo three >&2"),
    ("make", SH, "printf 'all:\\n\\t@echo from a recipe >&2\\n\\t@ls /nonexistent 2>file || true\\n"
                 "\\t@exit 3\\n' >Makefile; make; make nothing"),
    ("git", SH, "git status; git status 2>file; git -C /nonexistent log"),

    ("ampersand", BASH, "{ echo out; echo err >&2; } &>both; { echo err >&2; } |& sed s/^/E:/"),
    ("process_substitution", BASH, "ls /nonexistent 2> >(sed s/^/E:/ >file); wait $!; echo a >&2"),
    ("here_string", BASH, "cat >&2 <<<'here'; cat <<<'there' 2>file >&2"),
    ("descriptor_variable", BASH, "exec {save}>&2 2>file; echo there >&2; exec 2>&$save;"
                                  " echo back >&2; echo too >&$save"),
    ("trace_elsewhere", BASH, "exec 9>trace; BASH_XTRACEFD=9; set -x; echo one >&2; ls /nonexistent"),
    ("time", BASH, "TIMEFORMAT=timed; time true; { time true; } 2>file"),
    ("coprocess", BASH, "coproc { cat >&2; }; echo to cat >&${COPROC[1]}; p=$COPROC_PID;"
                        " exec {COPROC[1]}>&-; wait $p"),
    ("lastpipe", BASH, "shopt -s lastpipe; echo x | { read y; echo $y >&2; }; echo z >&2"),

    ("warn", PERL, 'warn "warned\\n"; print STDERR "printed\\n"; die "died\\n"'),
    ("open3", PERL, 'use IPC::Open3; my $pid = open3(my $in, my $out, undef, "sh", "-c",'
                    ' "echo out; echo err >&2"); print sort <$out>; waitpid $pid, 0;'
                    ' print STDERR "after\\n"'),
    ("open3_separate", PERL, 'use IPC::Open3; use Symbol; my $err = gensym; my $pid = open3('
                             'my $in, my $out, $err, "sh", "-c", "echo out; echo err >&2");'
                             ' print <$out>, <$err>; waitpid $pid, 0; warn "after\\n"'),
    ("there_and_back", PERL, 'open my $save, ">&", STDERR; open STDERR, ">", "file";'
                             ' warn "there\\n"; system "echo a child >&2"; open STDERR, ">&", $save;'
                             ' warn "back\\n"; system "echo a child >&2"'),
    ("backticks", PERL, 'print `ls /nonexistent 2>&1`; print `echo err >&2`; warn "after\\n"'),
    ("system", PERL, 'system("echo in file >&2 2>file"); system("ls /nonexistent 2>file");'
                     ' system("echo here >&2"); system("ls", "/nonexistent")'),
    ("close_open", PERL, 'close STDERR; open my $f, ">", "file"; print $f "data\\n";'
                         ' printf "%d\\n", fileno $f; close $f; print STDERR "lost\\n"'),
    ("posix_dup2", PERL, 'use POSIX; my $s = POSIX::dup(2); my $f = POSIX::creat("file", 0600);'
                         ' POSIX::dup2($f, 2); POSIX::write(2, "there\\n", 6); POSIX::dup2($s, 2);'
                         ' POSIX::write(2, "back\\n", 5)'),
    ("fork", PERL, 'if (!fork) { open STDERR, ">", "file"; warn "child\\n"; exit } wait;'
                   ' warn "parent\\n"'),
    ("pipe_open", PERL, 'open my $p, "-|", "sh", "-c", "echo out; echo err >&2"; print <$p>;'
                        ' close $p; open $p, "|-", "cat >&2"; print $p "to cat\\n"; close $p'),

    ("print", PYTHON, "import sys; print('hi', file=sys.stderr); sys.stderr.buffer.write(b'raw\\n')"),
    ("os_write", PYTHON, "import os; os.write(2, b'one\\ntwo\\n'); os.writev(2, [b'a', b'b\\n'])"),
    ("exception", PYTHON, "def f():\n  raise ValueError('raised')\nf()"),
    ("logging", PYTHON, "import logging; logging.warning('logged'); logging.error('again')"),
    ("warnings", PYTHON, "import warnings; warnings.warn('warned')"),
    ("exit_words", PYTHON, "import sys; sys.exit('leaving with words')"),
    ("faulthandler", PYTHON, "import faulthandler; faulthandler.dump_traceback(all_threads=False)"),
    ("pipe", PYTHON, "import subprocess as s; r = s.run(['ls', '/nonexistent'], stderr=s.PIPE);"
                     " print(r.stderr); s.run(['ls', '/nonexistent'])"),
    ("devnull", PYTHON, "import subprocess as s; s.run(['ls', '/nonexistent'], stderr=s.DEVNULL);"
                        " s.run(['ls', '/nonexistent2'])"),
    ("file", PYTHON, "import subprocess as s; s.run(['ls', '/nonexistent'], stderr=open('f', 'w'));"
                     " s.run(['ls', '/nonexistent2'])"),
    ("stdout", PYTHON, "import subprocess as s; s.run(['sh', '-c', 'echo o; echo e >&2'],"
                       " stderr=s.STDOUT); s.run('echo e >&2', shell=True)"),
    ("captured", PYTHON, "import subprocess as s; print(s.run('echo o; echo e >&2', shell=True,"
                         " capture_output=True)); print(s.getoutput('ls /nonexistent'))"),
    ("stdout_to_2", PYTHON, "import subprocess as s, sys; s.run(['echo', 'hi'], stdout=sys.stderr);"
                            " s.run(['echo', 'there'], stdout=2)"),
    ("preexec", PYTHON, "import os, subprocess as s; s.run(['ls', '/nonexistent'], preexec_fn=lambda:"
                        " os.dup2(os.open('f', os.O_WRONLY | os.O_CREAT), 2));"
                        " s.run(['ls', '/nonexistent2'], close_fds=False)"),
    ("many_children", PYTHON, "import subprocess as s\nfor i in range(10):\n"
                              "  s.run(['sh', '-c', f'echo {i} >&2'], stderr=s.PIPE)\n"
                              "  s.run(['sh', '-c', f'echo {i} >&2'])"),
    ("no_such", PYTHON, "import subprocess as s\ntry: s.run(['/nonexistent'], stderr=s.PIPE)\n"
                        "except OSError as e: print(e)\nimport os; os.write(2, b'after\\n')"),
    ("dup2_there_and_back", PYTHON, "import os, sys; s = os.dup(2); f = os.open('f', os.O_WRONLY |"
                                    " os.O_CREAT); os.dup2(f, 2); print('there', file=sys.stderr);"
                                    " os.dup2(s, 2); print('back', file=sys.stderr)"),
    ("redirect", PYTHON, "import contextlib, sys\nwith open('f', 'w') as f,"
                         " contextlib.redirect_stderr(f): print('there', file=sys.stderr)\n"
                         "print('here', file=sys.stderr)"),
    ("close_2", PYTHON, "import os; os.close(2); f = os.open('f', os.O_WRONLY | os.O_CREAT);"
                        " os.write(f, b'data\\n'); print(f)"),
    ("spawn", PYTHON, "import os; a = ['sh', '-c', 'echo spawned >&2']; o = os.O_WRONLY |"
                      " os.O_CREAT\nfor actions in [(os.POSIX_SPAWN_OPEN, 2, 'f', o, 0o600)], []:\n"
                      "  os.waitpid(os.posix_spawn('/bin/sh', a, os.environ,"
                      " file_actions=actions), 0)"),
    ("fork", PYTHON, "import os\nif os.fork() == 0:\n  os.close(2); os.open('f', os.O_WRONLY |"
                     " os.O_CREAT); os.write(2, b'child\\n'); os._exit(0)\nos.wait();"
                     " os.write(2, b'parent\\n')"),
    ("pty", PYTHON, "import os, pty; print(pty.spawn(['sh', '-c', 'test -t 2 && echo tty >&2'],"
                    " stdin_read=lambda fd: b''))"),
    ("threads", PYTHON, "import subprocess as s, threading\ndef f(i):\n"
                        "  s.run(f'echo {i} >&2', shell=True, stderr=s.DEVNULL)\n"
                        "  s.run(f'echo {i} >&2', shell=True)\n"
                        "t = [threading.Thread(target=f, args=(i,)) for i in range(8)]\n"
                        "[x.start() for x in t]; [x.join() for x in t]"),
]

SOMETIMES = {("threads", PYTHON), ("background", SH)}
