package playback

import (
	"context"
	"crypto/ecdsa"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"anabranch/internal/resource"
)

// Gate knows who may watch what: the keys that sign playback tokens, the
// playback restriction policies and the viewers whose sessions were revoked.
// All of it is in memory, so that no request of a player asks the database, but
// for the one that a single-use token begins with.
//
// What the API changed counts from [Gate.Refresh] on, what another process
// changed at most a second later.
type Gate struct {
	store GateStore
	log   *slog.Logger
	now   atomic.Pointer[rules]

	mu   sync.Mutex // taken for a refresh; guards last
	last int64      // position of the last revocation that was read
}

// GateStore is what a Gate needs of the database.
type GateStore interface {
	AllPlaybackKeyPairs(ctx context.Context) ([]resource.PlaybackKeyPair, error)
	AllPlaybackRestrictionPolicies(ctx context.Context) ([]resource.PlaybackRestrictionPolicy, error)
	// Revocations reads those behind a position, 0 for all, and the position of
	// the last.
	Revocations(ctx context.Context, after int64) ([]resource.Revocation, int64, error)
	// UseOnce takes note that a channel's token with a UUID was used, and says
	// whether it was the first time.
	UseOnce(ctx context.Context, channel resource.ARN, uuid string, expires time.Time) (bool, error)
}

// rules are what the gate knows at one moment. They are never written to.
type rules struct {
	keys     []*ecdsa.PublicKey
	policies map[resource.ARN]*resource.PlaybackRestrictionPolicy
	revoked  map[viewer]resource.Revocation
}

// viewer is a viewer of one channel, as its tokens call them.
type viewer struct{ channelID, id string }

// gateRefresh is how often the database is asked what has changed. It bounds
// how long a revoked session goes on.
const gateRefresh = time.Second

// OpenGate makes a Gate that knows what the database knows.
func OpenGate(ctx context.Context, store GateStore, log *slog.Logger) (*Gate, error) {
	g := &Gate{store: store, log: log}
	g.now.Store(new(rules))
	return g, g.load(ctx)
}

// Run keeps up with the database until ctx ends. It returns nil.
func (g *Gate) Run(ctx context.Context) error {
	tick := time.NewTicker(gateRefresh)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			g.Refresh(ctx)
		case <-ctx.Done():
			return nil
		}
	}
}

// Refresh takes over what has changed in the database. When that cannot be
// read, what was known before still holds.
func (g *Gate) Refresh(ctx context.Context) {
	if err := g.load(ctx); err != nil && ctx.Err() == nil {
		g.log.Error("who may watch cannot be read", "error", err)
	}
}

func (g *Gate) load(ctx context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	pairs, err := g.store.AllPlaybackKeyPairs(ctx)
	if err != nil {
		return err
	}
	policies, err := g.store.AllPlaybackRestrictionPolicies(ctx)
	if err != nil {
		return err
	}
	revocations, last, err := g.store.Revocations(ctx, g.last)
	if err != nil {
		return err
	}
	next := &rules{policies: make(map[resource.ARN]*resource.PlaybackRestrictionPolicy, len(policies)), revoked: g.now.Load().revoked}
	for _, pair := range pairs {
		key, err := resource.ParsePublicKey(pair.PublicKey)
		if err != nil { // what it signed is refused, and the rest holds
			g.log.Error("playback key pair cannot be used", "keyPair", pair.ARN, "error", err)
			continue
		}
		next.keys = append(next.keys, key)
	}
	for i := range policies {
		next.policies[policies[i].ARN] = &policies[i]
	}
	if len(revocations) > 0 {
		next.revoked = revoke(next.revoked, revocations)
	}
	g.now.Store(next)
	g.last = last
	return nil
}

// revoke returns what is revoked with more revocations, and without those that
// hold no more.
func revoke(before map[viewer]resource.Revocation, more []resource.Revocation) map[viewer]resource.Revocation {
	after := make(map[viewer]resource.Revocation, len(before)+len(more))
	maps.Copy(after, before)
	for _, r := range more {
		after[viewer{r.ChannelARN.ID(), r.ViewerID}] = r
	}
	maps.DeleteFunc(after, func(_ viewer, r resource.Revocation) bool { return time.Since(r.At) > resource.RevocationsKept })
	return after
}

// rules are those of now.
func (g *Gate) rules() *rules { return g.now.Load() }

// bars says whether the sessions of a viewer are revoked up to a version.
func (r *rules) bars(channelID, viewerID string, version int64) bool {
	if viewerID == "" {
		return false
	}
	revoked, ok := r.revoked[viewer{channelID, viewerID}]
	return ok && version <= revoked.Version
}

// policy is a channel's restriction policy, an empty one when it has none. One
// that is not known lets nobody in: it would be for somebody to watch what is
// not for them.
func (r *rules) policy(ch *resource.Channel) (*resource.PlaybackRestrictionPolicy, error) {
	if ch.PlaybackRestrictionPolicyARN == "" {
		return &noPolicy, nil
	}
	if p := r.policies[ch.PlaybackRestrictionPolicyARN]; p != nil {
		return p, nil
	}
	return nil, &refusal{code: codeUnavailable, reason: "playback restriction policy of the channel is not known yet"}
}

var noPolicy resource.PlaybackRestrictionPolicy
