// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	serviceAccountDir = "/var/run/secrets/kubernetes.io/serviceaccount"
	kubeletPort       = "10250"
	// kubeletRefresh is between two requests, kubeletGap at least that, when
	// unknown pods ask for one.
	kubeletRefresh = time.Minute
	kubeletGap     = 2 * time.Second
	kubeletTimeout = 10 * time.Second
	// maxPodsBytes bounds an answer: 500 pods of 20 KB and room.
	maxPodsBytes = 64 << 20
)

// KubeletOptions say which kubelet to ask and how.
type KubeletOptions struct {
	// URL of the list of pods; "" is https://$NODE_IP:10250/pods.
	URL string
	// Insecure takes any certificate; most kubelets sign their own.
	Insecure bool
	// Dir holds the service account's token and ca.crt; "" is where Kubernetes
	// mounts them.
	Dir string
}

// Kubelet asks the kubelet of this node for its pods, in a goroutine of its own.
// A nil one knows nothing.
type Kubelet struct {
	opt    KubeletOptions
	client *http.Client
	log    *slog.Logger
	wanted chan struct{}
	pods   atomic.Pointer[podList]

	mu      sync.Mutex
	fetched chan struct{} // closed after the next request
	told    bool

	requests, failures atomic.Uint64
}

// podList is one answer of the kubelet.
type podList struct{ byContainer, byUID map[string]*details }

