package playback

import (
	"encoding/json"
	"hash/maphash"
	"strings"
	"sync/atomic"
	"time"

	"anabranch/internal/auth"
	"anabranch/internal/resource"
)

const (
	// sessionPurpose is what session tokens are sealed for.
	sessionPurpose = "playback-session"
	// sessionLife is how long a session may go on: longer than the 48 hours
	// that a stream may last.
	sessionLife = 72 * time.Hour
)

// session is one viewer's leave to watch one channel, as its token holds it.
// It tells nothing about where the viewer is.
type session struct {
	Channel string `json:"c"`
	// Private says that a playback token was shown: the session is good for a
	// private channel.
	Private bool `json:"p,omitempty"`
	// Policy is the id of the restriction policy that let the viewer in.
	Policy string `json:"l,omitempty"`
	// Viewer and Version name the viewer for revocation.
	Viewer  string `json:"v,omitempty"`
	Version int64  `json:"n,omitempty"`
	// MaximumResolution is SD, HD or FULL_HD; empty means any.
	MaximumResolution string `json:"r,omitempty"`
	// Origins are the web origins that the playback token allows, where they
	// may be asked for again; none means any. Strict says that they are.
	Origins []string `json:"o,omitempty"`
	Strict  bool     `json:"s,omitempty"`
	Expires int64    `json:"e"` // Unix time
	Random  string   `json:"x"` // makes each session another
}

// begin gives a session its life and returns its token.
func (s *Server) begin(sess *session) (string, error) {
	sess.Expires = time.Now().Add(sessionLife).Unix()
	sess.Random = resource.RandomID(16)
	payload, err := json.Marshal(sess)
	if err != nil {
		return "", err
	}
	return s.Sealer.Seal(sessionPurpose, payload), nil
}

// resume opens a token and checks that it is good for a channel now.
func (s *Server) resume(token, channelID string) (*session, error) {
	sess, err := s.opened.open(s.Sealer, token)
	switch {
	case err != nil:
		return nil, &refusal{code: codeSession, reason: "playback session is not valid"}
	case sess.Channel != channelID:
		return nil, &refusal{code: codeSession, reason: "playback session is of another channel"}
	case time.Now().Unix() >= sess.Expires:
		return nil, &refusal{code: codeSession, reason: "playback session has expired"}
	}
	return sess, nil
}

// openedTokens remembers what tokens hold. A session shows its token several
// times a second, and its seal takes longer to check than all the rest of a
// request. What it remembers says nothing about whether the session is still
// good.
//
// A token has one slot, by its hash, and is forgotten when another takes the
// slot. So the table is of one size, some megabytes (90 MB at most, if all tokens
// held as many origins as they can), and nobody takes a lock.
type openedTokens struct {
	seed  maphash.Seed
	slots [1 << 14]atomic.Pointer[openedToken]
}

type openedToken struct {
	token   string
	session session // never written to
}

// open is what a token holds; it must not be written to.
func (o *openedTokens) open(sealer *auth.Sealer, token string) (*session, error) {
	slot := &o.slots[maphash.String(o.seed, token)%uint64(len(o.slots))]
	if known := slot.Load(); known != nil && known.token == token {
		return &known.session, nil
	}
	payload, err := sealer.Open(sessionPurpose, token)
	if err != nil {
		return nil, err
	}
	fresh := &openedToken{token: strings.Clone(token)} // not the whole URI
	if err := json.Unmarshal(payload, &fresh.session); err != nil {
		return nil, err
	}
	slot.Store(fresh)
	return &fresh.session, nil
}
