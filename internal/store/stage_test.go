package store

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"anabranch/internal/resource"
)

// stage makes a stage. name may be empty.
func (f *fixture) stage(name string, alter ...func(*resource.Stage)) resource.Stage {
	f.t.Helper()
	st := resource.Stage{ARN: place.ARN(resource.KindStage, resource.NewID()), Name: name}
	for _, a := range alter {
		a(&st)
	}
	st.FillDefaults()
	f.must(f.CreateStage(f.t.Context(), st))
	return st
}

// recordedTo lets a stage record to c.
func recordedTo(c resource.StorageConfiguration) func(*resource.Stage) {
	return func(st *resource.Stage) { st.Recording.StorageConfigurationARN = c.ARN }
}

func TestStages(t *testing.T) {
	f := open(t)
	ctx := t.Context()
	storage := f.storage("")
	plain := f.stage("")
	full := f.stage("it's", func(st *resource.Stage) {
		st.Tags = resource.Tags{"a": `"b"`}
		st.Recording = resource.ParticipantRecording{
			StorageConfigurationARN: storage.ARN,
			MediaTypes:              []string{"AUDIO_ONLY"},
			Thumbnail: resource.ParticipantThumbnail{
				RecordingMode: "INTERVAL", TargetIntervalSeconds: 86400, Storage: []string{"LATEST", "SEQUENTIAL"}},
			ReconnectWindowSeconds: 300,
			HLS:                    resource.ParticipantHLS{TargetSegmentDurationSeconds: 10},
			RecordReplicas:         new(false),
		}
	})
	for _, want := range []resource.Stage{plain, full} {
		if got, err := f.Stage(ctx, want.ARN); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("stage is\n%+v, %v; want\n%+v", got, err, want)
		}
		if got, err := f.StageByID(ctx, want.ID()); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("stage by id is\n%+v, %v; want\n%+v", got, err, want)
		}
	}
	if got, _, err := f.ListStages(ctx, resource.Page{Size: 10}); err != nil || !reflect.DeepEqual(got, []resource.Stage{plain, full}) {
		t.Errorf("stages are %+v, %v", got, err)
	}

	want := plain
	want.Name, want.Recording = "renamed", full.Recording
	got, err := f.UpdateStage(ctx, plain.ARN, func(st *resource.Stage) error {
		st.Name, st.Recording = want.Name, want.Recording
		st.ARN = full.ARN // stays what it was
		return nil
	})
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("update returns\n%+v, %v; want\n%+v", got, err, want)
	}
	refused := resource.Errorf(resource.Invalid, "no")
	if _, err := f.UpdateStage(ctx, plain.ARN, func(st *resource.Stage) error { st.Name = "never"; return refused }); err != refused {
		t.Errorf("error is %v", err)
	}
	if got, err := f.Stage(ctx, plain.ARN); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("stage became\n%+v, %v; want\n%+v", got, err, want)
	}
	if got, err := f.Stage(ctx, full.ARN); err != nil || !reflect.DeepEqual(got, full) {
		t.Errorf("the other stage became\n%+v, %v; want\n%+v", got, err, full)
	}

	f.must(f.DeleteStage(ctx, plain.ARN))
	wantKind(t, f.DeleteStage(ctx, plain.ARN), resource.NotFound)
	_, err = f.Stage(ctx, plain.ARN)
	wantKind(t, err, resource.NotFound)
	_, err = f.StageByID(ctx, plain.ID())
	wantKind(t, err, resource.NotFound)
	_, err = f.UpdateStage(ctx, plain.ARN, func(*resource.Stage) error { t.Error("asked to change nothing"); return nil })
	wantKind(t, err, resource.NotFound)
}

// A stage records to what exists, or not at all.
func TestStorageOfStages(t *testing.T) {
	f := open(t)
	ctx := t.Context()
	missing := func(st *resource.Stage) error {
		st.Recording.StorageConfigurationARN = place.ARN(resource.KindStorageConfiguration, "missing")
		return nil
	}
	var st resource.Stage
	f.must(missing(&st))
	st.ARN = place.ARN(resource.KindStage, "a")
	st.FillDefaults()
	err := f.CreateStage(ctx, st)
	wantKind(t, err, resource.Invalid)
	if !strings.HasPrefix(err.Error(), "autoParticipantRecordingConfiguration.storageConfigurationArn:") {
		t.Errorf("error does not name the member: %v", err)
	}

	storage := f.storage("")
	a, b := f.stage("", recordedTo(storage)), f.stage("", recordedTo(storage))
	_, err = f.UpdateStage(ctx, a.ARN, missing)
	wantKind(t, err, resource.Invalid)
	wantKind(t, f.DeleteStorageConfiguration(ctx, storage.ARN), resource.Conflict)
	off, err := f.UpdateStage(ctx, a.ARN, func(st *resource.Stage) error {
		st.Recording.StorageConfigurationARN = ""
		st.FillDefaults()
		return nil
	})
	if err != nil || off.Recording.On() {
		t.Errorf("stage is %+v, %v", off, err)
	}
	wantKind(t, f.DeleteStorageConfiguration(ctx, storage.ARN), resource.Conflict)
	f.must(f.DeleteStage(ctx, b.ARN))
	f.must(f.DeleteStorageConfiguration(ctx, storage.ARN))
}

