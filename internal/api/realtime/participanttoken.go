package realtime

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"anabranch/internal/api"
	"anabranch/internal/auth"
	"anabranch/internal/resource"
)

// tokenSettings are what callers choose of a participant's token.
type tokenSettings struct {
	Duration     int               `json:"duration" shape:"ParticipantTokenDurationMinutes"`
	UserID       string            `json:"userId" shape:"ParticipantTokenUserId"`
	Attributes   map[string]string `json:"attributes" shape:"ParticipantTokenAttributes"`
	Capabilities *[]string         `json:"capabilities" shape:"ParticipantTokenCapabilities"`
}

// participantToken is a token, as its maker is told it.
type participantToken struct {
	ParticipantID  string            `json:"participantId"`
	Token          string            `json:"token"`
	UserID         string            `json:"userId"`
	Attributes     map[string]string `json:"attributes"`
	Duration       int               `json:"duration"` // minutes
	Capabilities   []string          `json:"capabilities"`
	ExpirationTime time.Time         `json:"expirationTime"`
}

const (
	publishCapability   = "PUBLISH"
	subscribeCapability = "SUBSCRIBE"
	// tokenMinutes is how long tokens are good that nobody chose a duration for.
	tokenMinutes = 12 * 60
)

// mint makes a token for a stage. The settings are at a path of the request.
func (s *service) mint(stage resource.ARN, in *tokenSettings, path string) (participantToken, error) {
	if err := checkAttributes(path, in.Attributes); err != nil {
		return participantToken{}, err
	}
	now := resource.Time(time.Now())
	t := participantToken{
		ParticipantID: resource.NewID(),
		UserID:        in.UserID,
		Attributes:    in.Attributes,
		Duration:      cmp.Or(in.Duration, tokenMinutes),
		Capabilities:  []string{},
	}
	for _, c := range []string{publishCapability, subscribeCapability} {
		if in.Capabilities == nil || slices.Contains(*in.Capabilities, c) {
			t.Capabilities = append(t.Capabilities, c)
		}
	}
	if t.Attributes == nil {
		t.Attributes = map[string]string{}
	}
	t.ExpirationTime = now.Add(time.Duration(t.Duration) * time.Minute)
	var err error
	t.Token, err = s.Tokens.Mint(auth.ParticipantClaims{
		ID: t.ParticipantID, Stage: stage, UserID: t.UserID, Attributes: t.Attributes,
		Publish: slices.Contains(t.Capabilities, publishCapability), Subscribe: slices.Contains(t.Capabilities, subscribeCapability),
		IssuedAt: now, ExpiresAt: t.ExpirationTime,
	})
	if err != nil {
		return participantToken{}, fmt.Errorf("make participant token: %w", err)
	}
	return t, nil
}

// maxAttributes bounds a participant's attributes: the bytes of all keys and
// values.
const maxAttributes = 1 << 10

// checkAttributes refuses attributes that are too long. The member that they are
// in is at a path of the request, empty at its top.
func checkAttributes(path string, attributes map[string]string) error {
	n := 0
	for k, v := range attributes {
		n += len(k) + len(v)
	}
	if n > maxAttributes {
		return resource.Errorf(resource.Invalid, "%sattributes: must have at most %d bytes in keys and values, not %d", path, maxAttributes, n)
	}
	return nil
}

// indexed is the path of a list's item, for its members' names to follow.
func indexed(list string, i int) string { return fmt.Sprintf("%s[%d].", list, i) }

type createParticipantTokenRequest struct {
	StageARN resource.ARN `json:"stageArn" shape:"StageArn,required"`
	tokenSettings
}

type participantTokenResponse struct {
	Token participantToken `json:"participantToken"`
}

func (s *service) createParticipantToken(ctx context.Context, in *createParticipantTokenRequest) (*participantTokenResponse, error) {
	if _, err := s.Store.Stage(ctx, in.StageARN); err != nil {
		return nil, err
	}
	token, err := s.mint(in.StageARN, &in.tokenSettings, "")
	if err != nil {
		return nil, err
	}
	return &participantTokenResponse{token}, nil
}

type disconnectParticipantRequest struct {
	StageARN      resource.ARN `json:"stageArn" shape:"StageArn,required"`
	ParticipantID string       `json:"participantId" shape:"ParticipantTokenId,required"`
	Reason        string       `json:"reason" shape:"DisconnectParticipantReason"`
}

func (s *service) disconnectParticipant(ctx context.Context, in *disconnectParticipantRequest) (*api.None, error) {
	if in.ParticipantID == "" {
		return nil, resource.Errorf(resource.Invalid, "participantId: must not be empty")
	}
	return &api.None{}, s.Rooms.Disconnect(ctx, in.StageARN, in.ParticipantID, in.Reason)
}
