package signaling

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/resource"
	"anabranch/internal/stage"
)

var testTURN = TURN{URLs: []string{"turn:turn.example.com:3478?transport=udp", "turns:turn.example.com:5349"}, Secret: "hush"}

// request is one of a participant.
type request struct {
	method, path string
	auth         string // the Authorization header
	kind         string // the Content-Type header
	ifMatch      string
	body         string
}

func (q request) make() *http.Request {
	r := httptest.NewRequest(q.method, q.path, strings.NewReader(q.body))
	r.Header.Set("User-Agent", "tester")
	for name, value := range map[string]string{"Authorization": q.auth, "Content-Type": q.kind, "If-Match": q.ifMatch} {
		if value != "" {
			r.Header.Set(name, value)
		}
	}
	return r
}

const (
	bearerGood = "Bearer " + goodToken
	offerSDP   = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n"
)

// What is asked for reaches the rooms, and what they answer the participant.
func TestSessions(t *testing.T) {
	for _, tt := range []struct {
		name   string
		q      request
		answer string // of the rooms: its SDP
		asked  []string
		status int
		header map[string]string
		body   string
	}{
		{"publish", request{"POST", "/whip", bearerGood, typeSDP, "", offerSDP}, "v=0\r\n",
			[]string{"publish", "tester", offerSDP}, 201, map[string]string{
				"Content-Type": typeSDP, "Location": "/live/whip/session/ana/s1", "ETag": `"e1"`, "Accept-Patch": typeFragment,
				"Access-Control-Allow-Origin": "*", "Cache-Control": "no-store",
			}, "v=0\r\n"},
		{"publish, other spellings", request{"POST", "/whip", "bearer  " + goodToken, "Application/SDP; charset=utf-8", "", offerSDP}, "v=0\r\n",
			[]string{"publish", "tester", offerSDP}, 201, nil, "v=0\r\n"},
		{"subscribe", request{"POST", "/whip/subscribe/bob", bearerGood, typeSDP, "", offerSDP}, "v=0\r\n",
			[]string{"subscribe", "bob", offerSDP}, 201, map[string]string{
				"Content-Type": typeSDP, "Location": "/live/whip/session/ana/s1", "ETag": `"e1"`, "Accept-Patch": typeFragment,
			}, "v=0\r\n"},
		{"candidates", request{"PATCH", "/whip/session/ana/s1", bearerGood, typeFragment, `"e1"`, "a=x\r\n"}, "",
			[]string{"patch", "ana", "s1", `"e1"`, "a=x\r\n"}, 204, nil, ""},
		{"ICE restart", request{"PATCH", "/whip/session/ana/s1", bearerGood, typeFragment, "*", "a=x\r\n"}, "a=y\r\n",
			[]string{"patch", "ana", "s1", "*", "a=x\r\n"}, 200, map[string]string{"Content-Type": typeFragment, "ETag": `"e1"`}, "a=y\r\n"},
		{"leave", request{"DELETE", "/whip/session/ana/s1", bearerGood, "", "", ""}, "",
			[]string{"leave", "ana", "s1"}, 200, map[string]string{"Access-Control-Allow-Origin": "*"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rooms := newRooms()
			rooms.answer.SDP = []byte(tt.answer)
			h := handler(New(Config{Rooms: rooms, PublicURL: "https://cdn.example/live/", Log: testLog(t)}))
			res := ask(h, tt.q.make())
			text, _ := io.ReadAll(res.Body)
			if res.StatusCode != tt.status || string(text) != tt.body || !slices.Equal(rooms.asked, tt.asked) {
				t.Errorf("%s with %q, rooms were asked %q", res.Status, text, rooms.asked)
			}
			for name, want := range tt.header {
				if got := res.Header.Get(name); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
			if links := res.Header["Link"]; links != nil {
				t.Errorf("without TURN servers there are links: %q", links)
			}
		})
	}
}

// Who may not, or does not say it right, is told why; the rooms are not bothered
// with what is no request.
func TestRefusals(t *testing.T) {
	const publish, subscribe, session, events = "/whip", "/whip/subscribe/bob", "/whip/session/ana/s1", "/events/st"
	for _, tt := range []struct {
		name   string
		q      request
		status int
		says   string // in the message
		header map[string]string
	}{
		{"no token", request{"POST", publish, "", typeSDP, "", offerSDP}, 401, "Authorization", map[string]string{"WWW-Authenticate": "Bearer"}},
		{"no bearer", request{"POST", publish, "Basic YTpi", typeSDP, "", offerSDP}, 401, "Authorization", nil},
		{"an empty token", request{"POST", publish, "Bearer  ", typeSDP, "", offerSDP}, 401, "Authorization", nil},
		{"bad token", request{"POST", publish, "Bearer " + badToken, typeSDP, "", offerSDP}, 401, "token",
			map[string]string{"WWW-Authenticate": `Bearer error="invalid_token"`}},
		{"bad token to subscribe", request{"POST", subscribe, "Bearer " + badToken, typeSDP, "", offerSDP}, 401, "token", nil},
		{"bad token to patch", request{"PATCH", session, "Bearer " + badToken, typeFragment, "", "a=x"}, 401, "token", nil},
		{"bad token to leave", request{"DELETE", session, "Bearer " + badToken, "", "", ""}, 401, "token", nil},
		{"bad token for ICE servers", request{"OPTIONS", publish, "Bearer " + badToken, "", "", ""}, 401, "token", nil},
		{"no token for events", request{"GET", events, "", "", "", ""}, 401, "Sec-WebSocket-Protocol", nil},
		{"token in the query", request{"GET", events + "?token=" + goodToken, "", "", "", ""}, 401, "Sec-WebSocket-Protocol", nil},
		{"events without a WebSocket", request{"GET", events, bearerGood, "", "", ""}, 426, "Upgrade", map[string]string{"Upgrade": "websocket"}},
		{"another type", request{"POST", publish, bearerGood, "text/plain", "", offerSDP}, 415, typeSDP, map[string]string{"Accept-Post": typeSDP}},
		{"no type", request{"POST", subscribe, bearerGood, "", "", offerSDP}, 415, typeSDP, nil},
		{"an SDP as a fragment", request{"PATCH", session, bearerGood, typeSDP, "", offerSDP}, 415, typeFragment, map[string]string{"Accept-Patch": typeFragment}},
		{"long", request{"POST", publish, bearerGood, typeSDP, "", strings.Repeat("a", maxBody+1)}, 413, "65536", nil},
		{"long fragment", request{"PATCH", session, bearerGood, typeFragment, "", strings.Repeat("a", maxBody+1)}, 413, "65536", nil},
		{"empty", request{"POST", publish, bearerGood, typeSDP, "", ""}, 400, "body", nil},
		{"GET", request{"GET", publish, bearerGood, "", "", ""}, 405, "OPTIONS, POST", map[string]string{"Allow": "OPTIONS, POST"}},
		{"HEAD", request{"HEAD", publish, bearerGood, "", "", ""}, 405, "", nil},
		{"PUT", request{"PUT", subscribe, bearerGood, typeSDP, "", offerSDP}, 405, "", map[string]string{"Allow": "OPTIONS, POST"}},
		{"POST to a session", request{"POST", session, bearerGood, typeSDP, "", offerSDP}, 405, "", map[string]string{"Allow": "DELETE, OPTIONS, PATCH"}},
		{"POST to events", request{"POST", events, bearerGood, typeSDP, "", offerSDP}, 405, "", map[string]string{"Allow": "GET, OPTIONS"}},
		{"nothing", request{"POST", "/whip/", bearerGood, typeSDP, "", offerSDP}, 404, "path", nil},
		{"no such path", request{"DELETE", "/whip/session/ana", bearerGood, "", "", ""}, 404, "path", nil},
		{"a path too long", request{"PATCH", session + "/x", bearerGood, typeFragment, "", "a=x"}, 404, "path", nil},
		{"a long method", request{strings.Repeat("X", 1000), publish, bearerGood, "", "", ""}, 405, `"XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX"`, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rooms := newRooms()
			h := handler(New(Config{Rooms: rooms, PublicURL: "http://localhost:7080", MaxSockets: 10, Log: testLog(t)}))
			res := ask(h, tt.q.make())
			text, _ := io.ReadAll(res.Body)
			var ref refusal
			if err := json.Unmarshal(text, &ref); err != nil {
				t.Fatalf("%s: %q: %v", res.Status, text, err)
			}
			if res.StatusCode != tt.status || ref.Code != tt.status || !strings.Contains(ref.Message, tt.says) || len(ref.Message) > 200 {
				t.Errorf("%s with %s, want %d and %q", res.Status, text, tt.status, tt.says)
			}
			if len(rooms.asked) > 0 {
				t.Errorf("rooms were asked %q", rooms.asked)
			}
			if res.Header.Get("Access-Control-Allow-Origin") != "*" || res.Header.Get("Content-Type") != "application/json" {
				t.Errorf("headers %v", res.Header)
			}
			for name, want := range tt.header {
				if got := res.Header.Get(name); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
		})
	}
}

// What the rooms refuse is answered as they say; what went wrong inside is not
// shown.
func TestRoomsRefuse(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want refusal
	}{
		{&stage.Error{Status: 403, Code: "INSUFFICIENT_CAPABILITIES", Msg: "token: may not publish"},
			refusal{403, "token: may not publish", "INSUFFICIENT_CAPABILITIES"}},
		{fmt.Errorf("wrapped: %w", &stage.Error{Status: 404, Code: "PUBLISHER_NOT_FOUND", Msg: "nobody"}), refusal{404, "nobody", "PUBLISHER_NOT_FOUND"}},
		{&stage.Error{Status: 503, Msg: "busy"}, refusal{503, "busy", ""}},
		{resource.Errorf(resource.Invalid, "a=fingerprint: is missing"), refusal{400, "a=fingerprint: is missing", ""}},
		{errors.New("secret table is gone"), refusal{500, "internal error", ""}},
	} {
		rooms := newRooms()
		rooms.err = tt.err
		h := handler(New(Config{Rooms: rooms, Log: testLog(t)}))
		for _, q := range []request{
			{"POST", "/whip", bearerGood, typeSDP, "", offerSDP},
			{"POST", "/whip/subscribe/bob", bearerGood, typeSDP, "", offerSDP},
			{"PATCH", "/whip/session/ana/s1", bearerGood, typeFragment, "", "a=x"},
			{"DELETE", "/whip/session/ana/s1", bearerGood, "", "", ""},
			{"OPTIONS", "/whip", bearerGood, "", "", ""},
		} {
			res := ask(h, q.make())
			var got refusal
			if err := json.NewDecoder(res.Body).Decode(&got); err != nil || got != tt.want || res.StatusCode != tt.want.Code {
				t.Errorf("%s, %v: %s with %+v (%v), want %+v", q.method, tt.err, res.Status, got, err, tt.want)
			}
			if (res.Header.Get("Retry-After") != "") != (tt.want.Code == 503) {
				t.Errorf("%v: Retry-After %q", tt.err, res.Header.Get("Retry-After"))
			}
		}
	}
}

