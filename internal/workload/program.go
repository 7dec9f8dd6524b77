// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"path"
	"slices"
	"strings"
)

// interpreter says how one language runtime finds its program in the argument
// vector. Options not listed take no value, or carry it in the same argument.
type interpreter struct {
	// names are the executables, without version.
	names []string
	// program options are followed by the program: a file, a module, a jar.
	program []string
	// inline options are followed by program text, which is not a name.
	inline []string
	// value options are followed by a value that is not the program.
	value []string
	// commands may stand before the program: `deno run main.ts`.
	commands []string
	// clustered: options of one letter may stand together, with the value of the
	// last behind it: -euo pipefail, -mhttp.server. A letter of attached ends
	// them: what follows is its own value, and no value comes after it.
	clustered bool
	attached  string
}

// interpreters is a read-only table; no name occurs twice.
var interpreters = [...]interpreter{
	{
		names:   []string{"python", "pypy"},
		program: []string{"-m"},
		inline:  []string{"-c"},
		value:   []string{"-W", "-X", "--check-hash-based-pycs"},

		clustered: true,
	},
	{
		names:  []string{"node", "nodejs"},
		inline: []string{"-e", "--eval", "-p", "--print", "-pe"},
		value:  []string{"-r", "--require", "--import", "--loader", "--experimental-loader", "-C", "--conditions", "--env-file", "--title"},
	},
	{names: []string{"deno", "bun"}, commands: []string{"run", "serve"}, value: []string{"-c", "--config"}},
	{
		names:  []string{"ruby", "jruby"},
		inline: []string{"-e"},
		value:  []string{"-r", "-I", "-C", "-E"},

		clustered: true, attached: "FKTWix",
	},
	{
		names:   []string{"java"},
		program: []string{"-jar", "-m", "--module"},
		value: []string{"-cp", "-classpath", "--class-path", "-p", "--module-path", "--upgrade-module-path",
			"--add-modules", "--add-opens", "--add-exports", "--add-reads", "--limit-modules", "--enable-native-access"},
	},
	{
		names:   []string{"php"},
		program: []string{"-f", "--file"},
		inline:  []string{"-r", "--run"},
		value:   []string{"-S", "--server", "-t", "--docroot", "-d", "--define", "-c", "--php-ini"},
	},
	{
		names: []string{"perl"}, inline: []string{"-e", "-E"}, value: []string{"-I"},
		clustered: true, attached: "CDFMVdimx",
	},
	{names: []string{"dotnet"}, commands: []string{"exec"}, value: []string{"--depsfile", "--runtimeconfig", "--fx-version", "--additionalprobingpath"}},
	{
		names:  []string{"bash", "sh", "dash", "zsh", "ksh", "busybox"},
		inline: []string{"-c"},
		value:  []string{"-o", "+o", "-O", "+O", "--rcfile", "--init-file"},
		// busybox sh script
		commands: []string{"sh", "ash"},

		clustered: true,
	},
}

// interpreterOf recognises an executable's name, with or without a version:
// python3.11, php8.2, node. php-fpm is a server of its own.
func interpreterOf(exe string) (interpreter, bool) {
	bare := strings.TrimRight(exe, "0123456789.-")
	for _, lang := range interpreters {
		if slices.Contains(lang.names, bare) {
			return lang, true
		}
	}
	return interpreter{}, false
}

// programName returns exe and the name of the program it runs, "python3:app.py",
// or exe alone when there is none to be seen (a shell, a one-liner).
func (lang interpreter) programName(exe string, args []string) string {
	exe = majorVersion(exe)
	if applet := lang.applet(exe, args); applet != "" {
		return exe + ":" + applet
	}
	if program := lang.find(args); program != "" {
		return exe + ":" + program
	}
	return exe
}

// applet is what busybox was called as, by a link of that name, where it is no
// shell: the arguments are the applet's own, and may hold what must not be shown.
func (lang interpreter) applet(exe string, args []string) string {
	if exe != "busybox" || len(args) == 0 {
		return ""
	}
	name := strings.TrimPrefix(baseName(args[0]), "-")
	if slices.Contains(lang.names, name) || slices.Contains(lang.commands, name) {
		return ""
	}
	return name
}

// spread takes options of one letter apart: the one that takes a value, of -euo
// it is -o, and the value that stands behind it, of -mhttp.server http.server.
func (lang interpreter) spread(arg string) (option, value string) {
	if !lang.clustered || len(arg) < 2 || arg[0] != '-' && arg[0] != '+' || arg[1] == '-' {
		return arg, ""
	}
	for i := 1; i < len(arg) && strings.IndexByte(lang.attached, arg[i]) < 0; i++ {
		option = arg[:1] + arg[i:i+1]
		for _, taking := range [][]string{lang.program, lang.inline, lang.value} {
			if slices.Contains(taking, option) {
				return option, arg[i+1:]
			}
		}
	}
	return arg, ""
}

// find returns the program's base name, or "".
func (lang interpreter) find(args []string) string {
	if len(args) == 0 {
		return ""
	}
	if title, ok := lang.title(args); ok {
		return title
	}
	for i := 1; i < len(args); i++ {
		arg, value := lang.spread(args[i])
		switch {
		case slices.Contains(lang.program, arg):
			if value != "" {
				return baseName(value)
			}
			if i+1 < len(args) {
				return baseName(args[i+1])
			}
			return ""
		case slices.Contains(lang.inline, arg), arg == "-":
			return ""
		case arg == "--":
			// The next argument is the program, whatever it looks like.
			if i+1 < len(args) {
				return baseName(args[i+1])
			}
			return ""
		case slices.Contains(lang.value, arg):
			if value == "" {
				i++
			}
		case arg == "", strings.HasPrefix(arg, "-"), strings.HasPrefix(arg, "+"), strings.HasPrefix(arg, "@"):
		case slices.Contains(lang.commands, arg):
		default:
			return baseName(arg)
		}
	}
	return ""
}

// title recognises a process that has overwritten its arguments with a title,
// one string: "gunicorn: worker [app]", "puma 6.4 (tcp://…) [app]", "[celeryd: …]".
func (lang interpreter) title(args []string) (string, bool) {
	if len(args) != 1 {
		return "", false
	}
	words := strings.Fields(args[0])
	if len(words) == 0 {
		return "", true
	}
	word := baseName(strings.Trim(words[0], "[]:"))
	// A login shell has a dash before its name.
	if _, same := interpreterOf(strings.TrimPrefix(word, "-")); same {
		return "", true
	}
	return word, true
}

// exeName returns the base name of an exe link's target.
func exeName(link string) string { return baseName(undeleted(link)) }

// undeleted is a path without what the kernel appends to that of an executable or
// control group which was removed, or replaced by an upgrade.
func undeleted(path string) string { return strings.TrimSuffix(path, " (deleted)") }

// majorVersion cuts python3.11 to python3, so that an upgrade of the
// interpreter does not rename every service that runs in it.
func majorVersion(exe string) string {
	major, minor, found := strings.Cut(exe, ".")
	if found && strings.Trim(minor, "0123456789.") == "" {
		return major
	}
	return exe
}

// baseName is the last element of a path, "" for an empty one.
func baseName(p string) string {
	if p == "" {
		return ""
	}
	return path.Base(p)
}
