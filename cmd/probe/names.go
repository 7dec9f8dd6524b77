// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/spf13/pflag"

	"probe/internal/agent"
)

// registerNames adds the flags that say how processes are called, and those that
// filter by these names.
func registerNames(f *pflag.FlagSet, n *agent.NameOptions) {
	f.StringArrayVar(&n.Services, "service", nil, "service name for what matches, FIELD:PATTERN[,...]=NAME, for example container:api*=api (may be repeated, the first that matches)")
	f.StringSliceVar(&n.Containers, "container", nil, "only processes in the container of this name, or whose id begins like this (may be repeated)")
	f.StringSliceVar(&n.Namespaces, "namespace", nil, "only processes in pods of this namespace, or of this Compose project (may be repeated)")
	f.StringSliceVar(&n.Exes, "exe", nil, "only processes that run this executable: a path, or its last part; * stands for anything (may be repeated)")
	f.BoolVar(&n.Kubelet, "kubelet", false, "also ask the kubelet of NODE_IP for the names of pods, with the service account's token")
	f.BoolVar(&n.KubeletInsecure, "kubelet-insecure-tls", false, "take any certificate of the kubelet")
}

// noEmptyFilters: an empty list, say from an unset variable, must not become no
// filter.
func noEmptyFilters(f *pflag.FlagSet, n *agent.NameOptions) {
	for name, list := range map[string]*[]string{"container": &n.Containers, "namespace": &n.Namespaces, "exe": &n.Exes} {
		if f.Changed(name) && len(*list) == 0 {
			*list = []string{""}
		}
	}
}
