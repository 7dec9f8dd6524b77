// SPDX-License-Identifier: Apache-2.0

package workload

import "strings"

// The alphabets of names that Kubernetes generates. Random suffixes leave out
// vowels and what looks like another character; a template hash is a decimal
// number in the ten characters that its digits become.
const (
	suffixAlphabet = "bcdfghjklmnpqrstvwxz2456789"
	hashAlphabet   = "456789bcdf"
	suffixLen      = 5
	minHashLen     = 7 // 2 of 1,000 hashes are shorter, see workloadOf
	maxHashLen     = 10
	minMinutesLen  = 8 // minutes since 1970 in the name of a CronJob's Job
)

// workloadOf derives the workload from the name of a pod:
//
//	web-6d4cf56db6-x2l8q   Deployment web: template hash, suffix
//	backup-28912345-k9wzb  CronJob backup: minutes, suffix
//	db-0                   StatefulSet db: ordinal
//	agent-x2l8q            DaemonSet, Job or ReplicaSet agent: suffix
//	shell                  a pod of its own
//
// It is a guess where a name looks generated and is not, and a Deployment whose
// hash is very short keeps it. The kubelet knows for sure.
func workloadOf(pod string) string {
	base, last, ok := cutLast(pod)
	if !ok {
		return pod
	}
	if len(last) == suffixLen && madeOf(last, suffixAlphabet) {
		owner, middle, ok := cutLast(base)
		switch {
		case !ok:
		case len(middle) >= minHashLen && len(middle) <= maxHashLen && madeOf(middle, hashAlphabet):
			return owner
		case len(middle) >= minMinutesLen && madeOf(middle, "0123456789"):
			return owner
		}
		return base
	}
	if len(last) <= suffixLen && madeOf(last, "0123456789") {
		return base
	}
	return pod
}

// cutLast splits at the last dash; both halves must be something.
func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, '-')
	if i <= 0 || i == len(s)-1 {
		return "", "", false
	}
	return s[:i], s[i+1:], true
}

func madeOf(s, alphabet string) bool {
	return strings.Trim(s, alphabet) == "" && s != ""
}
