// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"net"
	"os"
	"strings"
	"time"

	"probe/internal/clock"
	"probe/pkg/export"
)

// ExportOptions are how statsd lines look and how they wait, in the words of
// the command line.
type ExportOptions struct {
	// Fields are the tags to write, separated by commas; "" is all of them.
	Fields string
	// Template of names in the plain dialect; "" is the default.
	Template string
	// Tags are constant, each key=value.
	Tags []string
	// QueueBytes and QueueAge bound what waits for a receiver that confirms;
	// 0: the defaults of package export.
	QueueBytes int
	QueueAge   time.Duration
	// SpoolDir is where it waits on disk, SpoolBytes bounds that.
	SpoolDir   string
	SpoolBytes int64
}

// validateExport reports the first option that is unknown or out of range.
func (o Options) validateExport() error {
	eo, err := o.exportOptions(nil) // only the finished exporter reads it
	if err != nil {
		return err
	}
	return eo.Validate()
}

// exportOptions: flags win over STATSD_* variables (and DD_* variables in
// Datadog's dialects), and these over the defaults.
func (o Options) exportOptions(c *clock.Clock) (export.Options, error) {
	x := o.Export
	eo := export.Options{
		Prefix: o.Prefix, Host: hostname(), Template: x.Template, Stdout: o.Stdout,
		QueueBytes: x.QueueBytes, QueueAge: x.QueueAge, SpoolDir: x.SpoolDir, SpoolBytes: x.SpoolBytes,
		Now:  func() time.Duration { return time.Duration(c.Now()) },
		Wall: func() time.Time { return c.Wall(c.Now()) },
	}
	var err error
	if eo.Dialect, err = export.ParseDialect(o.Dialect); err != nil {
		return eo, err
	}
	if x.Fields != "" {
		if eo.Fields, err = export.ParseFields(x.Fields); err != nil {
			return eo, err
		}
	}
	if err := o.exportFromEnv(&eo); err != nil {
		return eo, err
	}
	var tags []export.Tag
	for _, s := range x.Tags {
		tag, err := export.ParseTag(s)
		if err != nil {
			return eo, err
		}
		tags = append(tags, tag)
	}
	eo.Tags = export.MergeTags(eo.Tags, tags)
	return eo, nil
}

// exportFromEnv fills in what the flags leave open.
func (o Options) exportFromEnv(eo *export.Options) error {
	getenv := os.Getenv
	if o.Statsd != "" {
		getenv = withoutTarget
	}
	env, err := export.FromEnv(eo.Dialect, getenv)
	if err != nil {
		return err
	}
	eo.Tags, eo.SelfTags = env.Tags, env.SelfTags
	if eo.Prefix == "" {
		eo.Prefix = env.Prefix
	}
	if env.HasTarget {
		eo.Target = env.Target
	}
	if o.Statsd != "" {
		if eo.Target, err = export.ParseTarget(o.Statsd); err != nil {
			return err
		}
	}
	return nil
}

// withoutTarget hides the variables that name a target: a flag has named one,
// so they may say anything.
func withoutTarget(name string) string {
	for _, hidden := range []string{"STATSD_HOST", "DD_AGENT_HOST", "DD_DOGSTATSD_URL"} {
		if name == hidden {
			return ""
		}
	}
	return os.Getenv(name)
}

// hostname is the name that the cluster has for this node, for which a pod's
// manifest sets NODE_NAME, else that of the host.
func hostname() string {
	if name := os.Getenv("NODE_NAME"); name != "" {
		return name
	}
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return firstLabel(name)
}

// firstLabel leaves the domain out. Of an address it would leave what many hosts
// share.
func firstLabel(name string) string {
	if net.ParseIP(name) != nil {
		return name
	}
	name, _, _ = strings.Cut(name, ".")
	return name
}
