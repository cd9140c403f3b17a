package playback

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"

	"anabranch/internal/packager"
)

// refusal is an answer other than 200. Its code decides the status.
type refusal struct {
	code   string
	reason string
}

func (r *refusal) Error() string { return r.reason }

// Codes of refusals: those of IVS where it has one.
const (
	codeOffline     = "transcode_does_not_exist"
	codeAuth        = "invalid_playback_auth_token"
	codeSession     = "invalid_playback_session"
	codeParameter   = "invalid_parameter"
	codeNoMedia     = "media_does_not_exist"
	codeMethod      = "method_not_allowed"
	codeTooLong     = "uri_too_long"
	codeUnavailable = "service_unavailable"
)

var status = map[string]int{
	codeOffline:     http.StatusNotFound,
	codeAuth:        http.StatusForbidden,
	codeSession:     http.StatusForbidden,
	codeParameter:   http.StatusBadRequest,
	codeNoMedia:     http.StatusNotFound,
	codeMethod:      http.StatusMethodNotAllowed,
	codeTooLong:     http.StatusRequestURITooLong,
	codeUnavailable: http.StatusServiceUnavailable,
}

var errOffline = &refusal{code: codeOffline, reason: "Can not find channel"}

// refuse answers with err in the form IVS players know: an array of one.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	var ref *refusal
	switch {
	case errors.As(err, &ref):
	case errors.Is(err, context.Canceled):
		return // nobody is left to answer
	case errors.Is(err, packager.ErrTooFar):
		ref = &refusal{code: codeParameter, reason: "_HLS_msn or _HLS_part: " + err.Error()}
	case errors.Is(err, packager.ErrEmpty):
		ref = errOffline
	case errors.Is(err, fs.ErrNotExist):
		ref = &refusal{code: codeNoMedia, reason: "Can not find media"}
	case errors.Is(err, fs.ErrClosed):
		ref = &refusal{code: codeUnavailable, reason: "server is stopping"}
		w.Header().Set("Retry-After", "1")
	default:
		s.Log.Error("playback request failed", "channel", r.PathValue("channel"), "error", err)
		ref = &refusal{code: codeUnavailable, reason: "internal error"}
	}
	h := w.Header()
	for _, k := range []string{"Content-Encoding", "Content-Length", "ETag"} {
		h.Del(k)
	}
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status[ref.code])
	json.NewEncoder(w).Encode([]refusalBody{{URL: r.URL.Path, Error: ref.reason, Code: ref.code, Type: "error"}})
}

type refusalBody struct {
	URL   string `json:"url"`
	Error string `json:"error"`
	Code  string `json:"error_code"`
	Type  string `json:"type"`
}
