// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/knadh/koanf/parsers/json"
	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/rawbytes"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"probe/internal/agent"
)

// maxConfigBytes bounds a config file.
const maxConfigBytes = 1 << 20

// notInFile are flags that are no keys of a config file.
var notInFile = []string{"config", "help", "version"}

// fromFile sets the flags that neither the command line nor the environment
// has set. Keys are names of flags. One file can serve all commands: a key that
// only another command has is not for this one; valid are all there are.
func fromFile(f *pflag.FlagSet, path string, valid []string) error {
	if path == "" {
		return nil
	}
	values, err := readConfig(path)
	if err != nil {
		return fmt.Errorf("%w: config file %s: %w", agent.ErrUsage, path, err)
	}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if !slices.Contains(valid, key) {
			return fmt.Errorf("%w: config file %s: unknown key %q: nearest are %s",
				agent.ErrUsage, path, key, strings.Join(nearest(strings.ToLower(key), valid), ", "))
		}
		flag := f.Lookup(key)
		if flag == nil || flag.Changed {
			continue
		}
		if err := setFlag(f, flag, values[key]); err != nil {
			return fmt.Errorf("%w: config file %s: key %q: %w", agent.ErrUsage, path, key, err)
		}
	}
	return nil
}

func readConfig(path string) (map[string]any, error) {
	var parser koanf.Parser
	switch filepath.Ext(path) {
	case ".yaml", ".yml":
		parser = yaml.Parser()
	case ".json":
		parser = json.Parser()
	default:
		return nil, errors.New("unknown format: want a name that ends in .yaml, .yml or .json")
	}
	// Opening a pipe would wait for its writer, deaf to signals.
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, errors.Unwrap(err) // the path is told already
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file: a pipe could not be read again at SIGHUP")
	}
	text, err := io.ReadAll(io.LimitReader(file, maxConfigBytes+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxConfigBytes {
		return nil, fmt.Errorf("more than %d bytes", maxConfigBytes)
	}
	if filepath.Ext(path) != ".json" && manyDocuments(text) {
		return nil, errors.New("more than one YAML document: all keys must be in one, without --- between them")
	}
	k := koanf.New("\x00") // no name of a flag contains it: keys are not split
	if err := k.Load(rawbytes.Provider(text), parser); err != nil {
		return nil, err
	}
	return k.Raw(), nil
}

// manyDocuments: the parser reads the first document of a YAML file, and would
// drop the settings of others without a word. A line that begins with --- is a
// mark between documents wherever it stands, in a text too.
func manyDocuments(text []byte) bool {
	begun, others := false, false
	for line := range bytes.Lines(text) {
		after, dashes := bytes.CutPrefix(bytes.TrimRight(line, "\r\n"), []byte("---"))
		if dashes && (len(after) == 0 || after[0] == ' ' || after[0] == '\t') {
			line, others, begun = after, begun, true
		}
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' || line[0] == '%' || string(line) == "..." {
			continue
		}
		if begun = true; others {
			return true
		}
	}
	return false
}

// setFlag sets a flag to a value of the file: a scalar, or a list of scalars
// for a flag that may be repeated.
func setFlag(f *pflag.FlagSet, flag *pflag.Flag, value any) error {
	list, isList := value.([]any)
	if !isList {
		text, err := scalar(value)
		if err != nil {
			return err
		}
		return setText(f, flag, text)
	}
	slice, repeats := flag.Value.(pflag.SliceValue)
	if !repeats {
		return errors.New("a list: want one value")
	}
	texts := make([]string, 0, len(list))
	for _, one := range list {
		text, err := scalar(one)
		if err != nil {
			return err
		}
		texts = append(texts, text)
	}
	if err := slice.Replace(texts); err != nil {
		return err
	}
	flag.Changed = true
	return nil
}

// setText is f.Set without the name of the flag in the error.
func setText(f *pflag.FlagSet, flag *pflag.Flag, text string) error {
	err := f.Set(flag.Name, text)
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) {
		return fmt.Errorf("value %q: %w", text, invalid.Unwrap())
	}
	return err
}

func scalar(value any) (string, error) {
	switch v := value.(type) {
	case nil:
		return "", errors.New("no value")
	case string:
		return v, nil
	case float64: // every number of JSON
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	case bool, int, int64, uint64:
		return fmt.Sprint(v), nil
	}
	return "", fmt.Errorf("a %T: want a string, a number, true, false, or a list of them", value)
}

// validKeys are the names of all flags of all commands.
func validKeys(root *cobra.Command) []string {
	names := map[string]bool{}
	for _, c := range root.Commands() {
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if !slices.Contains(notInFile, f.Name) {
				names[f.Name] = true
			}
		})
	}
	return slices.Sorted(maps.Keys(names))
}
