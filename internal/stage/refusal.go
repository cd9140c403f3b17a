package stage

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"anabranch/internal/auth"
	"anabranch/internal/resource"
	"anabranch/internal/rtc"
)

// Error is a refusal that the client is to be told.
type Error struct {
	Status int    // of HTTP
	Code   string // of the participant event that tells of it, empty without one
	Msg    string
}

func (e *Error) Error() string { return e.Msg }

func refuse(status int, code resource.ParticipantErrorCode, format string, args ...any) *Error {
	return &Error{Status: status, Code: string(code), Msg: fmt.Sprintf(format, args...)}
}

// Why a participant leaves, in the words of IVS's clients.
const (
	reasonDisconnected = "participant-disconnected"
	reasonDeleted      = "stage-deleted"
	reasonReused       = "token-reused"
	reasonClosed       = "user-initiated"
	reasonUnknown      = "unknown" // the server stops
)

// Left says why a listener's time in a room is over.
type Left struct {
	// Reason is one of participant-disconnected, stage-deleted, token-reused,
	// user-initiated and unknown.
	Reason string
}

func (l *Left) Error() string { return "left the stage: " + l.Reason }

// refusalFor is what those are told who come back after they left for a reason.
func refusalFor(reason string) *Error {
	switch reason {
	case reasonDisconnected:
		return refuse(http.StatusUnauthorized, "", "the participant was disconnected for good: it needs a new token")
	case reasonDeleted:
		return refuse(http.StatusNotFound, "", "the stage does not exist")
	}
	return refuse(http.StatusServiceUnavailable, "", "the participant has left meanwhile")
}

var (
	errBusy     = refuse(http.StatusTooManyRequests, "", "too many requests of this participant are under way")
	errStopping = refuse(http.StatusServiceUnavailable, "", "the server is stopping; come back to go on")
	errPlan     = refuse(http.StatusServiceUnavailable, "", "how the stage is recorded is being changed; try again")
	errSlow     = refuse(http.StatusServiceUnavailable, "", "joining takes too long; try again")
	errExpired  = refuse(http.StatusUnauthorized, "", "token has expired")
	errNoRight  = refuse(http.StatusForbidden, "", "the session is another token's")
)

// Why sessions of media are closed.
var (
	errReplaced  = errors.New("a newer connection with the same token took over")
	errLeft      = errors.New("the participant left")
	errAsked     = errors.New("the client ended it")
	errDuration  = errors.New("the longest duration is over")
	errPublisher = errors.New("the publisher left")
)

// tokenRefusal is what becomes of an error of a token.
func tokenRefusal(err error) error {
	var bad *auth.TokenError
	switch {
	case errors.As(err, &bad):
		return refuse(http.StatusUnauthorized, "", "%s", bad.Reason)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return errSlow
	}
	return err
}

// offerRefusal is what becomes of an error of an offer.
func offerRefusal(err error) error {
	var invalid *resource.Error
	switch {
	case errors.Is(err, rtc.ErrBusy):
		return refuse(http.StatusServiceUnavailable, "", "%v", err)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return errSlow
	case errors.As(err, &invalid) && invalid.Kind == resource.Invalid:
		return refuse(http.StatusBadRequest, codeOf(err), "%v", invalid)
	}
	return err
}

// codeOf is the code of the participant event that tells of err; empty when none
// does, because it is the network's fault or the participant's own wish.
func codeOf(err error) resource.ParticipantErrorCode {
	var invalid *resource.Error
	switch {
	case errors.Is(err, rtc.ErrVideoCodec):
		return resource.InvalidVideoCodec
	case errors.Is(err, rtc.ErrAudioCodec):
		return resource.InvalidAudioCodec
	case errors.Is(err, rtc.ErrBitrate):
		return resource.BitrateExceeded
	case errors.Is(err, rtc.ErrResolution):
		return resource.ResolutionExceeded
	case errors.Is(err, errDuration):
		return resource.StreamDurationExceeded
	case errors.As(err, &invalid) && invalid.Kind == resource.Invalid:
		return resource.InvalidInput
	}
	return ""
}
