// SPDX-License-Identifier: Apache-2.0

package export

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// parsedLine is what strictParse found.
type parsedLine struct {
	Name  string
	Value float64
	// Raw is the value as written.
	Raw  string
	Type string
	// Packed are all values of a line that may have several.
	Packed []float64
	// Rate is 1 when there is none.
	Rate float64
	Tags map[string]string
}

// values of the line, one or more.
func (p *parsedLine) values() []float64 {
	if p.Packed != nil {
		return p.Packed
	}
	return []float64{p.Value}
}

// strictParse accepts only what the receivers of a dialect read in the same
// way. A line with several values has them in Packed.
func strictParse(line string, dialect Dialect) (parsedLine, error) {
	p := parsedLine{Rate: 1}
	for i := range len(line) {
		if line[i] <= ' ' || line[i] > '~' {
			return p, fmt.Errorf("byte %#x at %d", line[i], i)
		}
	}
	sections := strings.Split(line, "|")
	if len(sections) < 2 || len(sections) > 4 {
		return p, fmt.Errorf("%d sections", len(sections))
	}
	name, value, found := strings.Cut(sections[0], ":")
	if !found {
		return p, fmt.Errorf("no value")
	}
	name, err := p.nameAndTags(name, dialect)
	if err != nil {
		return p, err
	}
	p.Name, p.Type = name, sections[1]
	if err := p.checkValues(value, dialect); err != nil {
		return p, err
	}
	rest := sections[2:]
	if len(rest) > 0 && rest[0] != "" && rest[0][0] == '@' {
		rate, err := plainDecimal(rest[0][1:])
		if err != nil || rate <= 0 || rate >= 1 || p.Type != "ms" {
			return p, fmt.Errorf("rate %q of type %s: %v", rest[0], p.Type, err)
		}
		p.Rate = rate
		rest = rest[1:]
	}
	if dialect.Datadog() {
		if len(rest) != 1 {
			return p, fmt.Errorf("%d sections behind the rate, want the tags", len(rest))
		}
		list, found := strings.CutPrefix(rest[0], "#")
		if !found {
			return p, fmt.Errorf("tags %q", rest[0])
		}
		return p, p.parseTags(list, ":", ",", "|#;=[]")
	}
	if len(rest) != 0 {
		return p, fmt.Errorf("unexpected section %q", rest[0])
	}
	return p, nil
}

// nameAndTags takes the tags off a name and checks both.
func (p *parsedLine) nameAndTags(s string, dialect Dialect) (name string, err error) {
	const never = ",|#:;=[] "
	name = s
	if open := map[Dialect]string{Influx: ",", Graphite: ";", SignalFx: "[", Librato: "#"}[dialect]; open != "" {
		var list string
		var found bool
		if name, list, found = strings.Cut(s, open); !found {
			return name, fmt.Errorf("no tags in %q", s)
		}
		separator := ","
		switch dialect {
		case Graphite:
			separator = ";"
		case SignalFx:
			if list, found = strings.CutSuffix(list, "]"); !found {
				return name, fmt.Errorf("tags of %q are open", s)
			}
		}
		if err := p.parseTags(list, "=", separator, never); err != nil {
			return name, err
		}
		for _, value := range p.Tags {
			if dialect == Graphite && strings.Trim(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") != "" {
				return name, fmt.Errorf("tag value %q is changed by the first statsd", value)
			}
		}
	}
	return name, checkName(name)
}

func checkName(name string) error {
	if name == "" || len(name) > maxNameLength || !isLetter(name[0]) {
		return fmt.Errorf("name %q: empty, too long (%d) or no letter first", name, len(name))
	}
	for part := range strings.SplitSeq(name, ".") {
		if part == "" {
			return fmt.Errorf("name %q: empty segment", name)
		}
		for i := range len(part) {
			if !isSafe(part[i]) {
				return fmt.Errorf("name %q: %q", name, part[i])
			}
		}
	}
	return nil
}

// checkValues reads one value, or several where the dialect has that.
func (p *parsedLine) checkValues(s string, dialect Dialect) error {
	p.Raw = s
	if dialect != DogStatsD11 || p.Type != "ms" {
		return p.checkValue()
	}
	for raw := range strings.SplitSeq(s, ":") {
		p.Raw = raw
		if err := p.checkValue(); err != nil {
			return err
		}
		p.Packed = append(p.Packed, p.Value)
	}
	p.Raw, p.Value = s, p.Packed[0]
	return nil
}

