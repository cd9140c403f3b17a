package playback

import (
	"encoding/json"
	"time"

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
	// Viewer and Version name the viewer for revocation.
	Viewer  string `json:"v,omitempty"`
	Version int64  `json:"n,omitempty"`
	// MaximumResolution is SD, HD or FULL_HD; empty means any.
	MaximumResolution string `json:"r,omitempty"`
	// Origin is the only web origin that may play; empty means any.
	Origin  string `json:"o,omitempty"`
	Expires int64  `json:"e"` // Unix time
	Random  string `json:"x"` // makes each session another
}

// begin makes a session and returns its token.
func (s *Server) begin(channelID string) (string, error) {
	payload, err := json.Marshal(session{
		Channel: channelID,
		Expires: time.Now().Add(sessionLife).Unix(),
		Random:  resource.RandomID(16),
	})
	if err != nil {
		return "", err
	}
	return s.Sealer.Seal(sessionPurpose, payload), nil
}

// resume opens a token and checks that it is good for a channel now.
func (s *Server) resume(token, channelID string) (*session, error) {
	payload, err := s.Sealer.Open(sessionPurpose, token)
	if err != nil {
		return nil, &refusal{code: codeSession, reason: "playback session is not valid"}
	}
	var sess session
	if err := json.Unmarshal(payload, &sess); err != nil {
		return nil, &refusal{code: codeSession, reason: "playback session is not valid"}
	}
	switch {
	case sess.Channel != channelID:
		return nil, &refusal{code: codeSession, reason: "playback session is of another channel"}
	case time.Now().Unix() >= sess.Expires:
		return nil, &refusal{code: codeSession, reason: "playback session has expired"}
	}
	return &sess, nil
}
