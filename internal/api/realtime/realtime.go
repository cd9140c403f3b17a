// Package realtime has the operations of IVS real-time streaming: stages, the
// tokens that they are joined with, their sessions and participants, public
// keys, and the configurations of ingest, encoders and storage.
//
//	api.Server → operation here ┬→ Store  (what is)
//	                            ├→ Tokens (who may join)
//	                            └→ Rooms  (who is there now)
//
// What depends on where the server listens is not stored: it is filled in
// whenever a stage is told.
//
// Compositions and replication are not there yet: what starts one is checked,
// and answered 501 when nothing is wrong with it; what looks for one finds none.
package realtime

import (
	"context"
	"net/http"

	"anabranch/internal/api"
	"anabranch/internal/auth"
	"anabranch/internal/resource"
)

// Store is what the operations need of the database. Each call is one
// transaction. Errors that a caller can act on are of type [resource.Error]:
// whatever is read, changed or deleted and is not there is NotFound; what is
// stored may name only what is there, and is Invalid otherwise. A session and
// what is in it outlive their stage. Lists of what never was are empty, as the
// model has no ResourceNotFoundException for them.
type Store interface {
	CreateStage(ctx context.Context, st resource.Stage) error
	Stage(ctx context.Context, arn resource.ARN) (resource.Stage, error)
	// ListStages returns the position of the next page too, empty at the end; so
	// does every list.
	ListStages(ctx context.Context, p resource.Page) ([]resource.Stage, string, error)
	// UpdateStage is a Conflict when the recording changes while a participant is
	// recorded. An error of change is returned as it is, and nothing is stored
	// then; so does every update.
	UpdateStage(ctx context.Context, arn resource.ARN, change func(*resource.Stage) error) (resource.Stage, error)
	// DeleteStage ends the session that runs, and takes the stage out of ingest
	// configurations.
	DeleteStage(ctx context.Context, arn resource.ARN) error

	StageSession(ctx context.Context, stage resource.ARN, id string) (resource.StageSession, error)
	// ListStageSessions lists the newest first.
	ListStageSessions(ctx context.Context, stage resource.ARN, p resource.Page) ([]resource.StageSession, string, error)
	Participant(ctx context.Context, stage resource.ARN, session, id string) (resource.Participant, error)
	ListParticipants(ctx context.Context, f resource.ParticipantFilter, p resource.Page) ([]resource.Participant, string, error)
	ListParticipantEvents(ctx context.Context, stage resource.ARN, session, participant string,
		p resource.Page) ([]resource.ParticipantEvent, string, error)

	// ImportPublicKey is a Conflict when the key is there already.
	ImportPublicKey(ctx context.Context, k resource.PublicKey) error
	PublicKey(ctx context.Context, arn resource.ARN) (resource.PublicKey, error)
	ListPublicKeys(ctx context.Context, p resource.Page) ([]resource.PublicKey, string, error)
	DeletePublicKey(ctx context.Context, arn resource.ARN) error

	CreateIngestConfiguration(ctx context.Context, c resource.IngestConfiguration) error
	IngestConfiguration(ctx context.Context, arn resource.ARN) (resource.IngestConfiguration, error)
	ListIngestConfigurations(ctx context.Context, f resource.IngestConfigurationFilter, p resource.Page) ([]resource.IngestConfiguration, string, error)
	// UpdateIngestConfiguration is a Conflict while the configuration is active.
	UpdateIngestConfiguration(ctx context.Context, arn resource.ARN,
		change func(*resource.IngestConfiguration) error) (resource.IngestConfiguration, error)
	// DeleteIngestConfiguration is a Conflict while the configuration is active,
	// unless it is forced.
	DeleteIngestConfiguration(ctx context.Context, arn resource.ARN, force bool) error

	CreateEncoderConfiguration(ctx context.Context, c resource.EncoderConfiguration) error
	EncoderConfiguration(ctx context.Context, arn resource.ARN) (resource.EncoderConfiguration, error)
	ListEncoderConfigurations(ctx context.Context, p resource.Page) ([]resource.EncoderConfiguration, string, error)
	DeleteEncoderConfiguration(ctx context.Context, arn resource.ARN) error

	CreateStorageConfiguration(ctx context.Context, c resource.StorageConfiguration) error
	StorageConfiguration(ctx context.Context, arn resource.ARN) (resource.StorageConfiguration, error)
	ListStorageConfigurations(ctx context.Context, p resource.Page) ([]resource.StorageConfiguration, string, error)
	// DeleteStorageConfiguration is a Conflict while a stage refers to it.
	DeleteStorageConfiguration(ctx context.Context, arn resource.ARN) error
}

