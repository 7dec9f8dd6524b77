// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"probe/internal/agent"
	"probe/internal/terminal"
)

// where are the flags of commands about an agent that may be running.
type where struct {
	stateDir, listen, config string
}

func (w *where) register(f *pflag.FlagSet) {
	f.StringVar(&w.stateDir, "state-dir", "", "the directory of probe run --state-dir")
	f.StringVar(&w.listen, "listen", "", "the address of probe run --listen")
	f.StringVar(&w.config, "config", "", "take both from the config file of probe run")
}

func (w *where) resolve(cmd *cobra.Command) error {
	return complete(cmd.Flags(), &w.config, validKeys(cmd.Root()))
}

func newStatus(stdout io.Writer) *cobra.Command {
	var w where
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the totals that were kept, since when, and whether an agent runs",
		Example: `  probe status --state-dir /var/lib/probe
  probe status --listen 127.0.0.1:9102 --json`,
		Args: usageArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := w.resolve(cmd); err != nil {
				return err
			}
			s, err := agent.ReadStatus(cmd.Context(), w.listen, w.stateDir)
			if err != nil {
				return err
			}
			if asJSON {
				encoder := json.NewEncoder(stdout)
				return encoder.Encode(s)
			}
			return printStatus(stdout, s)
		},
	}
	w.register(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object")
	return cmd
}

func newReset() *cobra.Command {
	var w where
	cmd := &cobra.Command{
		Use:   "reset",
		Short: "Forget the totals that were kept; a running agent is asked to do so",
		Example: `  probe reset --state-dir /var/lib/probe
  probe reset --listen 127.0.0.1:9102`,
		Args: usageArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := w.resolve(cmd); err != nil {
				return err
			}
			return agent.ResetTotals(cmd.Context(), w.listen, w.stateDir)
		},
	}
	w.register(cmd.Flags())
	return cmd
}

func printStatus(out io.Writer, s agent.Status) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "agent\t%s\n", describeAgent(s))
	for _, problem := range s.Problems {
		fmt.Fprintf(t, "problem\t%s\n", terminal.Visible(problem))
	}
	if !s.Known {
		fmt.Fprintf(t, "totals\theld by the agent; run it with --listen to see them\n")
		return t.Flush()
	}
	fmt.Fprintf(t, "since\t%s\n", s.Since.Format(time.RFC3339))
	if !s.SavedAt.IsZero() {
		fmt.Fprintf(t, "saved\t%s, start %d of the agent, by version %s\n", s.SavedAt.Format(time.RFC3339), s.Starts, terminal.Visible(s.Version))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	printTotals(t, s)
	if err := t.Flush(); err != nil {
		return err
	}
	printSeries(t, s.TopSeries)
	return t.Flush()
}

func describeAgent(s agent.Status) string {
	switch {
	case !s.Running:
		return "not running"
	case s.PID == 0: // it could not write it down
		return "running"
	case s.Listen == "":
		return fmt.Sprintf("running, pid %d", s.PID)
	}
	return fmt.Sprintf("running, pid %d, at %s", s.PID, s.Listen)
}

func printTotals(t io.Writer, s agent.Status) {
	fmt.Fprintf(t, "\nrole\trequests\terrors\trequest bytes\tresponse bytes\toutcomes\n")
	for _, role := range slices.Sorted(maps.Keys(s.Totals)) {
		c := s.Totals[role]
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%s\n", role, c.Requests, c.Errors, c.RequestBytes, c.ResponseBytes, counts(c.Outcomes))
	}
	f := s.Summary
	if f == nil {
		return
	}
	fmt.Fprintf(t, "\nfinished\tfailed\tper minute\taverage\tp50\tp90\tp99\tmax\tstatus codes\n")
	fmt.Fprintf(t, "%d\t%d\t%.1f\t%v\t%v\t%v\t%v\t%v\t%s\n", f.Finished, f.Failed, f.FinishedPerMinute,
		short(f.AvgFinishedNS), short(f.P50NS), short(f.P90NS), short(f.P99NS), short(f.MaxNS), counts(f.StatusCodes))
}

// maxPrinted is how many series are printed; --json has more.
const maxPrinted = 10

func printSeries(t io.Writer, all []agent.SeriesFigures) {
	if len(all) == 0 {
		return
	}
	fmt.Fprintf(t, "\nrequests\terrors\taverage\tmax\trole\tservice\tmethod\tstatus\troute\n")
	for _, s := range all[:min(len(all), maxPrinted)] {
		fmt.Fprintf(t, "%d\t%d\t%v\t%v\t%s\t%s\t%s\t%d\t%s\n",
			s.Requests, s.Errors, short(s.AvgNS), short(s.MaxNS), s.Role, terminal.Visible(s.Service), terminal.Visible(s.Method), s.Status, terminal.Visible(s.Route))
	}
}

// short keeps three or four digits, and no more than microseconds.
func short(d time.Duration) time.Duration {
	unit := time.Microsecond
	for d/unit >= 10_000 {
		unit *= 10
	}
	return d.Round(unit)
}

// counts lists what is not 0: "200: 12, 404: 1".
func counts(m map[string]uint64) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if m[name] > 0 {
			all = append(all, fmt.Sprintf("%s: %d", name, m[name]))
		}
	}
	return strings.Join(all, ", ")
}
