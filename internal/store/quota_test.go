package store

import (
	"fmt"
	"testing"

	"anabranch/internal/resource"
)

// Of every kind there may be as many as the quota says, and again when one is
// gone.
func TestQuotas(t *testing.T) {
	var f *fixture
	ctx := t.Context()
	arn := func(kind string, i int) resource.ARN { return place.ARN(kind, fmt.Sprintf("q%d", i)) }
	for name, tt := range map[string]struct {
		quota  func(*Quotas) *int
		create func(i int) error
		remove func(i int) error
	}{
		"channels": {func(q *Quotas) *int { return &q.Channels }, func(i int) error {
			key := resource.StreamKey{ARN: arn(resource.KindStreamKey, i), Value: fmt.Sprintf("sk_%d", i)}
			return f.CreateChannel(ctx, resource.Channel{ARN: arn(resource.KindChannel, i)}, key)
		}, func(i int) error { return f.DeleteChannel(ctx, arn(resource.KindChannel, i)) }},
		"recording configurations": {func(q *Quotas) *int { return &q.RecordingConfigurations }, func(i int) error {
			return f.CreateRecordingConfiguration(ctx, resource.RecordingConfiguration{ARN: arn(resource.KindRecordingConfiguration, i)})
		}, func(i int) error {
			return f.DeleteRecordingConfiguration(ctx, arn(resource.KindRecordingConfiguration, i))
		}},
		"ad configurations": {func(q *Quotas) *int { return &q.AdConfigurations }, func(i int) error {
			return f.CreateAdConfiguration(ctx, resource.AdConfiguration{ARN: arn(resource.KindAdConfiguration, i)})
		}, func(i int) error { return f.DeleteAdConfiguration(ctx, arn(resource.KindAdConfiguration, i)) }},
		"playback key pairs": {func(q *Quotas) *int { return &q.PlaybackKeyPairs }, func(i int) error {
			return f.ImportPlaybackKeyPair(ctx, resource.PlaybackKeyPair{
				ARN: arn(resource.KindPlaybackKeyPair, i), Fingerprint: fmt.Sprint(i), PublicKey: fmt.Sprint(i)})
		}, func(i int) error { return f.DeletePlaybackKeyPair(ctx, arn(resource.KindPlaybackKeyPair, i)) }},
		"playback restriction policies": {func(q *Quotas) *int { return &q.PlaybackRestrictionPolicies }, func(i int) error {
			return f.CreatePlaybackRestrictionPolicy(ctx, resource.PlaybackRestrictionPolicy{ARN: arn(resource.KindPlaybackRestrictionPolicy, i)})
		}, func(i int) error {
			return f.DeletePlaybackRestrictionPolicy(ctx, arn(resource.KindPlaybackRestrictionPolicy, i))
		}},
		"stages": {func(q *Quotas) *int { return &q.Stages }, func(i int) error {
			return f.CreateStage(ctx, resource.Stage{ARN: arn(resource.KindStage, i)})
		}, func(i int) error { return f.DeleteStage(ctx, arn(resource.KindStage, i)) }},
		"public keys": {func(q *Quotas) *int { return &q.PublicKeys }, func(i int) error {
			return f.ImportPublicKey(ctx, resource.PublicKey{ARN: arn(resource.KindPublicKey, i), Fingerprint: fmt.Sprint(i)})
		}, func(i int) error { return f.DeletePublicKey(ctx, arn(resource.KindPublicKey, i)) }},
		"ingest configurations": {func(q *Quotas) *int { return &q.IngestConfigurations }, func(i int) error {
			return f.CreateIngestConfiguration(ctx, resource.IngestConfiguration{
				ARN: arn(resource.KindIngestConfiguration, i), StreamKey: fmt.Sprint(i)})
		}, func(i int) error {
			return f.DeleteIngestConfiguration(ctx, arn(resource.KindIngestConfiguration, i), false)
		}},
		"encoder configurations": {func(q *Quotas) *int { return &q.EncoderConfigurations }, func(i int) error {
			return f.CreateEncoderConfiguration(ctx, resource.EncoderConfiguration{ARN: arn(resource.KindEncoderConfiguration, i)})
		}, func(i int) error { return f.DeleteEncoderConfiguration(ctx, arn(resource.KindEncoderConfiguration, i)) }},
		"storage configurations": {func(q *Quotas) *int { return &q.StorageConfigurations }, func(i int) error {
			return f.CreateStorageConfiguration(ctx, resource.StorageConfiguration{ARN: arn(resource.KindStorageConfiguration, i)})
		}, func(i int) error { return f.DeleteStorageConfiguration(ctx, arn(resource.KindStorageConfiguration, i)) }},
		"concurrent streams": {func(q *Quotas) *int { return &q.ConcurrentStreams }, func(i int) error {
			ch := resource.Channel{ARN: arn(resource.KindChannel, 100+i)}
			key := resource.StreamKey{ARN: arn(resource.KindStreamKey, 100+i), Value: fmt.Sprintf("sk_live_%d", i)}
			if _, err := f.Channel(ctx, ch.ARN); err != nil {
				if err := f.CreateChannel(ctx, ch, key); err != nil {
					return err
				}
			}
			_, err := f.BeginStream(ctx, ch.ARN, key.Value, fmt.Sprintf("st-%d", i), noon)
			return err
		}, func(i int) error { return f.EndStream(ctx, fmt.Sprintf("st-%d", i), noon, "") }},
	} {
		t.Run(name, func(t *testing.T) {
			f = open(t)
			quota := tt.quota(&f.quotas)
			for i := range 2 {
				if err := tt.create(i); err != nil {
					t.Fatal(err)
				}
			}
			*quota = 3
			if err := tt.create(2); err != nil {
				t.Errorf("the last one: %v", err)
			}
			wantKind(t, tt.create(3), resource.QuotaExceeded)
			if err := tt.remove(0); err != nil {
				t.Fatal(err)
			}
			if err := tt.create(4); err != nil {
				t.Errorf("when one is gone: %v", err)
			}
			*quota = 1 // lowered
			wantKind(t, tt.create(5), resource.QuotaExceeded)
		})
	}
}
