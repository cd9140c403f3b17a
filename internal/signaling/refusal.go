package signaling

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"anabranch/internal/resource"
	"anabranch/internal/stage"
)

// refusal is the body of an answer that refuses.
type refusal struct {
	// Code is the status once more, for who sees the body alone.
	Code    int    `json:"code"`
	Message string `json:"message"`
	// ErrorCode is that of the participant event which tells of it, such as
	// INSUFFICIENT_CAPABILITIES.
	ErrorCode string `json:"errorCode,omitempty"`
}

// refuse is an error that is answered with a status of 4xx or 5xx.
func refuse(status int, format string, args ...any) *stage.Error {
	return &stage.Error{Status: status, Msg: fmt.Sprintf(format, args...)}
}

// refuse answers with err and returns what became of the request, for the
// metric.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) (outcome string) {
	ref := s.refusalOf(r, err)
	outcome = strconv.Itoa(ref.Status)
	if errors.Is(context.Cause(r.Context()), context.Canceled) {
		outcome = "gone"
	}
	s.Log.Debug("participant refused", "method", clip(r.Method), "path", r.URL.Path, "remote", r.RemoteAddr,
		"status", ref.Status, "reason", ref.Msg)
	h := w.Header()
	switch ref.Status {
	case http.StatusUnauthorized: // RFC 6750 §3
		h.Set("WWW-Authenticate", "Bearer")
		if r.Header.Get("Authorization") != "" {
			h.Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		}
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		h.Set("Retry-After", "1")
	}
	h.Set("Content-Type", "application/json")
	w.WriteHeader(ref.Status)
	if err := json.NewEncoder(w).Encode(refusal{Code: ref.Status, Message: ref.Msg, ErrorCode: ref.Code}); err != nil {
		s.Log.Debug("refusal not written", "remote", r.RemoteAddr, "error", err)
	}
	return outcome
}

// refusalOf turns an error into an answer. What is nobody's refusal is ours:
// logged in full, shown as an internal error.
func (s *Server) refusalOf(r *http.Request, err error) *stage.Error {
	var ref *stage.Error
	var invalid *resource.Error
	switch {
	case errors.As(err, &ref):
		return ref
	case errors.As(err, &invalid) && invalid.Kind == resource.Invalid:
		return refuse(http.StatusBadRequest, "%s", invalid.Msg)
	case r.Context().Err() != nil:
		return refuse(http.StatusServiceUnavailable, "the server is stopping")
	}
	s.Log.Error("participant's request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	return refuse(http.StatusInternalServerError, "internal error")
}

// clip keeps what a client sent short.
func clip(s string) string { return s[:min(len(s), 32)] }
