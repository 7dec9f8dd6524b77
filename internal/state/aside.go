// SPDX-License-Identifier: Apache-2.0

package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// setAsideTime is part of a name: it sorts by time.
const setAsideTime = "20060102T150405.000000000Z"

// setAside renames a database that cannot be used and says so in one sentence.
func (s *Store) setAside(why error) (string, error) {
	kind := "damaged"
	if errors.Is(why, ErrNewer) {
		kind = "newer"
	}
	name := databaseName + "." + kind + "-" + s.now().UTC().Format(setAsideTime)
	if err := os.Rename(s.path(databaseName), s.path(name)); err != nil {
		return "", fmt.Errorf("set aside: %w", err)
	}
	return fmt.Sprintf("%s: %v: renamed to %s", s.path(databaseName), why, name), nil
}

// cleanUp removes unfinished databases, and the oldest of those set aside.
func (s *Store) cleanUp() error {
	remove, err := s.matching(newPattern)
	if err != nil {
		return fmt.Errorf("clean up: %w", err)
	}
	aside, err := s.matching(databaseName + ".*-*Z")
	if err != nil {
		return fmt.Errorf("clean up: %w", err)
	}
	slices.SortFunc(aside, func(a, b string) int { return strings.Compare(timeOf(b), timeOf(a)) })
	remove = append(remove, aside[min(len(aside), maxSetAside):]...)
	for _, name := range remove {
		if err := os.Remove(name); err != nil {
			return fmt.Errorf("clean up: %w", err)
		}
	}
	return nil
}

// matching returns the paths of the files of that pattern. The name of the
// directory may look like a pattern itself, and is none.
func (s *Store) matching(pattern string) ([]string, error) {
	files, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, entry := range files {
		if ok, err := filepath.Match(pattern, entry.Name()); err != nil {
			return nil, err
		} else if ok {
			paths = append(paths, s.path(entry.Name()))
		}
	}
	return paths, nil
}

func timeOf(name string) string { return name[strings.LastIndex(name, "-")+1:] }
