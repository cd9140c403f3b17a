package stage

import (
	"context"

	"anabranch/internal/resource"
	"anabranch/internal/rtc"
)

// Recorder records what participants publish. A stage is recorded as far as that
// goes: nothing that fails there comes back here.
type Recorder interface {
	// Record records a publication of who, in the session it names, from its first
	// packet on: what src gets until stop is called, over all of the publisher's
	// connections. PUBLISH_STARTED names it by the stream's id. Neither Record nor
	// stop waits for anything: a room's mutex is held. A publication of the same participant begins after the last one's stop.
	Record(streamID string, stage *resource.Stage, storage *resource.StorageConfiguration, who *resource.Participant, src *rtc.Source) (stop func())
	// Release says that a stage is gone: no participant comes back to it.
	Release(stage resource.ARN)
}

// plan says how the participants of a stage are recorded.
type plan struct {
	stage   resource.Stage
	storage resource.StorageConfiguration
}

// plans is how often a stage is read whose storage configuration is gone then: a
// stage has none that does not exist, so it has got another one meanwhile.
const plans = 3

// plan reads how the publication that begins is recorded; nil: it is not.
func (m *Manager) plan(ctx context.Context, arn resource.ARN) (*plan, error) {
	if m.Recorder == nil {
		return nil, nil
	}
	for range plans {
		stage, err := m.Ledger.Stage(ctx, arn)
		switch {
		case isKind(err, resource.NotFound):
			return nil, refusalFor(reasonDeleted)
		case err != nil || !stage.Recording.Records():
			return nil, err
		}
		storage, err := m.Ledger.StorageConfiguration(ctx, stage.Recording.StorageConfigurationARN)
		if err == nil {
			return &plan{stage, storage}, nil
		}
		if !isKind(err, resource.NotFound) {
			return nil, err
		}
	}
	return nil, errPlan
}

// record begins to record what p publishes, which ends with the publication.
func (p *participant) record(how *plan) {
	if how == nil {
		return
	}
	who := resource.Participant{
		Stage: p.room.stage, SessionID: p.session, ID: p.id, UserID: p.userID, Attributes: p.attributes,
		FirstJoinTime: p.came, ParticipantClient: p.client, TokenExpires: p.expires,
	}
	p.stream = resource.NewStreamID()
	p.stopRecording = p.room.m.Recorder.Record(p.stream, &how.stage, &how.storage, &who, p.source)
}
