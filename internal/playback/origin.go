package playback

import (
	"errors"
	"net/http"

	"anabranch/internal/resource"
)

// origins are the web origins that may play: both lists hold, and an empty one
// allows any.
//
// Unless they are strict they bind browsers that say where their page is from,
// and nobody else: a missing Origin passes, as native players and pages of this
// server itself send none. Strict ones are asked of everybody, but for pages of
// this server (Sec-Fetch-Site: same-origin).
type origins struct {
	ofToken, ofPolicy []string
	strict            bool
}

// check refuses a request of another origin, and tells browsers which one the
// answer is for.
func (o *origins) check(w *answer, r *http.Request) error {
	if len(o.ofToken) == 0 && len(o.ofPolicy) == 0 {
		return nil
	}
	h := w.Header()
	h["Vary"] = varyOrigin
	delete(h, "Access-Control-Allow-Origin")
	delete(h, "Timing-Allow-Origin")
	origin := r.Header["Origin"]
	switch {
	case len(origin) == 0 && (!o.strict || r.Header.Get("Sec-Fetch-Site") == "same-origin"):
		return nil
	case len(origin) == 0:
		return &refusal{code: codeNoOrigin, reason: "an Origin header is required"}
	case len(origin) > 1 || !allows(o.ofToken, origin[0]) || !allows(o.ofPolicy, origin[0]):
		return &refusal{code: codeOrigin, reason: "playback is not allowed on this origin"}
	}
	h["Access-Control-Allow-Origin"] = origin
	h["Timing-Allow-Origin"] = origin
	return nil
}

// isOfOrigin says whether a request was refused for where its page is from.
func isOfOrigin(err error) bool {
	var ref *refusal
	return errors.As(err, &ref) && (ref.code == codeOrigin || ref.code == codeNoOrigin)
}

func allows(patterns []string, origin string) bool {
	for _, p := range patterns {
		if resource.MatchOrigin(p, origin) {
			return true
		}
	}
	return len(patterns) == 0
}

var (
	varyOrigin       = []string{"Origin"}
	varyOriginCoding = []string{"Accept-Encoding, Origin"}
)
