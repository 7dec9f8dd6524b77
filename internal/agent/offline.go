// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"probe/internal/endpoint"
	"probe/internal/state"
	"probe/pkg/stats"
)

const (
	// clientTimeout bounds a question to a running agent.
	clientTimeout = 5 * time.Second
	// maxAnswer bounds its answer.
	maxAnswer = 4 << 20
)

// Status is what can be found out from outside about an agent and its totals.
type Status struct {
	// Running: an agent answered, or holds the state directory.
	Running bool `json:"running"`
	PID     int  `json:"pid,omitempty"`
	// Listen is the address that answered.
	Listen string `json:"listen,omitempty"`
	// Known is false when an agent holds the totals and cannot be asked; then
	// what follows is missing.
	Known   bool      `json:"known"`
	Since   time.Time `json:"since,omitzero"`
	SavedAt time.Time `json:"saved_at,omitzero"`
	Starts  uint64    `json:"starts,omitempty"`
	Version string    `json:"version,omitempty"`
	// Totals are by role, Summary is over the requests of servers (of clients
	// with --role client).
	Totals  map[string]RoleCounts `json:"totals,omitempty"`
	Summary *Figures              `json:"summary,omitempty"`
	// TopSeries have the most requests.
	TopSeries []SeriesFigures `json:"top_series,omitempty"`
	// Problems are those of a running agent.
	Problems []string `json:"problems,omitempty"`
}

// ErrNothingKept: there are no totals yet.
var ErrNothingKept = errors.New("nothing is kept there yet")

// ReadStatus asks the agent at the address listen, if that is not empty and one
// answers, and else reads the state directory, or asks the agent that holds it.
func ReadStatus(ctx context.Context, listen, dir string) (Status, error) {
	if err := checkWhere(listen, dir); err != nil {
		return Status{}, err
	}
	var asked error
	if listen != "" {
		s, err := askAgent(ctx, listen)
		if err == nil || dir == "" {
			return s, err
		}
		asked = err
	}
	saved, err := state.Read(dir)
	switch {
	case err == nil:
		return statusOf(saved), nil
	case errors.Is(err, fs.ErrNotExist):
		return Status{}, errors.Join(fmt.Errorf("state directory %s: %w", dir, ErrNothingKept), asked)
	case !errors.Is(err, state.ErrInUse):
		return Status{}, err
	}
	holder, err := state.ReadHolder(dir)
	if err == nil && holder.Listen != "" {
		return askAgent(ctx, holder.Listen)
	}
	return Status{Running: true, PID: holder.PID}, nil
}

// ResetTotals forgets the totals: of the running agent, or on disk.
func ResetTotals(ctx context.Context, listen, dir string) error {
	if err := checkWhere(listen, dir); err != nil {
		return err
	}
	if dir == "" {
		return resetAgent(ctx, listen)
	}
	err := state.Remove(dir)
	if !errors.Is(err, state.ErrInUse) {
		return err
	}
	holder, e := state.ReadHolder(dir)
	if e == nil && holder.Listen != "" {
		listen = holder.Listen
	}
	if listen == "" {
		return fmt.Errorf("%w: it has no endpoint to be asked by (--listen); stop it first", err)
	}
	return resetAgent(ctx, listen)
}

func checkWhere(listen, dir string) error {
	if listen == "" && dir == "" {
		return fmt.Errorf("%w: where? give --state-dir DIR, or --listen HOST:PORT of a running agent", ErrUsage)
	}
	if listen == "" {
		return nil
	}
	if err := endpoint.CheckAddress(listen); err != nil && !errors.Is(err, endpoint.ErrPublic) {
		return fmt.Errorf("%w: listen %w", ErrUsage, err)
	}
	return nil
}

func statusOf(saved state.Saved) Status {
	r := stats.New(stats.Options{})
	// Read has checked it.
	_ = r.Restore(saved.Stats)
	summary := figuresOf(r.Calculate())
	return Status{
		Known: true, Since: saved.Since, SavedAt: saved.At, Starts: saved.Starts, Version: saved.Version,
		Totals: countsByRole(r.Lifetime()), Summary: &summary, TopSeries: topSeries(saved.Series),
	}
}

func askAgent(ctx context.Context, listen string) (Status, error) {
	text, err := request(ctx, http.MethodGet, listen, "/debug/state")
	if err != nil {
		return Status{}, err
	}
	var d Description
	if err := json.Unmarshal(text, &d); err != nil {
		return Status{}, fmt.Errorf("ask the agent at %s: not an answer of probe: %w", listen, err)
	}
	s := Status{
		Running: true, PID: d.PID, Listen: listen, Known: true,
		Since: d.Started, Version: d.Version, Totals: d.Remembered, Summary: &d.Summary, Problems: d.Problems,
		TopSeries: d.TopSeries,
	}
	if d.State != nil {
		s.Since, s.SavedAt, s.Starts = d.State.Since, d.State.SavedAt, d.State.Starts
	}
	return s, nil
}

func resetAgent(ctx context.Context, listen string) error {
	_, err := request(ctx, http.MethodPost, listen, "/-/reset")
	return err
}

// request asks a running agent. It follows no redirect and uses no proxy: what
// listens there is on this host.
func request(ctx context.Context, method, listen, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, clientTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, "http://"+reachable(listen)+path, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set(endpoint.ResetHeader, "1")
	transport := &http.Transport{DisableKeepAlives: true}
	response, err := transport.RoundTrip(r)
	if errors.Is(err, syscall.ECONNREFUSED) {
		err = fmt.Errorf("%w: it does not run, or without --listen %s", err, listen)
	}
	if err != nil {
		return nil, fmt.Errorf("ask the agent at %s: %w", listen, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, strings.TrimSpace(string(text[:min(len(text), 200)])))
	}
	if err != nil {
		return nil, fmt.Errorf("ask the agent at %s: %w", listen, err)
	}
	return text, nil
}

// reachable makes an address to listen on one to connect to.
func reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	if ip, err := netip.ParseAddr(host); host != "" && (err != nil || !ip.IsUnspecified()) {
		return listen
	}
	return net.JoinHostPort("localhost", port)
}
