// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"probe/internal/host"
	"probe/internal/terminal"
	"probe/pkg/stats"
)

// maxRows of the tables of sockets and services; --json has all of them.
const maxRows = 10

// print writes the report for people: one line per resource, a table of the
// fullest accept queues and of the busiest services, then the verdict.
func (r *hostReport) print(out io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s  %s  over %v\n\n", r.Host, r.Time.Format(time.RFC3339), r.Interval.Round(time.Millisecond))
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	r.printHost(w)
	w.Flush()
	r.printListen(&b)
	r.printServices(&b)
	r.printVerdict(&b)
	_, err := out.Write(b.Bytes())
	return err
}

func (r *hostReport) printHost(w io.Writer) {
	line := func(name, format string, args ...any) { fmt.Fprintf(w, name+"\t"+format+"\n", args...) }
	if c := r.CPU; c != nil {
		busiest := stats.CoreCPU{}
		if len(c.Cores) > 0 {
			busiest = slices.MaxFunc(c.Cores, func(a, b stats.CoreCPU) int { return cmp.Compare(a.Used, b.Used) })
		}
		line("CPU", "%s used, %s iowait, %s steal; busiest of %d: CPU %d, %s",
			percent(c.Used), percent(c.Iowait), percent(c.Steal), len(c.Cores), busiest.Number, percent(busiest.Used))
	}
	if m := r.Memory; m != nil {
		line("memory", "%s of %s used (%s); swap %s of %s",
			size(m.Used), size(m.Total), percent(m.UsedRatio), size(m.SwapUsed), size(m.SwapTotal))
	}
	if text := pressureText(r.PSI); text != "" {
		line("pressure", "%s", text)
	}
	if q := r.RunQueue; q != nil {
		load := ""
		if q.HasLoad {
			load = fmt.Sprintf("; load %.2f %.2f %.2f", q.Load1, q.Load5, q.Load15)
		}
		line("run queue", "%d runnable, %d blocked%s", q.Runnable, q.Blocked, load)
	}
	if d := r.SchedDelay; d != nil {
		line("sched delay", "mean %v of %d waits", d.Mean, d.Count)
	}
	if r.Listen != nil && r.Listen.Counters != nil {
		c := r.Listen.Counters
		line("listen", "%d connections lost, %d of them by a full accept queue", c.Drops, c.Overflows)
	}
}

func pressureText(p stats.PSI) string {
	var parts []string
	add := func(name string, one *stats.Pressure) {
		if one == nil {
			return
		}
		text := name
		if one.Some != nil {
			text += " some " + percent(one.Some.Ratio)
		}
		if one.Full != nil {
			text += " full " + percent(one.Full.Ratio)
		}
		parts = append(parts, text)
	}
	add("cpu", p.CPU)
	add("memory", p.Memory)
	add("io", p.IO)
	return strings.Join(parts, ", ")
}

// printListen shows the fullest queues; those that are empty are counted.
func (r *hostReport) printListen(b *bytes.Buffer) {
	if r.Listen == nil || len(r.Listen.Sockets) == 0 {
		return
	}
	rows := slices.Clone(r.Listen.Sockets)
	slices.SortStableFunc(rows, func(x, y stats.ListenSocket) int { return cmp.Compare(y.Length, x.Length) })
	shown := min(len(rows), maxRows)
	b.WriteByte('\n')
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "accept queue\tlength\tlimit")
	for _, s := range rows[:shown] {
		fmt.Fprintf(w, "%s\t%d\t%d\n", host.SocketName(s), s.Length, s.Limit)
	}
	w.Flush()
	more(b, len(rows)-shown+r.Listen.Refused)
}

func (r *hostReport) printServices(b *bytes.Buffer) {
	if len(r.Services) == 0 {
		return
	}
	rows := slices.Clone(r.Services)
	slices.SortStableFunc(rows, func(x, y stats.Service) int {
		return cmp.Or(cmp.Compare(cpus(y), cpus(x)), cmp.Compare(memory(y), memory(x)))
	})
	shown := min(len(rows), maxRows)
	b.WriteByte('\n')
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "service\tCPUs\tthrottled\tmemory\tlimit\tcpu stall\tmemory stall\tio stall")
	for _, s := range rows[:shown] {
		fmt.Fprintln(w, strings.Join(serviceRow(s), "\t"))
	}
	w.Flush()
	more(b, len(rows)-shown+r.ServicesRefused)
}

func serviceRow(s stats.Service) []string {
	row := []string{terminal.Visible(s.Name), "-", "-", "-", "-", some(s.PSI.CPU), some(s.PSI.Memory), some(s.PSI.IO)}
	if c := s.CPU; c != nil {
		row[1] = fmt.Sprintf("%.2f", c.Used)
		if c.Throttled != nil {
			row[2] = percent(*c.Throttled)
		}
	}
	if m := s.Memory; m != nil {
		row[3], row[4] = size(m.Used), "none"
		if m.Limit > 0 {
			row[4] = size(m.Limit)
		}
	}
	return row
}

func (r *hostReport) printVerdict(b *bytes.Buffer) {
	b.WriteByte('\n')
	if len(r.UnderPressure) == 0 {
		b.WriteString("nothing is under pressure\n")
	} else {
		b.WriteString("under pressure:\n")
	}
	for _, f := range r.UnderPressure {
		fmt.Fprintf(b, "  %s: %s\n", strings.TrimSuffix(f.Resource+" "+terminal.Visible(f.Subject), " "), terminal.Visible(f.Reason))
	}
	for i, m := range r.Missing {
		if i == 0 {
			b.WriteString("not available:\n")
		}
		fmt.Fprintf(b, "  %s: %s\n", m.Source, terminal.Visible(m.Reason))
	}
}

func more(b *bytes.Buffer, n int) {
	if n > 0 {
		fmt.Fprintf(b, "and %d more\n", n)
	}
}

func cpus(s stats.Service) float64 {
	if s.CPU == nil {
		return 0
	}
	return s.CPU.Used
}

func memory(s stats.Service) uint64 {
	if s.Memory == nil {
		return 0
	}
	return s.Memory.Used
}

func some(p *stats.Pressure) string {
	if p == nil || p.Some == nil {
		return "-"
	}
	return percent(p.Some.Ratio)
}

func percent(ratio float64) string { return fmt.Sprintf("%.1f %%", 100*ratio) }

// size in the largest unit that leaves a number of at least 1.
func size(n uint64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	v, i := float64(n), 0
	for v >= 1024 && i < len(units)-1 {
		v, i = v/1024, i+1
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", v, units[i])
}
