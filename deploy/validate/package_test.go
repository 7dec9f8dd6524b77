// SPDX-License-Identifier: Apache-2.0

package validate

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// inScratchRoot runs a shell script as root of a throw-away view of this system:
// what it writes goes to a file system in memory. files are found in /in.
func inScratchRoot(t *testing.T, script string, files ...string) string {
	t.Helper()
	requireRoot(t, "mount")
	scratch := t.TempDir()
	for _, file := range files {
		if out, err := exec.Command("cp", "-a", file, scratch).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	const enter = `set -e
scratch=$1
mount -t tmpfs none /mnt
mkdir /mnt/up /mnt/work /mnt/root
mount -t overlay none -o lowerdir=/,upperdir=/mnt/up,workdir=/mnt/work /mnt/root
mkdir /mnt/root/in
cp -a "$scratch"/. /mnt/root/in
mount --rbind /proc /mnt/root/proc
mount --rbind /sys /mnt/root/sys
mount --rbind /dev /mnt/root/dev
mount -t tmpfs none /mnt/root/run
exec chroot /mnt/root sh -euc "$2"`
	cmd := exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-c", enter, "sh", scratch, script)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

// packages makes deb and rpm of the program, as make package does.
func packages(t *testing.T) (deb, rpm string) {
	t.Helper()
	program(t)
	dir := t.TempDir()
	for _, format := range []string{"deb", "rpm"} {
		cmd := exec.Command("go", "tool", "-modfile=deploy/validate/go.mod", "nfpm", "package",
			"--config", "deploy/packaging/nfpm.yaml", "--packager", format, "--target", dir)
		cmd.Dir = "../.."
		cmd.Env = append(os.Environ(), "VERSION=1.2.3", "GOARCH="+hostArch(t))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", format, err, out)
		}
	}
	return only(t, dir, "*.deb"), only(t, dir, "*.rpm")
}

// A build after a release is newer than it, also to rpm, which takes no hyphen in
// a version; the package is of the architecture that was built for.
func TestPackageVersion(t *testing.T) {
	fake := filepath.Join(t.TempDir(), "go")
	const says = "#!/bin/sh\n[ \"$*\" = 'env GOARCH' ] && echo \"${GOARCH-amd64}\"\n[ \"$1\" != tool ] || echo \"package $VERSION $GOARCH\"\n"
	if err := os.WriteFile(fake, []byte(says), 0o755); err != nil {
		t.Fatal(err)
	}
	for version, want := range map[string]string{
		"v1.2.3": "1.2.3", "1.2.3": "1.2.3", "v1.2.3-rc1": "1.2.3-rc1", "v1.2.3-dirty": "1.2.3+dirty", "v1.2.3-4-gabc": "1.2.3+4.gabc",
		"v1.2.3-rc1-4-gabc-dirty": "1.2.3-rc1+4.gabc.dirty", "dev": "0.0.0+dev", "1893505-dirty": "0.0.0+1893505.dirty",
	} {
		out, err := exec.Command("make", "-s", "-C", "../..", "package", "VERSION="+version, "GO="+fake, "GOARCH=arm64").CombinedOutput()
		if err != nil || !strings.Contains(string(out), "package "+want+" arm64\n") {
			t.Errorf("%s: %v, %s; want %s for arm64", version, err, out, want)
		}
	}
}

func hostArch(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOARCH").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func only(t *testing.T, dir, pattern string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(files) != 1 {
		t.Fatalf("%s: %v, %v", pattern, files, err)
	}
	return files[0]
}

// installed checks what a package brings, gone what it leaves.
const installed = `
test -x /usr/bin/probe
/usr/bin/probe --version | grep -q '^probe '
test "$(stat -c %U:%a /usr/bin/probe)" = root:755
test -f /usr/lib/systemd/system/probe.service
test -f "$(sed -n 's|^Documentation=file://||p' /usr/lib/systemd/system/probe.service)"
test -f /usr/share/doc/probe/docs/metrics.md
test -f /etc/probe/config.yaml -a -f /etc/default/probe
/usr/bin/probe doctor --json >/tmp/doctor.json || test $? = 1
grep -q '"name": "load"' /tmp/doctor.json
`

const verifyUnit = `
if command -v systemd-analyze >/dev/null; then
	systemd-analyze verify probe.service 2>&1 | grep -i probe.service && exit 1
	echo unit verified
fi
`

