// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// maxRules and maxRuleBytes bound what is asked for every new process.
const (
	maxRules     = 64
	maxRuleBytes = 1024
)

// Rule names the service of the processes it matches. Its text is
//
//	FIELD:PATTERN[,FIELD:PATTERN...]=NAME
//
// All patterns must match, '*' stands for any characters and '?' for one. NAME
// may hold {FIELD}. Fields are container, pod, namespace, workload, unit, exe,
// comm and port; exe is the whole path where the pattern has a '/', else its
// last part.
type Rule struct {
	conditions []condition
	name       string
}

type condition struct{ field, pattern string }

func ruleFields() []string {
	return []string{"container", "pod", "namespace", "workload", "unit", "exe", "comm", "port"}
}

// ParseRules reads rules; the error names the one that is wrong, and how.
func ParseRules(texts []string) ([]Rule, error) {
	if len(texts) > maxRules {
		return nil, fmt.Errorf("%d service rules: at most %d", len(texts), maxRules)
	}
	var rules []Rule
	for _, text := range texts {
		r, err := parseRule(text)
		if err != nil {
			return nil, fmt.Errorf("service rule %q: %w; want FIELD:PATTERN[,FIELD:PATTERN...]=NAME with the fields %s",
				text, err, strings.Join(ruleFields(), ", "))
		}
		rules = append(rules, r)
	}
	return rules, nil
}

func parseRule(text string) (Rule, error) {
	if len(text) > maxRuleBytes {
		return Rule{}, fmt.Errorf("longer than %d bytes", maxRuleBytes)
	}
	match, name, ok := strings.Cut(text, "=")
	if !ok || name == "" {
		return Rule{}, errors.New("no name")
	}
	r := Rule{name: name}
	for part := range strings.SplitSeq(match, ",") {
		field, pattern, ok := strings.Cut(strings.TrimSpace(part), ":")
		if !ok || pattern == "" {
			return Rule{}, fmt.Errorf("no pattern in %q", part)
		}
		if !slices.Contains(ruleFields(), field) {
			return Rule{}, fmt.Errorf("unknown field %q", field)
		}
		if field == "port" && strings.Trim(pattern, "0123456789*?") != "" {
			return Rule{}, fmt.Errorf("no port is like %q: digits, * and ? only", pattern)
		}
		r.conditions = append(r.conditions, condition{field, pattern})
	}
	return r, checkPlaceholders(name)
}

func checkPlaceholders(name string) error {
	for {
		_, rest, ok := strings.Cut(name, "{")
		if !ok {
			return nil
		}
		field, rest, ok := strings.Cut(rest, "}")
		if !ok || !slices.Contains(ruleFields(), field) {
			return fmt.Errorf("unknown field {%s in the name", field)
		}
		name = rest
	}
}

// field returns a field's value in the words of a rule.
func (n *Names) field(field string, port uint16) string {
	switch field {
	case "container":
		return n.Container
	case "pod":
		return n.Pod
	case "namespace":
		return n.Namespace
	case "workload":
		return n.Workload
	case "unit":
		return n.Unit
	case "exe":
		return undeleted(n.Exe) // as --exe has it
	case "comm":
		return n.Comm
	case "port":
		return strconv.Itoa(int(port))
	}
	return ""
}

func (r *Rule) matches(n *Names, port uint16) bool {
	for _, c := range r.conditions {
		value := n.field(c.field, port)
		if c.field == "exe" && !strings.Contains(c.pattern, "/") {
			value = exeName(value)
		}
		if value == "" || !glob(c.pattern, value) {
			return false
		}
	}
	return true
}

// named returns the rule's name with its placeholders filled in.
func (r *Rule) named(n *Names, port uint16) string {
	name := r.name
	for _, field := range ruleFields() {
		if placeholder := "{" + field + "}"; strings.Contains(name, placeholder) {
			value := n.field(field, port)
			if field == "exe" {
				value = exeName(value)
			}
			name = strings.ReplaceAll(name, placeholder, strings.NewReplacer("{", "(", "}", ")").Replace(value))
		}
	}
	return cut(name)
}

// service is the name by the first rule that matches, else by the policy.
func service(rules []Rule, n *Names, port uint16) string {
	for i := range rules {
		if rules[i].matches(n, port) {
			if name := rules[i].named(n, port); name != "" {
				return name
			}
		}
	}
	return n.serviceName(port)
}

// glob matches '*' and '?'; it looks back only to the last star, so its time is
// at most the product of both lengths.
func glob(pattern, s string) bool {
	p, i, star, mark := 0, 0, -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
