// SPDX-License-Identifier: Apache-2.0

package export

import (
	"fmt"
	"slices"
	"strings"
)

// Field is what the lines of a series say about it: a tag, or in the plain
// dialect a segment of the name.
type Field string

// Fields.
const (
	FieldHost    Field = "host"
	FieldService Field = "service"
	FieldMethod  Field = "method"
	FieldRoute   Field = "route"
	FieldStatus  Field = "status"
)

// Fields returns all fields, in the order in which they are written as tags.
func Fields() []Field {
	return []Field{FieldHost, FieldService, FieldMethod, FieldRoute, FieldStatus}
}

// noFields selects no field.
const noFields = "none"

// ParseFields reads names of fields separated by commas, or "none". The result
// is in the order of Fields and not nil; of "", all of them.
func ParseFields(list string) ([]Field, error) {
	if list == "" {
		return Fields(), nil
	}
	fields := []Field{}
	if list == noFields {
		return fields, nil
	}
	var chosen []Field
	for name := range strings.SplitSeq(list, ",") {
		f := Field(strings.TrimSpace(name))
		if !slices.Contains(Fields(), f) {
			return nil, fmt.Errorf("tag %q is unknown; use some of: %s, or %s", f, fieldList(), noFields)
		}
		chosen = append(chosen, f)
	}
	for _, f := range Fields() {
		if slices.Contains(chosen, f) {
			fields = append(fields, f)
		}
	}
	return fields, nil
}

func fieldList() string {
	var names []string
	for _, f := range Fields() {
		names = append(names, string(f))
	}
	return strings.Join(names, ", ")
}

// Tag is a constant tag.
type Tag struct {
	// Key begins with a letter, has letters, digits, '_', '.' and '-', and at
	// most 64 of them.
	Key string
	// Value may be anything; it is made safe for the dialect.
	Value string
}

// maxTags bounds the constant tags, maxKeyLength their keys.
const (
	maxTags      = 32
	maxKeyLength = 64
)

// ParseTag reads key=value or key:value.
func ParseTag(s string) (Tag, error) {
	at := strings.IndexAny(s, "=:")
	if at < 0 {
		return Tag{}, fmt.Errorf("tag %q: want key=value", s)
	}
	tag := Tag{s[:at], s[at+1:]}
	if !validKey(tag.Key) {
		return Tag{}, fmt.Errorf("tag %q: a key begins with a letter and has at most %d letters, digits, '_', '.' and '-'", s, maxKeyLength)
	}
	if tag.Value == "" {
		return Tag{}, fmt.Errorf("tag %q: no value", s)
	}
	return tag, nil
}

// ParseTags reads a list of tags separated by commas, as in STATSD_TAGS.
func ParseTags(list string) ([]Tag, error) {
	var tags []Tag
	for s := range strings.SplitSeq(list, ",") {
		if s = strings.TrimSpace(s); s == "" {
			continue
		}
		tag, err := ParseTag(s)
		if err != nil {
			return nil, err
		}
		tags = append(tags, tag)
	}
	return tags, nil
}

// MergeTags returns base with the tags of over, which win over those of the
// same key.
func MergeTags(base, over []Tag) []Tag {
	var merged []Tag
	for _, tag := range append(slices.Clone(base), over...) {
		if i := slices.IndexFunc(merged, func(t Tag) bool { return t.Key == tag.Key }); i >= 0 {
			merged[i] = tag
			continue
		}
		merged = append(merged, tag)
	}
	return merged
}

func validKey(key string) bool {
	if key == "" || len(key) > maxKeyLength || !isLetter(key[0]) {
		return false
	}
	return !strings.ContainsFunc(key, func(c rune) bool {
		return c >= 0x80 || !isSafe(byte(c)) && c != '.' && c != '-'
	})
}

// checkTags reports a constant tag that cannot be, or that a field shadows.
func checkTags(tags []Tag, fields []Field) error {
	if len(tags) > maxTags {
		return fmt.Errorf("%d constant tags: at most %d", len(tags), maxTags)
	}
	for i, tag := range tags {
		if !validKey(tag.Key) || tag.Value == "" {
			return fmt.Errorf("tag %q: bad key or no value", tag.Key)
		}
		if slices.Contains(fields, Field(tag.Key)) {
			return fmt.Errorf("tag %q is already that of the observed request; choose another key, or leave it out of the selected tags", tag.Key)
		}
		if slices.ContainsFunc(tags[:i], func(t Tag) bool { return t.Key == tag.Key }) {
			return fmt.Errorf("tag %q is given twice", tag.Key)
		}
	}
	return nil
}
