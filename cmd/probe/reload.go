// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"log/slog"
	"maps"
	"slices"

	"github.com/spf13/pflag"

	"probe/internal/agent"
)

// typed are the values of the flags that stand on the command line.
type typed map[string][]string

func typedFlags(f *pflag.FlagSet) typed {
	t := typed{}
	f.Visit(func(flag *pflag.Flag) { t[flag.Name] = valuesOf(flag) })
	return t
}

func valuesOf(flag *pflag.Flag) []string {
	if slice, repeats := flag.Value.(pflag.SliceValue); repeats {
		return slice.GetSlice()
	}
	return []string{flag.Value.String()}
}

// apply types them again.
func (t typed) apply(f *pflag.FlagSet) error {
	for name, values := range t {
		flag := f.Lookup(name)
		if slice, repeats := flag.Value.(pflag.SliceValue); repeats {
			if err := slice.Replace(values); err != nil {
				return err
			}
			flag.Changed = true
		} else if err := f.Set(name, values[0]); err != nil {
			return err
		}
	}
	return nil
}

// reloader returns what reads the settings again: the same command line, the
// same environment, and the file as it is then. before are the flags in use.
func (c *common) reloader(before *pflag.FlagSet, t typed, valid []string, stdout io.Writer) func() (agent.Reloaded, error) {
	known := allValues(before)
	return func() (agent.Reloaded, error) {
		fresh := common{flags: c.flags, level: new(slog.LevelVar)}
		f := pflag.NewFlagSet("reload", pflag.ContinueOnError)
		fresh.flags(&fresh, f)
		if err := t.apply(f); err != nil {
			return agent.Reloaded{}, err
		}
		o, err := fresh.options(f, valid)
		if err != nil {
			return agent.Reloaded{}, err
		}
		o.Stdout = stdout
		now := allValues(f)
		var changed []string
		for _, name := range slices.Sorted(maps.Keys(now)) {
			if !slices.Equal(now[name], known[name]) {
				changed = append(changed, name)
			}
		}
		return agent.Reloaded{Options: o, Changed: changed, Adopted: func(live []string) {
			for _, name := range live { // the others are still as at the start
				known[name] = now[name]
			}
			c.level.Set(fresh.level.Level())
		}}, nil
	}
}

func allValues(f *pflag.FlagSet) map[string][]string {
	all := map[string][]string{}
	f.VisitAll(func(flag *pflag.Flag) {
		if flag.Name != "help" {
			all[flag.Name] = valuesOf(flag)
		}
	})
	return all
}