// A browser asks without a token whether it may ask.
func TestPreflight(t *testing.T) {
	rooms := newRooms()
	h := handler(New(Config{Rooms: rooms, TURN: testTURN, Log: testLog(t)}))
	for path, allowed := range map[string]string{
		"/whip": "OPTIONS, POST", "/whip/subscribe/bob": "OPTIONS, POST",
		"/whip/session/ana/s1": "DELETE, OPTIONS, PATCH", "/events/st": "GET, OPTIONS", "/whip/nothing": "OPTIONS",
	} {
		res := ask(h, request{method: "OPTIONS", path: path}.make())
		got := res.Header
		if res.StatusCode != 204 || got.Get("Access-Control-Allow-Methods") != allowed || got.Get("Access-Control-Allow-Origin") != "*" ||
			got.Get("Access-Control-Allow-Headers") != "Authorization, Content-Type, If-Match" || got["Link"] != nil {
			t.Errorf("%s: %s with %v", path, res.Status, got)
		}
		for _, name := range []string{"Location", "Link", "ETag"} {
			if !strings.Contains(got.Get("Access-Control-Expose-Headers"), name) {
				t.Errorf("%s: scripts do not see %s", path, name)
			}
		}
	}
	if len(rooms.asked) > 0 {
		t.Errorf("rooms were asked %q", rooms.asked)
	}
}

