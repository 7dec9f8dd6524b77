// SPDX-License-Identifier: Apache-2.0

package export

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"probe/pkg/events"
	"probe/pkg/stats"
)

var shopOrigin = events.Origin{Container: "api", ContainerID: "5f3c", Pod: "shop-0", Namespace: "prod", Workload: "shop"}

// The names of container and pod are on a line where they are chosen and known.
func TestOriginFields(t *testing.T) {
	tests := []struct {
		name   string
		opt    EncoderOptions
		origin events.Origin
		want   string
	}{
		{"not chosen", EncoderOptions{Dialect: DogStatsD}, shopOrigin,
			"probe.http.server.requests:1|c|#host:h,service:s,method:GET,route:/r,status:200"},
		{"chosen", EncoderOptions{Dialect: DogStatsD, Fields: []Field{FieldService, FieldNamespace, FieldWorkload, FieldContainer, FieldPod, FieldContainerID}}, shopOrigin,
			"probe.http.server.requests:1|c|#service:s,namespace:prod,workload:shop,container:api,pod:shop-0,container_id:5f3c"},
		{"some are not known", EncoderOptions{Dialect: Influx, Fields: []Field{FieldPod, FieldContainer}}, events.Origin{Container: "api"},
			"probe.http.server.requests,container=api:1|c"},
		{"none is known", EncoderOptions{Dialect: SignalFx, Fields: []Field{FieldPod}}, events.Origin{},
			"probe.http.server.requests:1|c"},
		{"plain", EncoderOptions{Fields: []Field{FieldService, FieldNamespace}}, shopOrigin, "probe.s.http.server.prod.requests:1|c"},
		{"plain, not known", EncoderOptions{Fields: []Field{FieldService, FieldNamespace}}, events.Origin{}, "probe.s.http.server.requests:1|c"},
		{"template", EncoderOptions{Template: "{namespace}.{pod}.{scope}.{metric}"}, shopOrigin, "prod.shop_0.http.server.requests:1|c"},
		{"constant tag of that name", EncoderOptions{Dialect: Librato, Fields: []Field{FieldService}, Tags: []Tag{{"namespace", "x"}}}, shopOrigin,
			"probe.http.server.requests#service=s,namespace=x:1|c"},
		{"constant tag of that name, plain", EncoderOptions{Tags: []Tag{{"namespace", "x"}}, Fields: []Field{FieldService}}, shopOrigin, "probe.x.s.http.server.requests:1|c"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.opt.Host = "h"
			e, err := NewEncoder(tt.opt)
			if err != nil {
				t.Fatal(err)
			}
			s := &stats.Series{
				Key:      stats.Key{Service: "s", Route: "/r", Method: "GET", Status: 200, Role: events.RoleServer, Origin: tt.origin.Key()},
				Counters: stats.Counters{Requests: 1},
			}
			if diff := cmp.Diff(tt.want+"\n", string(e.AppendCounts(nil, s))); diff != "" {
				t.Errorf("line (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOriginTags(t *testing.T) {
	for name, tt := range map[string]struct {
		opt  Options
		want events.Origin
	}{
		"none chosen":  {Options{}, events.Origin{}},
		"some fields":  {Options{Fields: []Field{FieldHost, FieldPod, FieldNamespace}}, events.Origin{Pod: "shop-0", Namespace: "prod"}},
		"all fields":   {Options{Fields: Fields()}, shopOrigin},
		"by template":  {Options{Template: "{scope}.{workload}_{container}.{metric}"}, events.Origin{Workload: "shop", Container: "api"}},
		"bad template": {Options{Template: "{"}, events.Origin{}},
	} {
		if got := tt.opt.OriginTags()(shopOrigin); got != tt.want {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
	}
}

func TestOriginFieldsParse(t *testing.T) {
	if got, err := ParseFields("pod,host"); err != nil || !cmp.Equal(got, []Field{FieldHost, FieldPod}) {
		t.Errorf("ParseFields() = %v, %v", got, err)
	}
	if _, err := ParseFields("pods"); err == nil || !strings.Contains(err.Error(), "container_id") {
		t.Errorf("ParseFields(pods): %v, want all fields named", err)
	}
	if got, err := ParseFields(""); err != nil || !cmp.Equal(got, DefaultFields()) {
		t.Errorf("ParseFields(\"\") = %v, %v", got, err)
	}
}