// Rooms is what the operations need of the stages that somebody is in.
type Rooms interface {
	// Disconnect removes a participant and ends its token for good, whether or
	// not it was ever used. It is NotFound when the stage is not there.
	Disconnect(ctx context.Context, stage resource.ARN, participantID, reason string) error
	// Deleted sends everybody away from a stage that is gone.
	Deleted(stage resource.ARN)
}

// Tokens makes the tokens of participants.
type Tokens interface {
	Mint(c auth.ParticipantClaims) (string, error)
}

// Buckets finds out whether a bucket can be recorded to. The error is a reason
// that a person can act on.
type Buckets interface {
	Check(ctx context.Context, bucket string) error
}

// Config is what the operations are made of.
type Config struct {
	Place     resource.Place
	Endpoints resource.StageEndpoints // of every stage
	Store     Store
	Rooms     Rooms
	Tokens    Tokens
	Buckets   Buckets
	Sealer    *auth.Sealer // of page tokens
}

// Service returns every operation of the model but those on tags, which are in
// package tags.
func Service(cfg Config) api.Service {
	s := &service{cfg}
	const ok = http.StatusOK
	operations := []api.Operation{
		api.NewOperation("CreateStage", ok, s.createStage),
		api.NewOperation("GetStage", ok, s.getStage),
		api.NewOperation("ListStages", ok, s.listStages),
		api.NewOperation("UpdateStage", ok, s.updateStage),
		api.NewOperation("DeleteStage", ok, s.deleteStage),
		api.NewOperation("CreateParticipantToken", ok, s.createParticipantToken),

		api.NewOperation("GetStageSession", ok, s.getStageSession),
		api.NewOperation("ListStageSessions", ok, s.listStageSessions),
		api.NewOperation("GetParticipant", ok, s.getParticipant),
		api.NewOperation("ListParticipants", ok, s.listParticipants),
		api.NewOperation("ListParticipantEvents", ok, s.listParticipantEvents),
		api.NewOperation("DisconnectParticipant", ok, s.disconnectParticipant),

		api.NewOperation("StartParticipantReplication", ok, s.startParticipantReplication),
		api.NewOperation("StopParticipantReplication", ok, s.stopParticipantReplication),
		api.NewOperation("ListParticipantReplicas", ok, s.listParticipantReplicas),

		api.NewOperation("ImportPublicKey", ok, s.importPublicKey),
		api.NewOperation("GetPublicKey", ok, s.getPublicKey),
		api.NewOperation("ListPublicKeys", ok, s.listPublicKeys),
		api.NewOperation("DeletePublicKey", ok, s.deletePublicKey),

		api.NewOperation("CreateIngestConfiguration", ok, s.createIngestConfiguration),
		api.NewOperation("GetIngestConfiguration", ok, s.getIngestConfiguration),
		api.NewOperation("ListIngestConfigurations", ok, s.listIngestConfigurations),
		api.NewOperation("UpdateIngestConfiguration", ok, s.updateIngestConfiguration),
		api.NewOperation("DeleteIngestConfiguration", ok, s.deleteIngestConfiguration),

		api.NewOperation("CreateEncoderConfiguration", ok, s.createEncoderConfiguration),
		api.NewOperation("GetEncoderConfiguration", ok, s.getEncoderConfiguration),
		api.NewOperation("ListEncoderConfigurations", ok, s.listEncoderConfigurations),
		api.NewOperation("DeleteEncoderConfiguration", ok, s.deleteEncoderConfiguration),

		api.NewOperation("CreateStorageConfiguration", ok, s.createStorageConfiguration),
		api.NewOperation("GetStorageConfiguration", ok, s.getStorageConfiguration),
		api.NewOperation("ListStorageConfigurations", ok, s.listStorageConfigurations),
		api.NewOperation("DeleteStorageConfiguration", ok, s.deleteStorageConfiguration),

		api.NewOperation("StartComposition", ok, s.startComposition),
		api.NewOperation("GetComposition", ok, s.getComposition),
		api.NewOperation("ListCompositions", ok, s.listCompositions),
		api.NewOperation("StopComposition", ok, s.stopComposition),
	}
	return api.Service{Shapes: shapes, Operations: operations}
}

// service has the operations as its methods.
type service struct{ Config }
