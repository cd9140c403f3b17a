// Package lowlatency has the operations of IVS low-latency streaming: channels,
// stream keys, recording configurations, who may watch, ad configurations and
// streams.
//
//	api.Server → operation here ┬→ Store  (what is)
//	                            └→ OnAir  (what happens now)
//
// What depends on where the server listens (endpoints and URLs) is not stored:
// it is filled in whenever a channel is told, in snapshots too.
package lowlatency

import (
	"context"
	"net/http"

	"anabranch/internal/api"
	"anabranch/internal/auth"
	"anabranch/internal/resource"
)

// Store is what the operations need of the database. Each call is one
// transaction. Errors that a caller can act on are of type [resource.Error].
type Store interface {
	CreateChannel(ctx context.Context, ch resource.Channel, key resource.StreamKey) error
	Channel(ctx context.Context, arn resource.ARN) (resource.Channel, error)
	// Channels reads those of arns that exist, in any order.
	Channels(ctx context.Context, arns []resource.ARN) ([]resource.Channel, error)
	// ListChannels returns the position of the next page too, empty at the end;
	// so does every list.
	ListChannels(ctx context.Context, f resource.ChannelFilter, p resource.Page) ([]resource.Channel, string, error)
	// UpdateChannel is a Conflict while the channel is live. An error of change
	// is returned as it is, and nothing is stored then.
	UpdateChannel(ctx context.Context, arn resource.ARN, change func(*resource.Channel) error) (resource.Channel, error)
	// DeleteChannel is a Conflict while the channel is live. Its keys go too.
	DeleteChannel(ctx context.Context, arn resource.ARN) error

	// CreateStreamKey is QuotaExceeded when the channel has a key.
	CreateStreamKey(ctx context.Context, key resource.StreamKey) error
	StreamKey(ctx context.Context, arn resource.ARN) (resource.StreamKey, error)
	StreamKeys(ctx context.Context, arns []resource.ARN) ([]resource.StreamKey, error)
	ListStreamKeys(ctx context.Context, channel resource.ARN, p resource.Page) ([]resource.StreamKey, string, error)
	DeleteStreamKey(ctx context.Context, arn resource.ARN) error

	CreateRecordingConfiguration(ctx context.Context, rc resource.RecordingConfiguration) error
	RecordingConfiguration(ctx context.Context, arn resource.ARN) (resource.RecordingConfiguration, error)
	ListRecordingConfigurations(ctx context.Context, p resource.Page) ([]resource.RecordingConfiguration, string, error)
	// DeleteRecordingConfiguration is a Conflict while a channel refers to it.
	DeleteRecordingConfiguration(ctx context.Context, arn resource.ARN) error

	// ImportPlaybackKeyPair is a Conflict when the key is there already.
	ImportPlaybackKeyPair(ctx context.Context, k resource.PlaybackKeyPair) error
	PlaybackKeyPair(ctx context.Context, arn resource.ARN) (resource.PlaybackKeyPair, error)
	ListPlaybackKeyPairs(ctx context.Context, p resource.Page) ([]resource.PlaybackKeyPair, string, error)
	DeletePlaybackKeyPair(ctx context.Context, arn resource.ARN) error

	CreatePlaybackRestrictionPolicy(ctx context.Context, p resource.PlaybackRestrictionPolicy) error
	PlaybackRestrictionPolicy(ctx context.Context, arn resource.ARN) (resource.PlaybackRestrictionPolicy, error)
	ListPlaybackRestrictionPolicies(ctx context.Context, p resource.Page) ([]resource.PlaybackRestrictionPolicy, string, error)
	UpdatePlaybackRestrictionPolicy(ctx context.Context, arn resource.ARN,
		change func(*resource.PlaybackRestrictionPolicy) error) (resource.PlaybackRestrictionPolicy, error)
	// DeletePlaybackRestrictionPolicy is a Conflict while a channel refers to it.
	DeletePlaybackRestrictionPolicy(ctx context.Context, arn resource.ARN) error

	// Revoke stores revocations, all or none.
	Revoke(ctx context.Context, revocations []resource.Revocation) error

	CreateAdConfiguration(ctx context.Context, c resource.AdConfiguration) error
	AdConfiguration(ctx context.Context, arn resource.ARN) (resource.AdConfiguration, error)
	ListAdConfigurations(ctx context.Context, p resource.Page) ([]resource.AdConfiguration, string, error)
	UpdateAdConfiguration(ctx context.Context, arn resource.ARN,
		change func(*resource.AdConfiguration) error) (resource.AdConfiguration, error)
	// DeleteAdConfiguration is a Conflict while a channel refers to it.
	DeleteAdConfiguration(ctx context.Context, arn resource.ARN) error

	// LiveStream is NotBroadcasting when the channel is offline.
	LiveStream(ctx context.Context, channel resource.ARN) (resource.StreamSession, error)
	ListLiveStreams(ctx context.Context, p resource.Page) ([]resource.StreamSession, string, error)
	// StreamSession reads the newest session when streamID is empty.
	StreamSession(ctx context.Context, channel resource.ARN, streamID string) (resource.StreamSession, error)
	// ListStreamSessions lists the newest first.
	ListStreamSessions(ctx context.Context, channel resource.ARN, p resource.Page) ([]resource.StreamSession, string, error)
}

