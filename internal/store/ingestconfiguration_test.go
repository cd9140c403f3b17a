package store

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"anabranch/internal/resource"
)

// ingest makes an ingest configuration for RTMPS.
func (f *fixture) ingest(alter ...func(*resource.IngestConfiguration)) resource.IngestConfiguration {
	f.t.Helper()
	chosen := resource.IngestConfiguration{Protocol: resource.IngestRTMPS}
	for _, a := range alter {
		a(&chosen)
	}
	c, err := resource.NewIngestConfiguration(place, chosen)
	f.must(err)
	f.must(f.CreateIngestConfiguration(f.t.Context(), c))
	return c
}

// activate is what happens when somebody publishes.
func (f *fixture) activate(c resource.IngestConfiguration) {
	f.t.Helper()
	_, err := f.writer.NewUpdate().Model((*ingestConfigurationRow)(nil)).
		Set("state = ?", resource.IngestActive).Where("arn = ?", c.ARN).Exec(f.t.Context())
	f.must(err)
}

func TestIngestConfigurations(t *testing.T) {
	f := open(t)
	ctx := t.Context()
	st := f.stage("")
	plain := f.ingest()
	full := f.ingest(func(c *resource.IngestConfiguration) {
		c.Name, c.StageARN, c.Protocol, c.InsecureIngest = "it's", st.ARN, resource.IngestRTMP, true
		c.UserID, c.RedundantIngest = "ana", true
		c.Attributes, c.Tags = map[string]string{"a": `"b"`}, resource.Tags{"c": "d"}
	})
	for _, want := range []resource.IngestConfiguration{plain, full} {
		got, err := f.IngestConfiguration(ctx, want.ARN)
		if len(got.Credentials) == 0 {
			got.Credentials = nil
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("ingest configuration is\n%+v, %v; want\n%+v", got, err, want)
		}
	}

	set := func(arn, stage resource.ARN) error {
		_, err := f.UpdateIngestConfiguration(ctx, arn, func(c *resource.IngestConfiguration) error {
			c.StageARN = stage
			c.SetRedundant(stage != "")
			return nil
		})
		return err
	}
	f.must(set(plain.ARN, st.ARN))
	f.must(set(full.ARN, ""))
	if got, err := f.IngestConfiguration(ctx, plain.ARN); err != nil || got.StageARN != st.ARN || len(got.Credentials) != 2 || got.StreamKey != plain.StreamKey {
		t.Errorf("attached: %+v, %v", got, err)
	}
	if got, err := f.IngestConfiguration(ctx, full.ARN); err != nil || got.StageARN != "" || len(got.Credentials) != 0 || got.ParticipantID != full.ParticipantID {
		t.Errorf("detached: %+v, %v", got, err)
	}
	missing := place.ARN(resource.KindStage, "missing")
	err := set(full.ARN, missing)
	wantKind(t, err, resource.Invalid)
	if !strings.HasPrefix(err.Error(), "stageArn:") {
		t.Errorf("error does not name the member: %v", err)
	}
	bad := plain
	bad.ARN, bad.StreamKey, bad.StageARN = "other", "other", missing
	wantKind(t, f.CreateIngestConfiguration(ctx, bad), resource.Invalid)
	wantKind(t, set(place.ARN(resource.KindIngestConfiguration, "missing"), ""), resource.NotFound)
	_, err = f.IngestConfiguration(ctx, missing)
	wantKind(t, err, resource.NotFound)
}

// While somebody publishes by a configuration it stays as it is, unless it is
// deleted by force.
func TestActiveIngestConfigurations(t *testing.T) {
	f := open(t)
	ctx := t.Context()
	c, idle := f.ingest(), f.ingest()
	f.activate(c)
	_, err := f.UpdateIngestConfiguration(ctx, c.ARN, func(*resource.IngestConfiguration) error { t.Error("asked to change it"); return nil })
	wantKind(t, err, resource.Conflict)
	wantKind(t, f.DeleteIngestConfiguration(ctx, c.ARN, false), resource.Conflict)
	f.must(f.DeleteIngestConfiguration(ctx, c.ARN, true))
	wantKind(t, f.DeleteIngestConfiguration(ctx, c.ARN, true), resource.NotFound)
	f.must(f.DeleteIngestConfiguration(ctx, idle.ARN, false))
}

func TestListIngestConfigurations(t *testing.T) {
	f := open(t)
	st, other := f.stage(""), f.stage("")
	a := f.ingest()
	b := f.ingest(func(c *resource.IngestConfiguration) { c.StageARN = st.ARN })
	c := f.ingest(func(c *resource.IngestConfiguration) { c.StageARN = other.ARN })
	f.activate(c)
	for name, tt := range map[string]struct {
		filter resource.IngestConfigurationFilter
		want   []resource.ARN
	}{
		"all":      {resource.IngestConfigurationFilter{}, []resource.ARN{a.ARN, b.ARN, c.ARN}},
		"stage":    {resource.IngestConfigurationFilter{StageARN: st.ARN}, []resource.ARN{b.ARN}},
		"inactive": {resource.IngestConfigurationFilter{State: resource.IngestInactive}, []resource.ARN{a.ARN, b.ARN}},
		"active":   {resource.IngestConfigurationFilter{State: resource.IngestActive}, []resource.ARN{c.ARN}},
	} {
		got, _, err := f.ListIngestConfigurations(t.Context(), tt.filter, resource.Page{Size: 9})
		var arns []resource.ARN
		for _, c := range got {
			arns = append(arns, c.ARN)
		}
		if err != nil || !slices.Equal(arns, tt.want) {
			t.Errorf("%s: %v, %v; want %v", name, arns, err, tt.want)
		}
	}
}