var linkPattern = regexp.MustCompile(`^<(turns?:[^>]+)>; rel="ice-server"; username="([0-9]+):ana"; credential="([^"]+)"; credential-type="password"$`)

// A participant is handed TURN servers with credentials of its own: in one
// header to who asks before its offer, in one each with the answer.
func TestTURN(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := handler(New(Config{Rooms: newRooms(), TURN: testTURN, Log: testLog(t)}))
		check := func(links []string) {
			t.Helper()
			if len(links) != len(testTURN.URLs) {
				t.Fatalf("links %q", links)
			}
			for i, link := range links {
				m := linkPattern.FindStringSubmatch(link)
				if m == nil || m[1] != testTURN.URLs[i] {
					t.Fatalf("link %q", link)
				}
				if until, err := strconv.ParseInt(m[2], 10, 64); err != nil || time.Until(time.Unix(until, 0)) != 24*time.Hour {
					t.Errorf("good until %s", m[2])
				}
				sum := hmac.New(sha1.New, []byte("hush"))
				sum.Write([]byte(m[2] + ":ana"))
				if want := base64.StdEncoding.EncodeToString(sum.Sum(nil)); m[3] != want {
					t.Errorf("credential %q, want %q", m[3], want)
				}
			}
		}
		for _, path := range []string{"/whip", "/whip/subscribe/bob"} {
			res := ask(h, request{method: "OPTIONS", path: path, auth: bearerGood}.make())
			if res.StatusCode != 200 || len(res.Header["Link"]) != 1 || res.Header.Get("Accept-Post") != typeSDP {
				t.Fatalf("%s: %s with %v", path, res.Status, res.Header)
			}
			check(strings.Split(res.Header.Get("Link"), ","))
			res = ask(h, request{"POST", path, bearerGood, typeSDP, "", offerSDP}.make())
			check(res.Header["Link"])
		}
	})
}

// A credential is what coturn computes, here by
// printf 1433895430:guest | openssl dgst -sha1 -hmac north -binary | base64.
func TestTURNCredential(t *testing.T) {
	turn := TURN{URLs: []string{"turn:a"}, Secret: "north"}
	const want = `<turn:a>; rel="ice-server"; username="1433895430:guest"; credential="ELoObDe4eQfs+xzIeMjAQYxetu4="; credential-type="password"`
	if got := turn.links("guest", time.Unix(1_433_895_430, 0).Add(-credentialLife)); got[0] != want {
		t.Errorf("%s, want %s", got[0], want)
	}
}