// OnAir is what the operations need of the channels on air.
type OnAir interface {
	// Stop ends a channel's stream and returns when that is stored. It is
	// NotBroadcasting when there is none.
	Stop(ctx context.Context, channel resource.ARN) error
	// Changed takes note of a channel that was updated or deleted.
	Changed(ctx context.Context, channel resource.ARN)
	Health(channel resource.ARN) resource.StreamHealth
	// PutMetadata hands payload to a channel's viewers, at one place of the stream.
	// It is NotBroadcasting when there is none, Throttled when that is asked for
	// too often.
	PutMetadata(channel resource.ARN, payload string) error
	// InsertAdBreak lets an ad break begin and returns its id. It is
	// NotBroadcasting when there is no stream, a Conflict during another break.
	InsertAdBreak(ctx context.Context, channel resource.ARN, seconds int) (id string, err error)
	// Viewers is how many sessions play a channel now.
	Viewers(channel resource.ARN) int
}

// Endpoints are where a channel is reached.
type Endpoints struct {
	IngestHost  string                        // of RTMP, without scheme and port
	SRTHost     string                        // the same of SRT
	PlaybackURL func(channelID string) string // of its multivariant playlist
}

// Config is what the operations are made of.
type Config struct {
	Place     resource.Place
	Endpoints Endpoints
	Store     Store
	OnAir     OnAir
	Sealer    *auth.Sealer // of page tokens
	// ConfigurationCreated is called when a recording configuration was stored
	// in state CREATING, for somebody to check it. It must not block.
	ConfigurationCreated func()
}

