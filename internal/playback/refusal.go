package playback

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"

	"anabranch/internal/metrics"
	"anabranch/internal/packager"
)

// refusal is an answer other than 200. Its code decides the status.
type refusal struct {
	code   string
	reason string
}

func (r *refusal) Error() string { return r.reason }

// Codes of refusals: those of IVS where it has one. Who may not watch is told
// why:
//
//	invalid_playback_auth_token    the token is missing, is none, or says what none may say
//	unknown_playback_key_pair      signed with a key that is not here, or not any more
//	expired_playback_auth_token    exp has passed
//	early_playback_auth_token      nbf or iat is still to come
//	playback_auth_token_mismatch   the token is for another channel
//	used_playback_auth_token       the token was for one session, which has begun
//	revoked_viewer_session         the viewer's sessions of this version were revoked
//	disallowed_origin              the web page is not one that may play
//	missing_origin                 origins are enforced strictly, and none was sent
//	disallowed_country             the viewer is in a country that may not watch
//	disallowed_resolution          nothing is as small as the token demands
//	invalid_playback_session       the session's path is not whole, of another channel, or too old
//	outdated_playback_session      the channel was restricted after the session began: begin another
const (
	codeOffline     = "transcode_does_not_exist"
	codeAuth        = "invalid_playback_auth_token"
	codeKeyPair     = "unknown_playback_key_pair"
	codeExpired     = "expired_playback_auth_token"
	codeEarly       = "early_playback_auth_token"
	codeMismatch    = "playback_auth_token_mismatch"
	codeUsed        = "used_playback_auth_token"
	codeRevoked     = "revoked_viewer_session"
	codeOrigin      = "disallowed_origin"
	codeNoOrigin    = "missing_origin"
	codeCountry     = "disallowed_country"
	codeResolution  = "disallowed_resolution"
	codeSession     = "invalid_playback_session"
	codeOutdated    = "outdated_playback_session"
	codeParameter   = "invalid_parameter"
	codeNoMedia     = "media_does_not_exist"
	codeMethod      = "method_not_allowed"
	codeTooLong     = "uri_too_long"
	codeUnavailable = "service_unavailable"
)

var status = map[string]int{
	codeOffline:     http.StatusNotFound,
	codeAuth:        http.StatusForbidden,
	codeKeyPair:     http.StatusForbidden,
	codeExpired:     http.StatusForbidden,
	codeEarly:       http.StatusForbidden,
	codeMismatch:    http.StatusForbidden,
	codeUsed:        http.StatusForbidden,
	codeRevoked:     http.StatusForbidden,
	codeOrigin:      http.StatusForbidden,
	codeNoOrigin:    http.StatusForbidden,
	codeCountry:     http.StatusForbidden,
	codeResolution:  http.StatusForbidden,
	codeSession:     http.StatusForbidden,
	codeOutdated:    http.StatusForbidden,
	codeParameter:   http.StatusBadRequest,
	codeNoMedia:     http.StatusNotFound,
	codeMethod:      http.StatusMethodNotAllowed,
	codeTooLong:     http.StatusRequestURITooLong,
	codeUnavailable: http.StatusServiceUnavailable,
}

var errOffline = &refusal{code: codeOffline, reason: "Can not find channel"}

// refuse answers with err in the form IVS players know: an array of one.
func (s *Server) refuse(w *answer, r *http.Request, err error) {
	ref := s.refusalOf(r, err)
	text, err := json.Marshal([]refusalBody{{URL: r.URL.Path, Error: ref.reason, Code: ref.code, Type: "error"}})
	if err != nil {
		panic(err) // strings can be marshalled
	}
	h := w.Header()
	h["Content-Type"] = refusalType
	h["Cache-Control"] = noCache
	switch status[ref.code] {
	case http.StatusNotFound:
		h["Cache-Control"] = aMoment
	case http.StatusServiceUnavailable:
		h["Retry-After"] = oneSecond
	}
	sendText(w, status[ref.code], text)
	if isGone(r) {
		w.status = 0
		return
	}
	metrics.PlaybackRefusals.WithLabelValues(ref.code).Inc()
}

var (
	// aMoment keeps players who wait for a channel off the server, behind a
	// cache. What is not there yet may be there a second later.
	aMoment   = []string{"public, max-age=1"}
	oneSecond = []string{"1"}
)

// refusalOf turns an error into an answer.
func (s *Server) refusalOf(r *http.Request, err error) *refusal {
	var ref *refusal
	switch {
	case errors.As(err, &ref):
		return ref
	case errors.Is(err, packager.ErrTooFar):
		return &refusal{code: codeParameter, reason: "_HLS_msn or _HLS_part: " + err.Error()}
	case errors.Is(err, packager.ErrEmpty):
		return errOffline
	case errors.Is(err, fs.ErrNotExist):
		return &refusal{code: codeNoMedia, reason: "Can not find media"}
	case isGone(r): // what was cut off for it is nobody's fault
		return &refusal{code: codeUnavailable, reason: "player has left"}
	case errors.Is(err, fs.ErrClosed), errors.Is(err, context.Canceled):
		return &refusal{code: codeUnavailable, reason: "server or broadcast is stopping"}
	}
	s.Log.Error("playback request failed", "channel", r.PathValue("channel"), "error", err)
	return &refusal{code: codeUnavailable, reason: "internal error"}
}

// isGone says whether the player left. When the server cuts its requests off,
// the cause is another, and the player is there to read why.
func isGone(r *http.Request) bool {
	cause := context.Cause(r.Context())
	return cause != nil && !errors.Is(cause, http.ErrServerClosed)
}

type refusalBody struct {
	URL   string `json:"url"`
	Error string `json:"error"`
	Code  string `json:"error_code"`
	Type  string `json:"type"`
}