const gone = `
test ! -e /usr/bin/probe
test ! -e /usr/lib/systemd/system/probe.service
`

func TestDeb(t *testing.T) {
	deb, _ := packages(t)
	out := inScratchRoot(t, `
dpkg -i /in/*.deb
`+installed+verifyUnit+`
dpkg --verify probe
echo changed: yes >>/etc/default/probe
dpkg -i /in/*.deb
grep -q changed /etc/default/probe
dpkg -r probe
`+gone+`
test -f /etc/probe/config.yaml
mkdir -p /var/lib/probe
dpkg -P probe
test ! -e /etc/probe/config.yaml -a ! -e /etc/default/probe -a ! -e /var/lib/probe
! dpkg -s probe 2>/dev/null
echo all done
`, deb)
	if !strings.Contains(out, "all done") {
		t.Errorf("output:\n%s", out)
	}
	if strings.Contains(strings.ToLower(out), "warning") {
		t.Errorf("a warning in\n%s", out)
	}
}

// systemd makes RuntimeDirectory= of a DynamicUser= a link to a private directory
// if it is to be kept, and in a link no agent locks.
func TestServiceLocks(t *testing.T) {
	unit, err := os.ReadFile("../systemd/probe.service")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"DynamicUser=yes", "RuntimeDirectory=probe", "RuntimeDirectoryMode=0700", "RuntimeDirectoryPreserve=no"} {
		if strings.Count("\n"+string(unit), "\n"+line+"\n") != 1 {
			t.Errorf("the service has no %s", line)
		}
	}
}

// A service that cannot be started again (masked, or with settings that are not
// valid) does not leave the package half installed.
func TestPostinstallBrokenService(t *testing.T) {
	out := inScratchRoot(t, `
mkdir -p /run/systemd/system /tmp/fake
printf '#!/bin/sh\ncase $1 in try-restart | is-enabled) exit 1 ;; esac\n' >/tmp/fake/systemctl
chmod 755 /tmp/fake/systemctl
PATH=/tmp/fake:$PATH
sh /in/postinstall.sh configure
echo all done
`, "../packaging/postinstall.sh")
	if !strings.Contains(out, "all done") {
		t.Errorf("output:\n%s", out)
	}
}

func TestRPM(t *testing.T) {
	if _, err := exec.LookPath("rpm"); err != nil {
		t.Fatal("rpm is missing: run scripts/install-test-deps.sh")
	}
	_, rpm := packages(t)
	out := inScratchRoot(t, `
rm -rf /var/lib/rpm
rpm --initdb
rpm -i --nodeps /in/*.rpm
`+installed+`
rpm -V --nodeps probe
echo changed: yes >>/etc/default/probe
rpm -U --nodeps --replacepkgs /in/*.rpm
grep -q changed /etc/default/probe
rpm -e probe
`+gone+`
test -e /etc/default/probe.rpmsave
! rpm -q probe
echo all done
`, rpm)
	if !strings.Contains(out, "all done") {
		t.Errorf("output:\n%s", out)
	}
}

func TestInstallScript(t *testing.T) {
	out := inScratchRoot(t, `
cd /in
mkdir bin && mv probe bin
mv install.sh scripts.sh && mkdir scripts && mv scripts.sh scripts/install.sh
mkdir deploy && mv systemd deploy
scripts/install.sh
test -x /usr/bin/probe -a -f /etc/systemd/system/probe.service
test -f "$(sed -n 's,^Documentation=file://,,p' /etc/systemd/system/probe.service)"
echo changed: yes >>/etc/default/probe
scripts/install.sh
grep -q changed /etc/default/probe
scripts/install.sh --uninstall
test ! -e /usr/bin/probe -a ! -e /etc/systemd/system/probe.service -a ! -e /usr/share/doc/probe -a -e /etc/default/probe
scripts/install.sh --purge
test ! -e /etc/default/probe -a ! -e /etc/probe
DESTDIR=/tmp/image scripts/install.sh
test -x /tmp/image/usr/bin/probe -a ! -e /usr/bin/probe
code=0; scripts/install.sh --frobnicate 2>usage || code=$?
test $code = 2
grep -q DESTDIR usage
! grep SPDX usage
echo all done
`, program(t), "../../scripts/install.sh", "../systemd", "../../README.md", "../../CHANGELOG.md", "../../docs")
	if !strings.Contains(out, "all done") {
		t.Errorf("output:\n%s", out)
	}
}