// Service returns every operation of the model but those on tags, which are in
// package tags.
func Service(cfg Config) api.Service {
	s := &service{cfg}
	const ok, noContent = http.StatusOK, http.StatusNoContent
	operations := []api.Operation{
		api.NewOperation("CreateChannel", ok, s.createChannel),
		api.NewOperation("GetChannel", ok, s.getChannel),
		api.NewOperation("BatchGetChannel", ok, s.batchGetChannel),
		api.NewOperation("ListChannels", ok, s.listChannels),
		api.NewOperation("UpdateChannel", ok, s.updateChannel),
		api.NewOperation("DeleteChannel", noContent, s.deleteChannel),

		api.NewOperation("CreateStreamKey", ok, s.createStreamKey),
		api.NewOperation("GetStreamKey", ok, s.getStreamKey),
		api.NewOperation("BatchGetStreamKey", ok, s.batchGetStreamKey),
		api.NewOperation("ListStreamKeys", ok, s.listStreamKeys),
		api.NewOperation("DeleteStreamKey", noContent, s.deleteStreamKey),

		api.NewOperation("CreateRecordingConfiguration", ok, s.createRecordingConfiguration),
		api.NewOperation("GetRecordingConfiguration", ok, s.getRecordingConfiguration),
		api.NewOperation("ListRecordingConfigurations", ok, s.listRecordingConfigurations),
		api.NewOperation("DeleteRecordingConfiguration", noContent, s.deleteRecordingConfiguration),

		api.NewOperation("ImportPlaybackKeyPair", ok, s.importPlaybackKeyPair),
		api.NewOperation("GetPlaybackKeyPair", ok, s.getPlaybackKeyPair),
		api.NewOperation("ListPlaybackKeyPairs", ok, s.listPlaybackKeyPairs),
		api.NewOperation("DeletePlaybackKeyPair", ok, s.deletePlaybackKeyPair),

		api.NewOperation("CreatePlaybackRestrictionPolicy", ok, s.createPlaybackRestrictionPolicy),
		api.NewOperation("GetPlaybackRestrictionPolicy", ok, s.getPlaybackRestrictionPolicy),
		api.NewOperation("ListPlaybackRestrictionPolicies", ok, s.listPlaybackRestrictionPolicies),
		api.NewOperation("UpdatePlaybackRestrictionPolicy", ok, s.updatePlaybackRestrictionPolicy),
		api.NewOperation("DeletePlaybackRestrictionPolicy", noContent, s.deletePlaybackRestrictionPolicy),

		api.NewOperation("StartViewerSessionRevocation", ok, s.startViewerSessionRevocation),
		api.NewOperation("BatchStartViewerSessionRevocation", ok, s.batchStartViewerSessionRevocation),

		api.NewOperation("CreateAdConfiguration", ok, s.createAdConfiguration),
		api.NewOperation("GetAdConfiguration", ok, s.getAdConfiguration),
		api.NewOperation("ListAdConfigurations", ok, s.listAdConfigurations),
		api.NewOperation("UpdateAdConfiguration", ok, s.updateAdConfiguration),
		api.NewOperation("DeleteAdConfiguration", noContent, s.deleteAdConfiguration),
		api.NewOperation("InsertAdBreak", ok, s.insertAdBreak),

		api.NewOperation("GetStream", ok, s.getStream),
		api.NewOperation("ListStreams", ok, s.listStreams),
		api.NewOperation("StopStream", ok, s.stopStream),
		api.NewOperation("PutMetadata", noContent, s.putMetadata),
		api.NewOperation("GetStreamSession", ok, s.getStreamSession),
		api.NewOperation("ListStreamSessions", ok, s.listStreamSessions),
	}
	return api.Service{Shapes: shapes, Operations: operations}
}

// service has the operations as its methods.
type service struct{ Config }

// batchError says why one ARN of a batch has no answer.
type batchError struct {
	ARN     resource.ARN `json:"arn"`
	Code    string       `json:"code"`
	Message string       `json:"message"`
}

// batch puts what was found into the order in which it was asked for, each
// once, and says what was not found.
func batch[T any](arns []resource.ARN, found []T, arnOf func(*T) resource.ARN) (items []T, missing []batchError) {
	byARN := make(map[resource.ARN]*T, len(found))
	for i := range found {
		byARN[arnOf(&found[i])] = &found[i]
	}
	items, missing = []T{}, []batchError{}
	seen := make(map[resource.ARN]bool, len(arns))
	for _, arn := range arns {
		switch item := byARN[arn]; {
		case seen[arn]:
		case item != nil:
			items = append(items, *item)
		default:
			missing = append(missing, batchError{arn, "404", resource.NotFoundError(arn).Error()})
		}
		seen[arn] = true
	}
	return items, missing
}
