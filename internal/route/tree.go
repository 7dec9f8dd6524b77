// SPDX-License-Identifier: Apache-2.0

package route

import "strings"

// node is one segment in the tree of templates. Nodes are added only with a
// template, so there are at most MaxRoutes times MaxDepth+1 of them. A nil node
// is one that does not exist yet.
type node struct {
	children map[string]*node
	// named counts the children that are words, not whole placeholders.
	named int
	// word: the template of this segment is itself, wherever it stands.
	word bool
}

func (n *node) child(seg []byte) *node {
	if n == nil {
		return nil
	}
	return n.children[string(seg)]
}

func (n *node) words() int {
	if n == nil {
		return 0
	}
	return n.named
}

// insert adds the segments of a template.
func (n *node) insert(template string) {
	for seg := range strings.SplitSeq(template[1:], "/") {
		next := n.children[seg]
		if next == nil {
			next = &node{}
			if n.children == nil {
				n.children = make(map[string]*node)
			}
			n.children[seg] = next
			if !isPlaceholder(seg) {
				n.named++
				next.word = isWord(seg)
			}
		}
		n = next
	}
}

// isWord reports whether appendSegment leaves a segment as it is, wherever it
// stands: as a version it leaves more.
func isWord(seg string) bool {
	out, whole := appendSegment(nil, []byte(seg), false)
	return !whole && string(out) == seg
}
