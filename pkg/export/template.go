// SPDX-License-Identifier: Apache-2.0

package export

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Variables of a name template beside the names of fields and the keys of
// constant tags.
const (
	varPrefix = "prefix"
	varScope  = "scope"
	varMetric = "metric"
)

// DefaultTemplate is the name of a metric in the plain dialect. Constant tags
// follow the prefix; fields that are not selected are left out, container and
// pod follow the scope where they are.
const DefaultTemplate = "{prefix}.{host}.{service}.{scope}.{route}.{method}.{status}.{metric}"

// template is a compiled name template: segments that stood between dots.
type template struct {
	segments []templateSegment
	tags     []Tag
}

// templateSegment is a row of literals and variables.
type templateSegment []templateToken

// templateToken is a variable, or a literal when variable is "".
type templateToken struct{ literal, variable string }

// defaultTemplate is DefaultTemplate for these fields and constant tags.
func defaultTemplate(fields []Field, tags []Tag) string {
	var kept []string
	for s := range strings.SplitSeq(DefaultTemplate, ".") {
		name := strings.Trim(s, "{}")
		if slices.Contains(Fields(), Field(name)) && !slices.Contains(fields, Field(name)) {
			continue
		}
		kept = append(kept, s)
		if name == varScope {
			for _, f := range fields {
				if slices.Contains(originFields(), f) {
					kept = append(kept, "{"+string(f)+"}")
				}
			}
		}
		if name == varPrefix {
			for _, tag := range tags {
				kept = append(kept, constant(tag)) // the key may be that of a variable
			}
		}
	}
	return strings.Join(kept, ".")
}

// parseTemplate compiles a name template, whose variables may be the keys of
// tags as well.
func parseTemplate(s string, tags []Tag) (*template, error) {
	t := &template{tags: tags}
	metrics := 0
	tokens, err := tokenize(s)
	if err != nil {
		return nil, fmt.Errorf("name template %q: %w", s, err)
	}
	var segment templateSegment
	flush := func() error {
		if len(segment) == 0 {
			return fmt.Errorf("name template %q: empty segment", s)
		}
		t.segments = append(t.segments, segment)
		segment = nil
		return nil
	}
	for _, token := range tokens {
		switch {
		case token.literal == ".":
			if err := flush(); err != nil {
				return nil, err
			}
			continue
		case token.variable == varMetric:
			metrics++
		case token.variable != "" && !slices.Contains(t.variables(), token.variable):
			return nil, fmt.Errorf("name template %q: variable %q is unknown; use some of: {%s}",
				s, token.variable, strings.Join(t.variables(), "}, {"))
		}
		segment = append(segment, token)
	}
	if err := flush(); err != nil {
		return nil, err
	}
	if metrics != 1 {
		return nil, fmt.Errorf("name template %q: {%s} must be in it once", s, varMetric)
	}
	return t, nil
}

// variables that the template may use.
func (t *template) variables() []string {
	names := []string{varPrefix, varScope, varMetric}
	for _, f := range Fields() {
		names = append(names, string(f))
	}
	for _, tag := range t.tags {
		names = append(names, tag.Key)
	}
	return names
}

// tokenize splits into variables, dots and literals of safe characters.
func tokenize(s string) ([]templateToken, error) {
	var tokens []templateToken
	for s != "" {
		if s[0] == '.' {
			tokens, s = append(tokens, templateToken{literal: "."}), s[1:]
			continue
		}
		if s[0] == '{' {
			name, rest, found := strings.Cut(s[1:], "}")
			if !found || name == "" {
				return nil, errors.New("a variable is written {name}")
			}
			tokens, s = append(tokens, templateToken{variable: name}), rest
			continue
		}
		end := 0
		for end < len(s) && isSafe(s[end]) {
			end++
		}
		if end == 0 {
			return nil, fmt.Errorf("character %q: only letters, digits, '_', '.' and {variables}", s[0])
		}
		tokens, s = append(tokens, templateToken{literal: s[:end]}), s[end:]
	}
	return tokens, nil
}