func (p *parsedLine) checkValue() (err error) {
	switch p.Type {
	case "c":
		var n uint64
		n, err = strconv.ParseUint(p.Raw, 10, 64)
		p.Value = float64(n)
	case "g":
		p.Value, err = plainDecimal(strings.TrimPrefix(p.Raw, "-"))
		if strings.HasPrefix(p.Raw, "-") {
			p.Value = -p.Value
		}
	case "ms":
		p.Value, err = plainDecimal(p.Raw)
	default:
		err = fmt.Errorf("type %q", p.Type)
	}
	if p.Raw == "" || p.Raw[0] == '+' {
		err = fmt.Errorf("value %q", p.Raw)
	}
	return err
}

func (p *parsedLine) parseTags(list, assign, separator, never string) error {
	p.Tags = make(map[string]string)
	for tag := range strings.SplitSeq(list, separator) {
		key, value, found := strings.Cut(tag, assign)
		_, twice := p.Tags[key]
		if !found || twice || !validKey(key) || value == "" || len(tag) > maxTagLength ||
			strings.HasSuffix(tag, ":") || strings.ContainsAny(value, never) {
			return fmt.Errorf("tag %q", tag)
		}
		p.Tags[key] = value
	}
	return nil
}

// plainDecimal reads digits with at most one dot between them.
func plainDecimal(s string) (float64, error) {
	whole, fraction, dotted := strings.Cut(s, ".")
	if whole == "" || dotted && fraction == "" || strings.Trim(whole+fraction, "0123456789") != "" {
		return 0, fmt.Errorf("%q is not a plain decimal", s)
	}
	return strconv.ParseFloat(s, 64)
}

// parseAll splits lines that each end in '\n' and parses them.
func parseAll(t testing.TB, lines []byte, dialect Dialect) []parsedLine {
	t.Helper()
	if len(lines) == 0 {
		return nil
	}
	if lines[len(lines)-1] != '\n' {
		t.Fatalf("no newline at the end of %q", lines)
	}
	var all []parsedLine
	for line := range strings.SplitSeq(string(lines[:len(lines)-1]), "\n") {
		p, err := strictParse(line, dialect)
		if err != nil {
			t.Fatalf("%v in line %q", err, line)
		}
		all = append(all, p)
	}
	return all
}

func TestStrictParserIsStrict(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"", "a", "a:|c", "a:1", "a:1.5|c", "a:-1|c", "a:+1|g", "a:1e3|ms", "a:1|ms|@1e-1", "a:1|ms|@1", "a:1|c|@0.5",
		"a:1:2|ms", "a..b:1|c", ".a:1|c", "a.:1|c", "1a:1|c", "a/b:1|c", "a b:1|c", "a:1|c|#x:y", "a:1|d", "é:1|c",
		"a:1|c|", "a:.5|ms", "a:5.|ms", "a:1e3|g", "a:--1|g", "a:.5|g", strings.Repeat("a", 201) + ":1|c",
	} {
		if p, err := strictParse(line, Plain); err == nil {
			t.Errorf("plain %q passes as %+v", line, p)
		}
	}
	for _, line := range []string{
		"a:1|c", "a:1|c|#", "a:1|c|#x", "a:1|c|#x:", "a:1|c|#x:y,x:z", "a:1|c|#x:y|@0.5", "a:1|c|#x:y:", "a:1|c|#x:y|c:z",
	} {
		if p, err := strictParse(line, DogStatsD); err == nil {
			t.Errorf("dogstatsd %q passes as %+v", line, p)
		}
	}
	for line, dialect := range map[string]Dialect{
		"a:1:2|c|#x:y": DogStatsD11, "a:1:|ms|#x:y": DogStatsD11, "a:1:2|ms|#x:y": DogStatsD,
		"a:1|c": Influx, "a,x=y,:1|c": Influx, "a,x=y z:1|c": Influx, "a,x=y,x=z:1|c": Influx, "a,x=y:1|c|#x:y": Influx,
		"a;x=y/z:1|c": Graphite, "a;x=y,z=w:1|c": Graphite, "a;x:1|c": Graphite,
		"a[x=y:1|c": SignalFx, "a[]:1|c": SignalFx, "a[x=[y]]:1|c": SignalFx,
		"a#x=y#z:1|c": Librato, "a#x=:1|c": Librato,
	} {
		if p, err := strictParse(line, dialect); err == nil {
			t.Errorf("%s %q passes as %+v", dialect, line, p)
		}
	}
}
