package playback

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"anabranch/internal/auth"
	"anabranch/internal/broadcast"
	"anabranch/internal/packager"
	"anabranch/internal/resource"
)

// leave is what lets a viewer in: the session that may begin, and the token's
// claim that it begins no other.
type leave struct {
	session
	singleUse string // UUID, empty when there is none
	until     time.Time
}

// admit decides whether whoever asks for a channel's multivariant playlist may
// watch it. What the channel's policy demands and what the token demands both
// hold.
func (s *Server) admit(w *answer, r *http.Request, ch *resource.Channel) (*leave, error) {
	leave := &leave{session: session{Channel: ch.ID()}}
	if !ch.Restricted() {
		return leave, nil
	}
	rules := s.Gate.rules()
	policy, err := rules.policy(ch)
	if err != nil {
		return nil, err
	}
	leave.Policy = ch.PlaybackRestrictionPolicyARN.ID()
	asked := origins{ofPolicy: policy.AllowedOrigins, strict: policy.EnableStrictOriginEnforcement}
	if ch.Authorized {
		if err := s.take(r, leave, ch, rules); err != nil {
			return nil, err
		}
		asked.ofToken, asked.strict = leave.Origins, asked.strict || leave.Strict
	}
	if err := asked.check(w, r); err != nil {
		return nil, err
	}
	if !asked.strict {
		leave.Origins = nil // they were for this request alone
	}
	return leave, s.checkCountry(r, policy)
}

// checkCountry refuses viewers of whom it is known that they are elsewhere.
func (s *Server) checkCountry(r *http.Request, policy *resource.PlaybackRestrictionPolicy) error {
	if len(policy.AllowedCountries) == 0 {
		return nil
	}
	if s.Countries == nil {
		s.noCountries.Do(func() {
			s.Log.Warn("countries are not checked: there is no --geo-db", "policy", policy.ARN)
		})
		return nil
	}
	country := s.Countries.Of(clientAddr(r, s.TrustedProxies))
	if country == "" || slices.Contains(policy.AllowedCountries, country) {
		return nil
	}
	return &refusal{code: codeCountry, reason: "playback is not allowed in country " + country}
}

// mayTune is admit, without an answer to give.
func (s *Server) mayTune(w *answer, r *http.Request) error {
	id, _ := s.channelID(r.PathValue("name"))
	view, err := s.view(id)
	if err != nil {
		return err
	}
	_, err = s.admit(w, r, &view.Channel)
	return err
}

// take takes over what the token of a request grants. Each key pair costs it as
// much as a dozen requests for media, so few are at it at once: those who
// play already come first.
func (s *Server) take(r *http.Request, l *leave, ch *resource.Channel, rules *rules) error {
	token := r.URL.Query().Get("token")
	if token == "" {
		return &refusal{code: codeAuth, reason: "missing token"}
	}
	select {
	case s.verifying <- struct{}{}:
		defer func() { <-s.verifying }()
	case <-r.Context().Done():
		return r.Context().Err()
	}
	claims, err := auth.VerifyPlaybackToken(token, rules.keys, time.Now())
	var fault *auth.TokenError
	switch {
	case errors.As(err, &fault):
		return &refusal{code: codeOfFault[fault.Fault], reason: fault.Reason}
	case err != nil:
		return fmt.Errorf("verify playback token: %w", err)
	case claims.ChannelARN != ch.ARN:
		return &refusal{code: codeMismatch, reason: "token is for another channel"}
	case rules.bars(l.Channel, claims.ViewerID, claims.Version):
		return errRevoked
	}
	l.Private = true
	l.Viewer, l.Version = claims.ViewerID, claims.Version
	l.MaximumResolution = claims.MaximumResolution
	l.Origins, l.Strict = claims.Origins, claims.Strict
	l.singleUse, l.until = claims.SingleUse, claims.Expires
	return nil
}

var codeOfFault = map[auth.TokenFault]string{
	auth.TokenMalformed:  codeAuth,
	auth.TokenUnverified: codeKeyPair,
	auth.TokenEarly:      codeEarly,
	auth.TokenExpired:    codeExpired,
}

var errRevoked = &refusal{code: codeRevoked, reason: "the viewer's session was revoked"}

// use uses up a single-use token. HEAD brings no playlist, and so uses nothing.
func (s *Server) use(r *http.Request, ch *resource.Channel, l *leave) error {
	if l.singleUse == "" || r.Method == http.MethodHead {
		return nil
	}
	first, err := s.Gate.store.UseOnce(r.Context(), ch.ARN, l.singleUse, l.until)
	switch {
	case err != nil:
		return err
	case !first:
		return &refusal{code: codeUsed, reason: "token was used already"}
	}
	return nil
}

// visit is a request below a session.
type visit struct {
	session *session
	view    *broadcast.View
	window  *packager.Window // of the rendition that is asked for
}

// enter finds the session of a request and what it may watch.
func (s *Server) enter(w *answer, r *http.Request) (v visit, err error) {
	id := r.PathValue("channel")
	if v.session, err = s.resume(r.PathValue("session"), id); err != nil {
		return v, err
	}
	if v.view, err = s.view(id); err != nil {
		return v, err
	}
	v.window, err = s.goOn(w, r, v.session, v.view)
	return v, err
}

// mayEnter is enter, without an answer to give.
func (s *Server) mayEnter(w *answer, r *http.Request) error {
	_, err := s.enter(w, r)
	return err
}

func everybodyMay(*answer, *http.Request) error { return nil }

// stay checks after a wait that a session may still go on: it may have been
// revoked, or the channel have been restricted. The view becomes that of now.
func (s *Server) stay(w *answer, r *http.Request, v *visit) error {
	if now, ok := s.Channels.Lookup(v.session.Channel); ok {
		v.view = now
	}
	_, err := s.goOn(w, r, v.session, v.view)
	return err
}

// goOn checks that a session may go on, and finds the rendition that it asks
// for. What was found when it began still
// counts, where the channel is as it was then: a token that has expired, or a
// key pair that is gone, ends nothing. A session from before the channel was
// restricted ends, and so does one whose policy is now another.
func (s *Server) goOn(w *answer, r *http.Request, sess *session, view *broadcast.View) (*packager.Window, error) {
	ch := &view.Channel
	if !ch.Restricted() {
		return rendition(view, r.PathValue("rendition"))
	}
	rules := s.Gate.rules()
	policy, err := rules.policy(ch)
	switch {
	case err != nil:
		return nil, err
	case ch.Authorized && !sess.Private,
		ch.PlaybackRestrictionPolicyARN != "" && (sess.Policy == "" || !strings.HasSuffix(string(ch.PlaybackRestrictionPolicyARN), "/"+sess.Policy)):
		return nil, &refusal{code: codeOutdated, reason: "the channel was restricted after the session began"}
	case rules.bars(sess.Channel, sess.Viewer, sess.Version):
		return nil, errRevoked
	}
	if sess.Strict || policy.EnableStrictOriginEnforcement {
		asked := origins{ofToken: sess.Origins, ofPolicy: policy.AllowedOrigins, strict: true}
		if err := asked.check(w, r); err != nil {
			return nil, err
		}
	}
	window, err := rendition(view, r.PathValue("rendition"))
	if err == nil && isAbove(window.Params(), sess.MaximumResolution) {
		return nil, errResolution(sess.MaximumResolution)
	}
	return window, err
}