// While a participant is being recorded, how it is recorded stays.
func TestRecordingOfStagesStays(t *testing.T) {
	for state, kept := range map[resource.ParticipantRecordingState]bool{
		resource.ParticipantRecordingStarting: true,
		resource.ParticipantRecordingActive:   true,
		resource.ParticipantRecordingStopping: true,
		resource.ParticipantRecordingStopped:  false,
		resource.ParticipantRecordingFailed:   false,
		resource.ParticipantRecordingDisabled: false,
	} {
		t.Run(string(state), func(t *testing.T) {
			f := open(t)
			ctx := t.Context()
			st := f.stage("", recordedTo(f.storage("")))
			session := f.join(st, "guest")
			f.join(st, "other")
			f.must(f.UpdateParticipant(ctx, st.ARN, session.ID, "guest", func(p *resource.Participant) { p.RecordingState = state }, nil))
			apart := f.stage("")
			f.must(f.UpdateParticipant(ctx, apart.ARN, f.join(apart, "guest").ID, "guest",
				func(p *resource.Participant) { p.RecordingState = resource.ParticipantRecordingActive }, nil))
			update := func(change func(*resource.Stage)) error {
				_, err := f.UpdateStage(ctx, st.ARN, func(st *resource.Stage) error { change(st); return nil })
				return err
			}
			f.must(update(func(st *resource.Stage) { st.Name = "another" }))
			err := update(func(st *resource.Stage) { st.Recording.ReconnectWindowSeconds = 5 })
			if kept {
				wantKind(t, err, resource.Conflict)
			} else if err != nil {
				t.Error(err)
			}
			f.must(f.EndStageSession(ctx, st.ARN, session.ID, noon))
			if err := update(func(st *resource.Stage) { st.Recording.ReconnectWindowSeconds = 7 }); err != nil {
				t.Errorf("after the session: %v", err)
			}
		})
	}
}

// Deleting a stage ends what goes on there, and keeps what went on.
func TestDeleteStage(t *testing.T) {
	f := open(t)
	ctx := t.Context()
	st, other := f.stage(""), f.stage("")
	ingest := f.ingest(func(c *resource.IngestConfiguration) { c.StageARN = st.ARN })
	elsewhere := f.ingest(func(c *resource.IngestConfiguration) { c.StageARN = other.ARN })
	f.activate(ingest)
	f.activate(elsewhere)
	session := f.join(st, "a")
	f.join(st, "b")
	f.join(st, "gone")
	f.must(f.UpdateParticipant(ctx, st.ARN, session.ID, "gone", func(p *resource.Participant) { p.State = resource.Disconnected },
		[]resource.ParticipantEvent{{Name: resource.Left}}))
	apart := f.join(other, "c")
	f.must(f.KillParticipant(ctx, st.ARN, "killed", time.Now().Add(time.Hour)))

	f.must(f.DeleteStage(ctx, st.ARN))
	if got, err := f.StageSession(ctx, st.ARN, session.ID); err != nil || got.End == nil {
		t.Errorf("session is %+v, %v", got, err)
	}
	for _, id := range []string{"a", "b", "gone"} {
		p, err := f.Participant(ctx, st.ARN, session.ID, id)
		if err != nil || p.State != resource.Disconnected {
			t.Errorf("participant is %+v, %v", p, err)
		}
		if got := f.happened(st, session.ID, id); !reflect.DeepEqual(got, []resource.ParticipantEventName{resource.Left, resource.Joined}) {
			t.Errorf("%s: %v", id, got)
		}
	}
	if got, err := f.IngestConfiguration(ctx, ingest.ARN); err != nil || got.StageARN != "" || got.State != resource.IngestInactive {
		t.Errorf("ingest configuration is %+v, %v", got, err)
	}
	if killed, err := f.ParticipantKilled(ctx, st.ARN, "killed"); err != nil || killed {
		t.Errorf("a kill outlives its stage: %v", err)
	}
	if _, err := f.JoinStage(ctx, resource.Participant{Stage: st.ARN, ID: "a"}); kind(err) != resource.NotFound {
		t.Errorf("joined a deleted stage: %v", err)
	}
	if got, err := f.ActiveStageSessions(ctx); err != nil || len(got) != 1 || got[0].ID != apart.ID {
		t.Errorf("active sessions are %+v, %v", got, err)
	}
	if got, err := f.IngestConfiguration(ctx, elsewhere.ARN); err != nil || got.StageARN != other.ARN || got.State != resource.IngestActive {
		t.Errorf("the other ingest configuration is %+v, %v", got, err)
	}
	if p, err := f.Participant(ctx, other.ARN, apart.ID, "c"); err != nil || p.State != resource.Connected {
		t.Errorf("the other participant is %+v, %v", p, err)
	}
}
