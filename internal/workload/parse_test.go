// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestUnitOfGroup(t *testing.T) {
	id := strings.Repeat("0123456789abcdef", 4)
	tests := []struct{ name, cgroup, want string }{
		{"v2", "0::/system.slice/nginx.service\n", "nginx"},
		{"v2 no newline", "0::/system.slice/nginx.service", "nginx"},
		{"instance", "0::/system.slice/system-getty.slice/getty@tty1.service\n", "getty@tty1"},
		{"dots in the name", "0::/system.slice/org.example.shop.service\n", "org.example.shop"},
		{"delegated subgroup", "0::/system.slice/app.service/workers\n", "app"},
		{"v1", "12:pids:/system.slice/pid.service\n1:name=systemd:/system.slice/cron.service\n0::/\n", "cron"},
		{"hybrid prefers unified", "1:name=systemd:/a.service\n0::/b.service\n", "b"},
		{"user service", "0::/user.slice/user-1000.slice/user@1000.service/app.slice/sync.service\n", "sync"},
		{"user session", "0::/user.slice/user-1000.slice/session-4.scope\n", ""},
		{"user scope", "0::/user.slice/user-1000.slice/user@1000.service/app.slice/app-term.scope\n", ""},
		{"user manager", "0::/user.slice/user-1000.slice/user@1000.service/init.scope\n", ""},
		{"docker scope", "0::/system.slice/docker-" + id + ".scope\n", ""},
		{"container below a unit", "0::/system.slice/docker.service/docker/" + id + "\n", ""},
		{"unit inside a container", "0::/machine.slice/libpod-" + id + ".scope/system.slice/web.service\n", "web"},
		{"other cgroup namespace", "0::/../../system.slice/nginx.service\n", "nginx"},
		{"colon in the path", "0::/system.slice/a:b.service\n", "a:b"},
		{"root", "0::/\n", ""},
		{"only a suffix", "0::/system.slice/.service\n", ""},
		{"empty", "", ""},
		{"no colons", "hello\n", ""},
		{"one colon", "0:\n", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := parseGroup([]byte(tt.cgroup)).unit; got != tt.want {
				t.Errorf("parseGroup(%q).unit = %q, want %q", tt.cgroup, got, tt.want)
			}
		})
	}
}

func TestPathOfGroup(t *testing.T) {
	long := strings.Repeat("/0123456", 100)
	tests := []struct{ name, cgroup, want string }{
		{"v2", "0::/system.slice/nginx.service\n", "/system.slice/nginx.service"},
		{"v1", "4:cpu,cpuacct:/batch\n1:name=systemd:/cron.service\n", "/batch"},
		{"hybrid, the controller is in v1", "0::/unified\n4:cpu,cpuacct:/batch\n", "/batch"},
		{"hybrid, the controller is in v2", "1:name=systemd:/a.service\n0::/b.service\n", "/b.service"},
		{"not the cpu controller", "3:cpuset:/set\n2:cpuacct:/acct\n0::/\n", "/"},
		{"colon in the path", "0::/system.slice/a:b.service\n", "/system.slice/a:b.service"},
		{"long", "0::" + long + "\n", "…" + long[len(long)-maxGroupBytes:]},
		{"cut inside a letter", "0::/ä" + long[:maxGroupBytes-1] + "\n", "…" + long[:maxGroupBytes-1]},
		{"empty", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := parseGroup([]byte(tt.cgroup)).path; got != tt.want {
				t.Errorf("parseGroup(%q).path = %q, want %q", tt.cgroup, got, tt.want)
			}
		})
	}
}