// NewKubelet returns an idle Kubelet; Run asks. The error says which setting is
// missing.
func NewKubelet(opt KubeletOptions, nodeIP string, log *slog.Logger) (*Kubelet, error) {
	if opt.URL == "" {
		if nodeIP == "" {
			return nil, errors.New("the kubelet's address is not known: set NODE_IP (in a pod: fieldRef status.hostIP)")
		}
		if strings.Contains(nodeIP, ":") {
			nodeIP = "[" + nodeIP + "]"
		}
		opt.URL = "https://" + nodeIP + ":" + kubeletPort + "/pods"
	}
	if opt.Dir == "" {
		opt.Dir = serviceAccountDir
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	config := &tls.Config{InsecureSkipVerify: opt.Insecure, MinVersion: tls.VersionTLS12}
	if ca, err := os.ReadFile(filepath.Join(opt.Dir, "ca.crt")); err == nil {
		config.RootCAs = x509.NewCertPool()
		config.RootCAs.AppendCertsFromPEM(ca)
	}
	return &Kubelet{
		opt: opt, log: log, wanted: make(chan struct{}, 1), fetched: make(chan struct{}),
		client: &http.Client{
			Timeout:   kubeletTimeout,
			Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true},
			// The token is for the kubelet alone.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// Run asks at once, every minute, and soon when a pod is not known, until ctx
// ends. A failure is counted, and the first is said.
func (k *Kubelet) Run(ctx context.Context) {
	for ctx.Err() == nil {
		pods, err := k.fetch(ctx)
		k.requests.Add(1)
		if err == nil {
			k.pods.Store(pods)
		}
		if err != nil && ctx.Err() == nil {
			k.failures.Add(1)
			if !k.told {
				k.told = true
				k.log.Warn("the kubelet does not tell its pods; names come from files alone", "url", k.opt.URL, "error", err)
			}
		}
		k.mu.Lock()
		close(k.fetched)
		k.fetched = make(chan struct{})
		k.mu.Unlock()
		if !pause(ctx, kubeletGap, nil) || !pause(ctx, kubeletRefresh-kubeletGap, k.wanted) {
			return
		}
	}
}

// pause waits, or until somebody wants; false when ctx ended.
func pause(ctx context.Context, d time.Duration, wanted <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-wanted:
	case <-timer.C:
	}
	return true
}

func (k *Kubelet) fetch(ctx context.Context) (*podList, error) {
	token, err := os.ReadFile(filepath.Join(k.opt.Dir, "token"))
	if err != nil {
		return nil, fmt.Errorf("read service account token: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, k.opt.URL, nil)
	if err != nil {
		return nil, fmt.Errorf("ask kubelet: %w", err)
	}
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	response, err := k.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask kubelet: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask kubelet: %s (the service account needs get on nodes/proxy)", response.Status)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxPodsBytes+1))
	if err == nil && len(body) > maxPodsBytes {
		err = errTooLarge
	}
	if err != nil {
		return nil, fmt.Errorf("read pods: %w", err)
	}
	return parsePods(body)
}

// improve adds what the kubelet knows. For a pod that it does not know yet it
// asks anew and waits a little: a worker's time, not the pipeline's.
func (k *Kubelet) improve(g group, d *details) *details {
	if k == nil || g.podUID == "" && (d == nil || d.pod == "") {
		return d
	}
	found := k.find(g)
	if found == nil {
		k.mu.Lock()
		next := k.fetched
		k.mu.Unlock()
		select {
		case k.wanted <- struct{}{}:
		default:
		}
		timer := time.NewTimer(kubeletPatience)
		defer timer.Stop()
		select {
		case <-next:
		case <-timer.C:
		}
		if found = k.find(g); found == nil {
			return d
		}
	}
	if d == nil {
		return found
	}
	merged := *d
	merged.owner = found.owner
	if merged.pod == "" {
		merged.pod, merged.namespace = found.pod, found.namespace
	}
	if merged.name == "" {
		merged.name = found.name
	}
	return &merged
}

func (k *Kubelet) find(g group) *details {
	pods := k.pods.Load()
	if pods == nil {
		return nil
	}
	if d := pods.byContainer[g.containerID]; d != nil {
		return d
	}
	return pods.byUID[g.podUID]
}

// parsePods reads a PodList of the Kubernetes API.
func parsePods(body []byte) (*podList, error) {
	type status struct{ Name, ContainerID string }
	var answer struct {
		Items []struct {
			Metadata struct {
				Name, Namespace, UID string
				Labels               map[string]string
				OwnerReferences      []struct {
					Kind, Name string
					Controller bool
				}
			}
			Status struct{ InitContainerStatuses, ContainerStatuses, EphemeralContainerStatuses []status }
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("read pods: %w", err)
	}
	list := &podList{byContainer: map[string]*details{}, byUID: map[string]*details{}}
	for _, item := range answer.Items {
		m := item.Metadata
		if m.Name == "" {
			continue
		}
		pod := details{pod: bounded(m.Name), namespace: bounded(m.Namespace), podUID: bounded(m.UID), source: "kubelet"}
		for _, owner := range m.OwnerReferences {
			if owner.Controller && owner.Name != "" {
				pod.owner = bounded(ownerName(owner.Kind, owner.Name, m.Labels["pod-template-hash"]))
			}
		}
		if pod.podUID != "" {
			list.byUID[pod.podUID] = &pod
		}
		s := item.Status
		for _, c := range append(append(s.InitContainerStatuses, s.ContainerStatuses...), s.EphemeralContainerStatuses...) {
			if _, id, ok := strings.Cut(c.ContainerID, "://"); ok && id != "" {
				d := pod
				d.name = bounded(c.Name)
				list.byContainer[id] = &d
			}
		}
	}
	return list, nil
}

// ownerName is the workload that made the owner: a Deployment its ReplicaSet, a
// CronJob its Job. The node of a static pod is no workload.
func ownerName(kind, name, templateHash string) string {
	switch kind {
	case "ReplicaSet":
		if base, ok := strings.CutSuffix(name, "-"+templateHash); ok && templateHash != "" {
			return base
		}
	case "Job":
		if base, minutes, ok := cutLast(name); ok && len(minutes) >= minMinutesLen && madeOf(minutes, "0123456789") {
			return base
		}
	case "Node":
		return ""
	}
	return name
}
