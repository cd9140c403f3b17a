package app

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"anabranch/internal/store"
)

// Limits are quotas by their names, and rates by the names of operations, in
// calls a second of each access key. What is missing or 0 has no bound. They are
// written such as "aws,channels=50,CreateChannel=20": the documented limits of
// IVS, two of them changed.
type Limits map[string]int

// documented are the limits of IVS.
var documented = func() Limits {
	l := Limits{
		"channels": 5000, "concurrent-streams": 100, "recording-configurations": 20, "ad-configurations": 20,
		"playback-key-pairs": 3, "playback-restriction-policies": 3,
		"stages": 1000, "public-keys": 3, "ingest-configurations": 100, "encoder-configurations": 20, "storage-configurations": 5,
	}
	for rate, operations := range map[int]string{
		1: "InsertAdBreak",
		2: "BatchStartViewerSessionRevocation",
		3: "CreateRecordingConfiguration GetRecordingConfiguration ListRecordingConfigurations DeleteRecordingConfiguration " +
			"ImportPlaybackKeyPair GetPlaybackKeyPair ListPlaybackKeyPairs DeletePlaybackKeyPair " +
			"CreateAdConfiguration GetAdConfiguration ListAdConfigurations UpdateAdConfiguration DeleteAdConfiguration " +
			"ImportPublicKey GetPublicKey ListPublicKeys DeletePublicKey",
		5: "CreateChannel GetChannel BatchGetChannel ListChannels UpdateChannel DeleteChannel " +
			"CreateStreamKey GetStreamKey BatchGetStreamKey ListStreamKeys DeleteStreamKey " +
			"GetStream ListStreams StopStream GetStreamSession ListStreamSessions " +
			"CreatePlaybackRestrictionPolicy GetPlaybackRestrictionPolicy ListPlaybackRestrictionPolicies " +
			"UpdatePlaybackRestrictionPolicy DeletePlaybackRestrictionPolicy " +
			"CreateStage GetStage ListStages UpdateStage DeleteStage GetStageSession ListStageSessions " +
			"GetParticipant ListParticipants ListParticipantEvents DisconnectParticipant " +
			"StartParticipantReplication StopParticipantReplication ListParticipantReplicas " +
			"CreateIngestConfiguration GetIngestConfiguration ListIngestConfigurations UpdateIngestConfiguration DeleteIngestConfiguration " +
			"CreateEncoderConfiguration GetEncoderConfiguration ListEncoderConfigurations DeleteEncoderConfiguration " +
			"CreateStorageConfiguration GetStorageConfiguration ListStorageConfigurations DeleteStorageConfiguration " +
			"StartComposition GetComposition ListCompositions StopComposition",
		10:  "StartViewerSessionRevocation ListTagsForResource TagResource UntagResource",
		50:  "CreateParticipantToken",
		155: "PutMetadata",
	} {
		for operation := range strings.FieldsSeq(operations) {
			l[operation] = rate
		}
	}
	return l
}()

// UnmarshalText reads limits; what comes later in the text goes before.
func (l *Limits) UnmarshalText(text []byte) error {
	*l = make(Limits)
	for part := range strings.SplitSeq(string(text), ",") {
		part = strings.TrimSpace(part)
		name, value, _ := strings.Cut(part, "=")
		most, err := strconv.ParseUint(value, 10, 31)
		_, known := documented[name]
		switch {
		case part == "aws":
			maps.Copy(*l, documented)
		case part == "":
		case err != nil:
			return fmt.Errorf("%q is neither aws nor a limit such as channels=50", part)
		case !known:
			return fmt.Errorf("there is no limit %q; there are those of %s, and of the operations of the API", name,
				strings.Join(slices.DeleteFunc(slices.Sorted(maps.Keys(documented)), isOperation), ", "))
		default:
			(*l)[name] = int(most)
		}
	}
	return nil
}

// isOperation tells the limits of operations from the others.
func isOperation(name string) bool { return strings.ToLower(name) != name }

// rates are the limits of operations.
func (l Limits) rates() map[string]int {
	rates := maps.Clone(map[string]int(l))
	maps.DeleteFunc(rates, func(name string, _ int) bool { return !isOperation(name) })
	return rates
}

// quotas are the other limits.
func (l Limits) quotas() store.Quotas {
	return store.Quotas{
		Channels:                    l["channels"],
		RecordingConfigurations:     l["recording-configurations"],
		AdConfigurations:            l["ad-configurations"],
		PlaybackKeyPairs:            l["playback-key-pairs"],
		PlaybackRestrictionPolicies: l["playback-restriction-policies"],
		ConcurrentStreams:           l["concurrent-streams"],
		Stages:                      l["stages"],
		PublicKeys:                  l["public-keys"],
		IngestConfigurations:        l["ingest-configurations"],
		EncoderConfigurations:       l["encoder-configurations"],
		StorageConfigurations:       l["storage-configurations"],
	}
}