func TestProgramName(t *testing.T) {
	tests := []struct {
		exe  string
		args string // separated by spaces; NUL stands for a space inside one
		want string
	}{
		{"python3.11", "python3 app.py", "python3:app.py"},
		{"python3.11", "python3 -u -X dev /srv/app.py --port 1", "python3:app.py"},
		{"python3.11", "python3 -m http.server 80", "python3:http.server"},
		{"python3.11", "python3 -c print(1)", "python3"},
		{"python3.11", "/usr/bin/python3 /usr/bin/gunicorn -w 4 app:app", "python3:gunicorn"},
		{"python3.11", "/usr/bin/python3 /home/u/.venv/bin/uvicorn main:app", "python3:uvicorn"},
		{"python3.11", "gunicorn:\x00worker\x00[app]", "python3:gunicorn"},
		{"python3.11", "[celeryd:\x00celery@host:MainProcess]", "python3:celeryd"},
		{"python3", "python3", "python3"},
		{"python3", "", "python3"},
		{"python3", "python3 -m", "python3"},
		{"pypy3", "pypy3 run.py", "pypy3:run.py"},
		{"node", "node --require ./tracing.js --inspect server.js", "node:server.js"},
		{"node", "node -e 1", "node"},
		{"node", "node -- -odd.js", "node:-odd.js"},
		{"deno", "deno run --allow-net main.ts", "deno:main.ts"},
		{"java", "java -Xmx1g -cp a.jar:b.jar com.example.Main --x", "java:com.example.Main"},
		{"java", "java -Dx=y -jar /opt/shop.jar server", "java:shop.jar"},
		{"java", "java -p mods -m shop/com.example.Main", "java:com.example.Main"},
		{"java", "java @args com.example.Main", "java:com.example.Main"},
		{"ruby3.1", "puma\x006.4.0\x00(tcp://0.0.0.0:3000)\x00[app]", "ruby3:puma"},
		{"ruby", "ruby -I lib bin/rails server", "ruby:rails"},
		{"php8.2", "php -S 127.0.0.1:80 -t public index.php", "php8:index.php"},
		{"perl", "perl -w /usr/bin/starman app.psgi", "perl:starman"},
		{"bash", "bash -e /opt/run.sh", "bash:run.sh"},
		{"bash", "-bash", "bash"},
		{"dash", "sh -c while:;do:;done", "dash"},
		{"busybox", "busybox sh /init.sh", "busybox:init.sh"},
		// Options of one letter that stand together, or before their value: what
		// follows is a program, or program text that is nobody's name.
		{"python3.11", "python3 -mhttp.server 8000", "python3:http.server"},
		{"python3.11", "python3 -um http.server 8000", "python3:http.server"},
		{"python3.11", "python3 -Eumhttp.server 8000", "python3:http.server"},
		{"python3.11", "python3 -uc token='s3cret'", "python3"},
		{"python3.11", "python3 -cprint(1) a", "python3"},
		{"python3.11", "python3 -Wignore -Xdev -u app.py", "python3:app.py"},
		{"bash", "bash -lc curl\x00http://h/p?token=s3cret", "bash"},
		{"bash", "bash -euxc run\x00it", "bash"},
		{"bash", "bash -euo pipefail -c run\x00it", "bash"},
		{"bash", "bash -euo pipefail run.sh", "bash:run.sh"},
		{"bash", "bash +eo posix -u run.sh", "bash:run.sh"},
		{"perl", "perl -we print", "perl"},
		{"perl", "perl -MIO::Socket -lne print", "perl"},
		{"perl", "perl -Mstrict -MSome::Role -Ilib -i.bake x.pl", "perl:x.pl"},
		{"ruby", "ruby -ne print", "ruby"},
		{"ruby", "ruby -run -e httpd . -p 8000", "ruby"},
		{"ruby", "ruby -rdate -W:experimental -Ilib x.rb", "ruby:x.rb"},
		// Links to busybox.
		{"busybox", "httpd -f -p 8080", "busybox:httpd"},
		{"busybox", "/usr/bin/wget -qO- http://h/p?token=s3cret", "busybox:wget"},
		{"busybox", "busybox httpd -f -p 8080", "busybox:httpd"},
		{"busybox", "/bin/sh /run.sh", "busybox:run.sh"},
		{"busybox", "ash /run.sh", "busybox:run.sh"},
		{"busybox", "-sh -l", "busybox"},
		{"dotnet", "dotnet exec --depsfile a.json Shop.dll", "dotnet:Shop.dll"},
	}
	for _, tt := range tests {
		t.Run(tt.exe+" "+tt.args, func(t *testing.T) {
			lang, ok := interpreterOf(tt.exe)
			if !ok {
				t.Fatalf("%s is not known as an interpreter", tt.exe)
			}
			cmdline := strings.ReplaceAll(tt.args, " ", "\t")
			cmdline = strings.ReplaceAll(cmdline, "\x00", " ")
			cmdline = strings.ReplaceAll(cmdline, "\t", "\x00")
			if got := lang.programName(tt.exe, parseArgs([]byte(cmdline))); got != tt.want {
				t.Errorf("programName() = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestNotAnInterpreter(t *testing.T) {
	for _, exe := range []string{"nginx", "php-fpm8.2", "pythonista", "javac", "x", "", "3.11"} {
		if _, ok := interpreterOf(exe); ok {
			t.Errorf("interpreterOf(%q) found one", exe)
		}
	}
}

func TestInterpreterNamesAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, lang := range interpreters {
		for _, name := range lang.names {
			if seen[name] {
				t.Errorf("%s occurs twice", name)
			}
			seen[name] = true
		}
	}
}

func TestParseStartTicks(t *testing.T) {
	tests := []struct {
		name, stat string
		want       uint64
	}{
		{"usual", "1 (init) S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987 1 2\n", 987},
		{"hostile command", "1 (a) S 1 (b) S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987 1 2\n", 987},
		{"ends with the field", "1 (init) S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987", 987},
		{"cut", "1 (init) S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0", 0},
		{"not a number", "1 (init) S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 x", 0},
		{"no command", "1 init S 0", 0},
		{"empty", "", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := parseStartTicks([]byte(tt.stat)); got != tt.want {
				t.Errorf("parseStartTicks() = %d, want %d", got, tt.want)
			}
		})
	}
}

func TestParseArgs(t *testing.T) {
	long := strings.Repeat("y", maxFileBytes-len("java\x00-cp\x00"))
	tests := []struct {
		name, cmdline string
		want          []string
	}{
		{"empty", "", nil},
		{"only padding", "\x00\x00", nil},
		{"usual", "a\x00b c\x00", []string{"a", "b c"}},
		{"empty argument kept", "a\x00\x00b\x00", []string{"a", "", "b"}},
		{"padded title", "puma: x\x00\x00\x00", []string{"puma: x"}},
		{"cut at the limit", "java\x00-cp\x00" + long, []string{"java", "-cp"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, parseArgs([]byte(tt.cmdline))); diff != "" {
				t.Errorf("parseArgs() (-want +got):\n%s", diff)
			}
		})
	}
}

// Whatever a process writes into its arguments and name, a service name is
// bounded and not empty, and starts with what the kernel says about it.
func FuzzName(f *testing.F) {
	f.Add("/usr/bin/python3.11", []byte("python3\x00-m\x00http.server\x00"), []byte("0::/\n"), uint16(80))
	f.Add("/usr/bin/ruby (deleted)", []byte("puma: x [app]\x00\x00"), []byte("1:name=systemd:/a.service\n0::/\n"), uint16(0))
	f.Add("/bin/bash", []byte("-bash\x00"), []byte("0::/system.slice/b.service/c"), uint16(1))
	f.Add("", []byte{}, []byte{}, uint16(65535))
	f.Add("/bin/java", []byte("java\x00-cp"), []byte("::::\n"), uint16(9))
	f.Fuzz(func(t *testing.T, link string, cmdline, cgroup []byte, port uint16) {
		found := Names{Program: exeName(link)}
		found.takeGroup(parseGroup(cgroup))
		if lang, ok := interpreterOf(found.Program); ok {
			exe := majorVersion(found.Program)
			found.Program = lang.programName(found.Program, parseArgs(cmdline))
			if !strings.HasPrefix(found.Program, exe) {
				t.Errorf("program %q does not start with %q", found.Program, exe)
			}
		}
		name := service(nil, &found, port)
		if name == "" || len(name) > maxNameBytes+len("-65535") {
			t.Errorf("name %q has %d bytes", name, len(name))
		}
		if found.Unit != "" && !strings.Contains(string(cgroup), found.Unit+".service") {
			t.Errorf("unit %q is not in %q", found.Unit, cgroup)
		}
		if id := found.ContainerID; id != "" && !strings.Contains(string(cgroup), id) {
			t.Errorf("container %q is not in %q", id, cgroup)
		}
	})
}
