package signaling

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Whatever is asked is answered: what is refused with a body that says why, and
// no token in what is answered or logged.
func FuzzRequests(f *testing.F) {
	const secret = "eyJhbGciOiJIUzI1NiJ9.c2VjcmV0.c2lnbmF0dXJl"
	f.Add("POST", "/whip", "Bearer "+secret, typeSDP, "", offerSDP)
	f.Add("POST", "/whip/subscribe/bob", bearerGood, typeSDP, "", offerSDP)
	f.Add("PATCH", "/whip/session/ana/s1", bearerGood, typeFragment, "*", "a=ice-ufrag:x")
	f.Add("DELETE", "/whip/session/ana/s1", bearerGood, "", "", "")
	f.Add("OPTIONS", "/whip", bearerGood, "", "", "")
	f.Add("OPTIONS", "/whip/session/%2e%2e/%00", "", "", "", "")
	f.Add("GET", "/events/st", "", secret+", v1", "", "")
	f.Add("GET", "/events/st?token="+secret, "Basic "+secret, "a\x00b", "\"", "")
	f.Add("P\x7fST", "//whip", "bearer\t"+secret, "application/sdp;;", "", "")
	f.Fuzz(func(t *testing.T, method, path, auth, kind, ifMatch, text string) {
		r, err := http.NewRequest(method, "http://localhost"+path, strings.NewReader(text))
		if err != nil {
			return
		}
		r.Header.Set("Authorization", auth)
		r.Header.Set("Content-Type", kind)
		r.Header.Set("If-Match", ifMatch)
		r.Header.Set("Sec-WebSocket-Protocol", kind)
		for name, value := range map[string]string{ // a WebSocket's, so that its token is looked at
			"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
		} {
			r.Header.Set(name, value)
		}
		var log bytes.Buffer
		s := New(Config{Rooms: newRooms(), TURN: testTURN, MaxSockets: 1, Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
		mux := http.NewServeMux()
		s.Register(mux)
		if _, pattern := mux.Handler(r); !strings.HasPrefix(pattern, "/") {
			return // another part's path
		}
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		res := w.Result()
		answer, _ := io.ReadAll(res.Body)
		switch {
		case res.StatusCode == http.StatusMovedPermanently, res.StatusCode == http.StatusTemporaryRedirect: // to the clean path
		case res.StatusCode >= 400 && r.Header.Get("Sec-WebSocket-Protocol") != goodToken && r.Header.Get("Authorization") != bearerGood:
			var ref refusal
			if err := json.Unmarshal(answer, &ref); err != nil || ref.Code != res.StatusCode || ref.Message == "" {
				t.Errorf("%s with %q", res.Status, answer)
			}
		}
		res.Header.Write(&log)
		log.Write(answer)
		if strings.Contains(strings.ReplaceAll(log.String(), path, ""), secret) {
			t.Errorf("the token is told: %s", log.String())
		}
	})
}
