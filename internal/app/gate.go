package app

import (
	"context"

	"anabranch/internal/playback"
	"anabranch/internal/resource"
	"anabranch/internal/store"
)

// gatedStore is the database as the API sees it: what changes who may watch is
// told to the gate before the API answers.
type gatedStore struct {
	*store.Store
	gate *playback.Gate
}

// told lets the gate see a change that was made.
func (s gatedStore) told(ctx context.Context, err error) error {
	if err == nil {
		s.gate.Refresh(ctx)
	}
	return err
}

func (s gatedStore) ImportPlaybackKeyPair(ctx context.Context, k resource.PlaybackKeyPair) error {
	return s.told(ctx, s.Store.ImportPlaybackKeyPair(ctx, k))
}

func (s gatedStore) DeletePlaybackKeyPair(ctx context.Context, arn resource.ARN) error {
	return s.told(ctx, s.Store.DeletePlaybackKeyPair(ctx, arn))
}

func (s gatedStore) CreatePlaybackRestrictionPolicy(ctx context.Context, p resource.PlaybackRestrictionPolicy) error {
	return s.told(ctx, s.Store.CreatePlaybackRestrictionPolicy(ctx, p))
}

func (s gatedStore) UpdatePlaybackRestrictionPolicy(ctx context.Context, arn resource.ARN,
	change func(*resource.PlaybackRestrictionPolicy) error) (resource.PlaybackRestrictionPolicy, error) {

	p, err := s.Store.UpdatePlaybackRestrictionPolicy(ctx, arn, change)
	return p, s.told(ctx, err)
}

func (s gatedStore) Revoke(ctx context.Context, revocations []resource.Revocation) error {
	return s.told(ctx, s.Store.Revoke(ctx, revocations))
}
