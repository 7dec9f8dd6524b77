// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"encoding/json"
	"errors"
	"strings"
)

// details are what the files of a container say about it.
type details struct {
	name, pod, namespace, podUID string
	// owner is the workload where somebody knows it; else it is derived.
	owner string
	// service of Docker Compose or Swarm, project or stack.
	service, project string
	// unit is the systemd unit that runs the container (Podman).
	unit    string
	runtime string
	// source says which file told the names.
	source string
}

// known reports whether there is a name in it.
func (d *details) known() bool { return d.name != "" || d.pod != "" || d.service != "" }

// labelKeys are the labels and annotations in which names are found, by the
// program that writes them. The first of a kind wins.
var labelKeys = [...]struct {
	key string
	to  func(*details) *string
}{
	// containerd's CRI plugin
	{"io.kubernetes.cri.container-name", func(d *details) *string { return &d.name }},
	{"io.kubernetes.cri.sandbox-name", func(d *details) *string { return &d.pod }},
	{"io.kubernetes.cri.sandbox-namespace", func(d *details) *string { return &d.namespace }},
	{"io.kubernetes.cri.sandbox-uid", func(d *details) *string { return &d.podUID }},
	// the kubelet: CRI-O and cri-dockerd hand them on
	{"io.kubernetes.container.name", func(d *details) *string { return &d.name }},
	{"io.kubernetes.pod.name", func(d *details) *string { return &d.pod }},
	{"io.kubernetes.pod.namespace", func(d *details) *string { return &d.namespace }},
	{"io.kubernetes.pod.uid", func(d *details) *string { return &d.podUID }},
	// Compose, Swarm
	{"com.docker.compose.service", func(d *details) *string { return &d.service }},
	{"com.docker.compose.project", func(d *details) *string { return &d.project }},
	{"com.docker.swarm.service.name", func(d *details) *string { return &d.service }},
	{"com.docker.stack.namespace", func(d *details) *string { return &d.project }},
	{"io.podman.compose.project", func(d *details) *string { return &d.project }},
	// nerdctl, Podman
	{"nerdctl/name", func(d *details) *string { return &d.name }},
	{"PODMAN_SYSTEMD_UNIT", func(d *details) *string { return &d.unit }},
}

// fromLabels fills in what is still empty.
func (d *details) fromLabels(labels map[string]string) {
	for _, l := range labelKeys {
		if to := l.to(d); *to == "" {
			*to = bounded(labels[l.key])
		}
	}
	d.unit = strings.TrimSuffix(d.unit, ".service")
}

// bounded keeps a name from being long.
func bounded(s string) string { return s[:min(len(s), maxLabelBytes)] }

var errNoNames = errors.New("the file has no names")

// parseOCIConfig reads a bundle's config.json (OCI runtime specification).
func parseOCIConfig(data []byte) (details, error) {
	var config struct {
		Annotations map[string]string `json:"annotations"`
	}
	if err := json.Unmarshal(data, &config); err != nil {
		return details{}, err
	}
	var d details
	d.fromLabels(config.Annotations)
	if !d.known() {
		return details{}, errNoNames
	}
	return d, nil
}

// parseDockerConfig reads Docker's config.v2.json.
func parseDockerConfig(data []byte) (details, error) {
	var config struct {
		Name   string
		Config struct {
			Labels map[string]string
		}
	}
	if err := json.Unmarshal(data, &config); err != nil {
		return details{}, err
	}
	var d details
	d.fromLabels(config.Config.Labels)
	if d.name == "" {
		d.name = bounded(strings.TrimPrefix(config.Name, "/"))
	}
	if !d.known() {
		return details{}, errNoNames
	}
	return d, nil
}

// parseStorage finds a container in containers.json of containers/storage, the
// one file in which Podman writes names; labels are in its database only.
func parseStorage(data []byte, id string) (details, error) {
	var containers []struct {
		ID    string   `json:"id"`
		Names []string `json:"names"`
	}
	if err := json.Unmarshal(data, &containers); err != nil {
		return details{}, err
	}
	for _, c := range containers {
		if c.ID == id && len(c.Names) > 0 && c.Names[0] != "" {
			return details{name: bounded(c.Names[0])}, nil
		}
	}
	return details{}, errNoNames
}

// parseLogName reads the name of a link in /var/log/containers:
// <pod>_<namespace>_<container>-<id>.log.
func parseLogName(name, id string) (details, bool) {
	name, ok := strings.CutSuffix(name, "-"+id+".log")
	if !ok || id == "" {
		return details{}, false
	}
	parts := strings.Split(name, "_")
	if len(parts) != 3 || parts[0] == "" || parts[1] == "" || parts[2] == "" {
		return details{}, false
	}
	return details{pod: bounded(parts[0]), namespace: bounded(parts[1]), name: bounded(parts[2])}, true
}

// parsePodDir reads the name of a directory in /var/log/pods:
// <namespace>_<pod>_<uid>.
func parsePodDir(name, uid string) (details, bool) {
	name, ok := strings.CutSuffix(name, "_"+uid)
	if !ok || uid == "" {
		return details{}, false
	}
	namespace, pod, ok := strings.Cut(name, "_")
	if !ok || namespace == "" || pod == "" || strings.Contains(pod, "_") {
		return details{}, false
	}
	return details{pod: bounded(pod), namespace: bounded(namespace), podUID: uid}, true
}
