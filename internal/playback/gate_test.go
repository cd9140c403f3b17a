package playback_test

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"anabranch/internal/playback"
	"anabranch/internal/resource"
)

// rules are a database of who may watch, a key that signs tokens, and a map of
// addresses to countries.
type rules struct {
	signer    *ecdsa.PrivateKey
	countries *playback.Countries

	mu          sync.Mutex
	pairs       []resource.PlaybackKeyPair
	policies    map[resource.ARN]resource.PlaybackRestrictionPolicy
	revocations []resource.Revocation
	used        map[string]bool
	fails       error
}

func newRules(t testing.TB) *rules {
	t.Helper()
	file := filepath.Join(t.TempDir(), "countries.mmdb")
	writeCountries(t, file, map[string]string{"81.2.69.0/24": "GB", "89.160.20.0/24": "SE", "10.0.0.0/8": "SE"})
	countries, err := playback.OpenCountries(file, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	d := &rules{countries: countries, policies: make(map[resource.ARN]resource.PlaybackRestrictionPolicy), used: make(map[string]bool)}
	d.signer = d.importKey(t)
	return d
}

// importKey makes a key pair and puts it into the database.
func (d *rules) importKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, pair := newKeyPair(t)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pairs = append(d.pairs, pair)
	return key
}

func (d *rules) AllPlaybackKeyPairs(context.Context) ([]resource.PlaybackKeyPair, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.pairs), d.fails
}

func (d *rules) AllPlaybackRestrictionPolicies(context.Context) ([]resource.PlaybackRestrictionPolicy, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Collect(maps.Values(d.policies)), d.fails
}

func (d *rules) Revocations(_ context.Context, after int64) ([]resource.Revocation, int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.revocations[after:]), int64(len(d.revocations)), d.fails
}

func (d *rules) UseOnce(_ context.Context, channel resource.ARN, uuid string, _ time.Time) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	first := !d.used[string(channel)+uuid]
	d.used[string(channel)+uuid] = true
	return first, d.fails
}

// change changes the database behind the gate's back.
func (d *rules) change(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
}

func (d *rules) revoke(id, viewer string, version int64) {
	d.change(func() {
		d.revocations = append(d.revocations, resource.Revocation{
			ChannelARN: place.ARN(resource.KindChannel, id), ViewerID: viewer, Version: version, At: time.Now(),
		})
	})
}

// claims are those of a token for a channel, with more of them as JSON.
func claims(id, more string) jwt.MapClaims {
	c := jwt.MapClaims{"aws:channel-arn": place.ARN(resource.KindChannel, id), "exp": time.Now().Add(5 * time.Minute).Unix()}
	if err := json.Unmarshal([]byte("{"+more+"}"), &c); err != nil {
		panic(err)
	}
	return c
}

// token is a token for a channel.
func (d *rules) token(t testing.TB, id, more string) string {
	return signed(t, d.signer, claims(id, more))
}

func signed(t testing.TB, key *ecdsa.PrivateKey, c jwt.MapClaims) string {
	t.Helper()
	token, err := jwt.NewWithClaims(jwt.SigningMethodES384, c).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func newKeyPair(t testing.TB) (*ecdsa.PrivateKey, resource.PlaybackKeyPair) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key, resource.PlaybackKeyPair{ARN: place.ARN(resource.KindPlaybackKeyPair, resource.NewID()), PublicKey: publicPEM(t, key)}
}

func private(ch *resource.Channel) { ch.Authorized = true }

// policy puts a policy into the database and attaches it to a channel.
func (st *station) policy(p resource.PlaybackRestrictionPolicy, change ...func(*resource.Channel)) func(*resource.Channel) {
	p.ARN = resource.ARN(cmp.Or(string(p.ARN), string(place.ARN(resource.KindPlaybackRestrictionPolicy, resource.NewID()))))
	st.rules.change(func() { st.rules.policies[p.ARN] = p })
	st.gate.Refresh(st.t.Context())
	return func(ch *resource.Channel) {
		ch.PlaybackRestrictionPolicyARN = p.ARN
		for _, f := range change {
			f(ch)
		}
	}
}

// change does to a channel what the API does in the gap between two streams.
func (st *station) change(id string, f func(*resource.Channel)) {
	st.mu.Lock()
	defer st.mu.Unlock()
	v := *st.views[id]
	f(&v.Channel)
	st.views[id] = &v
	v.Window.SetMediaBase(playback.MediaBase(&v.Channel, ""))
}

// from is do for a client of an address.
func (st *station) from(addr, method, target string, header ...string) *http.Response {
	r := httptest.NewRequestWithContext(st.t.Context(), method, target, nil)
	r.RemoteAddr = addr
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	st.mux.ServeHTTP(w, r)
	return w.Result()
}

// said is the error_code of a refusal, empty for any other answer.
func said(t testing.TB, res *http.Response) string {
	t.Helper()
	if res.StatusCode < 400 {
		return ""
	}
	var body []tells
	if err := json.NewDecoder(res.Body).Decode(&body); err != nil || len(body) != 1 || body[0].Error == "" || body[0].Type != "error" {
		t.Fatalf("%s: body %v %v", res.Status, body, err)
	}
	return body[0].Code
}

// tuneWith follows a multivariant playlist that is asked for with headers.
func (st *station) tuneWith(id, token string, header ...string) string {
	st.t.Helper()
	path := playback.Path(place, id)
	res := st.get(path+"?token="+token, header...)
	text := body(st.t, res)
	if res.StatusCode != 200 {
		st.t.Fatalf("%s: %s %s", path, res.Status, text)
	}
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return resolve(st.t, res, path, lines[len(lines)-1])
}

// uris are what a playlist names, but for what is still to come.
func (st *station) uris(list string, header ...string) (paths []string) {
	st.t.Helper()
	res := st.get(list, header...)
	text := body(st.t, res)
	for _, m := range regexp.MustCompile(`(?m)^#EXT-X-(?:MAP|PART):.*URI="(.*?)"|^([^#].*)$`).FindAllStringSubmatch(text, -1) {
		paths = append(paths, resolve(st.t, res, list, m[1]+m[2]))
	}
	if len(paths) < 3 {
		st.t.Fatalf("%s: %s, no media in\n%s", list, res.Status, text)
	}
	return paths
}

// Who asks for a multivariant playlist, and what the answer is.
func TestAdmission(t *testing.T) {
	st := newStation(t)
	const token, uuid = "TOKEN", `"aws:single-use-uuid":"0e5b7a5c-9d1f-4c7b-8b9e-0f1a2b3c4d5e"`
	st.channel("open", 3, nil)
	st.channel("private", 3, private)
	st.channel("other", 3, private)
	st.channel("britain", 3, st.policy(resource.PlaybackRestrictionPolicy{AllowedCountries: []string{"GB", "IE"}}))
	st.channel("site", 3, st.policy(resource.PlaybackRestrictionPolicy{AllowedOrigins: []string{"https://a.example", "https://*.b.example"}}))
	st.channel("strict", 3, st.policy(resource.PlaybackRestrictionPolicy{AllowedOrigins: []string{"https://a.example"}, EnableStrictOriginEnforcement: true}))
	st.channel("both", 3, st.policy(resource.PlaybackRestrictionPolicy{AllowedCountries: []string{"GB"}, AllowedOrigins: []string{"https://a.example", "https://b.example"}}, private))
	st.channel("lost", 3, func(ch *resource.Channel) {
		ch.PlaybackRestrictionPolicyARN = place.ARN(resource.KindPlaybackRestrictionPolicy, "gone")
	})
	st.rules.revoke("private", "eve", 3)
	st.gate.Refresh(t.Context())
	stranger, _ := newKeyPair(t)
	soon := time.Now().Add(9 * time.Minute).Unix()
	const anyone, british, swedish, inside = "192.0.2.1:9", "81.2.69.7:9", "89.160.20.7:9", "10.1.2.3:9"
	for _, tt := range []struct {
		name, channel, claims string // no claims: no token
		addr                  string
		header                string // "Name: value; …"
		code                  string // empty: admitted
		allows                string // Access-Control-Allow-Origin
	}{
		{"open", "open", "", anyone, "Origin: https://x.example", "", "*"},
		{"open, whatever the token", "open", "-", anyone, "", "", "*"},
		{"private", "private", `"x":1`, anyone, "Origin: https://x.example", "", "*"},
		{"no token", "private", "", anyone, "", "invalid_playback_auth_token", "*"},
		{"no token but a header", "private", "", anyone, "Authorization: Bearer " + st.rules.token(t, "private", ""), "invalid_playback_auth_token", "*"},
		{"no JWT", "private", "-", anyone, "", "invalid_playback_auth_token", "*"},
		{"wrong type", "private", `"aws:viewer-id":1`, anyone, "", "invalid_playback_auth_token", "*"},
		{"signed by a stranger", "private", "stranger", anyone, "", "unknown_playback_key_pair", "*"},
		{"expired", "private", `"exp":1000000000`, anyone, "", "expired_playback_auth_token", "*"},
		{"too early", "private", fmt.Sprintf(`"nbf":%d`, soon), anyone, "", "early_playback_auth_token", "*"},
		{"of another channel", "private", `"aws:channel-arn":"` + string(place.ARN(resource.KindChannel, "other")) + `"`, anyone, "", "playback_auth_token_mismatch", "*"},
		{"of a channel elsewhere", "private", `"aws:channel-arn":"arn:aws:ivs:us-west-2:123456789012:channel/private"`, anyone, "", "playback_auth_token_mismatch", "*"},
		{"used once", "private", uuid, anyone, "", "", "*"},
		{"used twice", "private", uuid, anyone, "", "used_playback_auth_token", "*"},
		{"the same on another channel", "other", uuid, anyone, "", "", "*"},
		{"revoked", "private", `"aws:viewer-id":"eve","aws:viewer-session-version":3`, anyone, "", "revoked_viewer_session", "*"},
		{"revoked, no version", "private", `"aws:viewer-id":"eve"`, anyone, "", "revoked_viewer_session", "*"},
		{"revoked, of a later version", "private", `"aws:viewer-id":"eve","aws:viewer-session-version":4`, anyone, "", "", "*"},
		{"revoked elsewhere", "other", `"aws:viewer-id":"eve"`, anyone, "", "", "*"},
		{"another viewer", "private", `"aws:viewer-id":"Eve"`, anyone, "", "", "*"},
		{"picture small enough", "private", `"aws:maximum-resolution":"SD"`, anyone, "", "", "*"},

		{"the token's origin", "private", `"aws:access-control-allow-origin":"https://a.example,https://b.example"`, anyone, "Origin: https://b.example", "", "https://b.example"},
		{"another origin", "private", `"aws:access-control-allow-origin":"https://a.example"`, anyone, "Origin: https://x.example", "disallowed_origin", ""},
		{"another scheme", "private", `"aws:access-control-allow-origin":"https://a.example"`, anyone, "Origin: http://a.example", "disallowed_origin", ""},
		{"another port", "private", `"aws:access-control-allow-origin":"https://a.example"`, anyone, "Origin: https://a.example:8443", "disallowed_origin", ""},
		{"opaque origin", "private", `"aws:access-control-allow-origin":"https://a.example"`, anyone, "Origin: null", "disallowed_origin", ""},
		{"two origins", "private", `"aws:access-control-allow-origin":"https://a.example"`, anyone, "Origin: https://a.example; Origin: https://x.example", "disallowed_origin", ""},
		{"native player", "private", `"aws:access-control-allow-origin":"https://a.example"`, anyone, "", "", ""},
		{"native player, strict", "private", `"aws:access-control-allow-origin":"https://a.example","aws:strict-origin-enforcement":true`, anyone, "", "missing_origin", ""},
		{"page of ours, strict", "private", `"aws:access-control-allow-origin":"https://a.example","aws:strict-origin-enforcement":true`, anyone, "Sec-Fetch-Site: same-origin", "", ""},
		{"page beside ours, strict", "private", `"aws:access-control-allow-origin":"https://a.example","aws:strict-origin-enforcement":true`, anyone, "Sec-Fetch-Site: same-site", "missing_origin", ""},
		{"another page of ours, strict", "private", `"aws:access-control-allow-origin":"https://a.example","aws:strict-origin-enforcement":true`, anyone, "Origin: https://x.example; Sec-Fetch-Site: same-origin", "disallowed_origin", ""},
		{"strict about nothing", "private", `"aws:strict-origin-enforcement":true`, anyone, "", "", "*"},

		{"policy, its origin", "site", "", anyone, "Origin: https://x.b.example", "", "https://x.b.example"},
		{"policy, another origin", "site", "", anyone, "Origin: https://b.example", "disallowed_origin", ""},
		{"policy, native player", "site", "", anyone, "", "", ""},
		{"policy, strict, its origin", "strict", "", anyone, "Origin: https://a.example", "", "https://a.example"},
		{"policy, strict, native player", "strict", "", anyone, "", "missing_origin", ""},
		{"policy, its country", "britain", "", british, "", "", "*"},
		{"policy, another country", "britain", "", swedish, "", "disallowed_country", "*"},
		{"policy, unlocatable", "britain", "", anyone, "", "", "*"},
		{"policy, private address", "britain", "", inside, "", "", "*"},
		{"policy, IPv6 form of IPv4", "britain", "", "[::ffff:89.160.20.7]:9", "", "disallowed_country", "*"},
		{"policy, behind a proxy", "britain", "", inside, "X-Forwarded-For: 89.160.20.7", "disallowed_country", "*"},
		{"policy, behind two", "britain", "", inside, "X-Forwarded-For: 81.2.69.7, 89.160.20.7, 10.9.9.9", "disallowed_country", "*"},
		{"policy, proxy not trusted", "britain", "", swedish, "X-Forwarded-For: 81.2.69.7", "disallowed_country", "*"},
		{"policy that is not known", "lost", "", british, "", "service_unavailable", "*"},

		{"policy and token", "both", `"aws:access-control-allow-origin":"https://b.example,https://c.example"`, british, "Origin: https://b.example", "", "https://b.example"},
		{"policy and token, the policy's origin alone", "both", `"aws:access-control-allow-origin":"https://b.example"`, british, "Origin: https://a.example", "disallowed_origin", ""},
		{"policy and token, the token's origin alone", "both", `"aws:access-control-allow-origin":"https://c.example"`, british, "Origin: https://c.example", "disallowed_origin", ""},
		{"policy and token, another country", "both", `"x":1`, swedish, "Origin: https://a.example", "disallowed_country", "https://a.example"},
		{"policy, no token", "both", "", british, "Origin: https://a.example", "invalid_playback_auth_token", "*"},
	} {
		target := playback.Path(place, tt.channel)
		switch tt.claims {
		case "":
		case "-":
			target += "?token=-"
		case "stranger":
			target += "?token=" + signed(t, stranger, claims(tt.channel, ""))
		default:
			target += "?token=" + st.rules.token(t, tt.channel, tt.claims)
		}
		var header []string
		for field := range strings.SplitSeq(tt.header, "; ") {
			if name, value, ok := strings.Cut(field, ": "); ok {
				header = append(header, name, value)
			}
		}
		head := st.from(tt.addr, "HEAD", target, header...)
		preflight := st.from(tt.addr, "OPTIONS", target, header...)
		res := st.from(tt.addr, "GET", target, header...)
		code := said(t, res)
		if code != tt.code {
			t.Errorf("%s: %q, want %q", tt.name, code, tt.code)
		}
		if head.StatusCode != res.StatusCode && code != "used_playback_auth_token" { // HEAD uses nothing
			t.Errorf("%s: %s, and to HEAD %s", tt.name, res.Status, head.Status)
		}
		want := 403
		switch code {
		case "":
			want = 200
		case "service_unavailable":
			want = 503
		}
		if res.StatusCode != want || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %s %v", tt.name, res.Status, res.Header)
		}
		if got := res.Header.Get("Access-Control-Allow-Origin"); got != tt.allows || (got != "*") != slices.Contains(res.Header["Vary"], "Origin") {
			t.Errorf("%s: allows %q, want %q; %v", tt.name, got, tt.allows, res.Header["Vary"])
		}
		if got := preflight.Header.Get("Access-Control-Allow-Origin"); got != tt.allows || preflight.StatusCode/100 == 2 != !strings.Contains(tt.code, "origin") {
			t.Errorf("%s: preflight %s allows %q, want %q", tt.name, preflight.Status, got, tt.allows)
		}
	}
}

// Media of a restricted channel lies below its viewers' sessions, and nowhere
// else.
func TestRestrictedMedia(t *testing.T) {
	st := newStation(t)
	st.channel("open", 5, nil)
	st.channel("private", 5, private)
	st.channel("other", 5, private)
	st.channel("site", 5, st.policy(resource.PlaybackRestrictionPolicy{AllowedOrigins: []string{"https://a.example"}}))
	for id, token := range map[string]string{"private": st.rules.token(t, "private", ""), "site": ""} {
		list := st.tuneWith(id, token)
		if got := st.get(list).Header.Get("Cache-Control"); got != "private, no-cache" {
			t.Errorf("playlist of %s: Cache-Control %q", id, got)
		}
		if got := st.get(list + "?_HLS_msn=0").Header.Get("Cache-Control"); got != "private, max-age=24" {
			t.Errorf("playlist of %s: Cache-Control %q", id, got)
		}
		folder := strings.TrimSuffix(list, "playlist.m3u8")
		session := strings.Split(list, "/")[2]
		elsewhere := strings.Split(st.tuneWith("other", st.rules.token(t, "other", "")), "/")[2]
		public := strings.Split(st.tune("open"), "/")[2]
		for _, path := range st.uris(list) {
			name, ok := strings.CutPrefix(path, folder)
			if !ok || strings.Contains(name, "/") {
				t.Fatalf("media of %s at %s", id, path)
			}
			res := st.get(path)
			if h := res.Header; res.StatusCode != 200 || h.Get("Cache-Control") != "private, max-age=3600, immutable" || h.Get("Content-Type") != "video/mp4" {
				t.Errorf("%s: %s %v", path, res.Status, h)
			}
			for target, want := range map[string]string{
				"/live/" + id + "/" + name:                               "transcode_does_not_exist",
				"/v/" + elsewhere + "/" + id + "/" + name:                "invalid_playback_session",
				"/v/" + public + "/" + id + "/" + name:                   "invalid_playback_session",
				"/v/" + session + "/other/" + name:                       "invalid_playback_session",
				"/v/" + session + "A/" + id + "/" + name:                 "invalid_playback_session",
				"/v/" + strings.ToUpper(session) + "/" + id + "/" + name: "invalid_playback_session",
				"/v/x/" + id + "/" + name:                                "invalid_playback_session",
			} {
				res := st.get(target, "Range", "bytes=0-3", "Sec-Fetch-Site", "same-origin")
				if got := said(t, res); got != want {
					t.Errorf("%s: %q, want %q", target, got, want)
				}
				if head := st.do("HEAD", target); head.StatusCode != res.StatusCode {
					t.Errorf("%s: %s, and to HEAD %s", target, res.Status, head.Status)
				}
			}
		}
	}
}

// Under strict enforcement each request is asked for its origin; else the first
// alone.
func TestOriginsOfSessions(t *testing.T) {
	st := newStation(t)
	st.channel("private", 5, private)
	st.channel("strict", 5, st.policy(resource.PlaybackRestrictionPolicy{AllowedOrigins: []string{"https://a.example"}, EnableStrictOriginEnforcement: true}))
	st.channel("both", 5, st.policy(resource.PlaybackRestrictionPolicy{EnableStrictOriginEnforcement: true}, private))
	const site = "https://a.example"
	const mine = `"aws:access-control-allow-origin":"https://a.example"`
	for _, tt := range []struct {
		name, id, token string
		strict          bool
	}{
		{"by token", "private", st.rules.token(t, "private", mine+`,"aws:strict-origin-enforcement":true`), true},
		{"by policy", "strict", "", true},
		{"token's origins, strict by policy", "both", st.rules.token(t, "both", mine), true},
		{"not strict", "private", st.rules.token(t, "private", mine), false},
	} {
		list := st.tuneWith(tt.id, tt.token, "Origin", site)
		for _, path := range append(st.uris(list, "Origin", site), list) {
			for _, c := range []struct{ origin, fetch, code, allows string }{
				{site, "cross-site", "", site},
				{"https://x.example", "cross-site", "disallowed_origin", ""},
				{"", "", "missing_origin", ""},
				{"", "same-origin", "", ""},
				{"", "none", "missing_origin", ""},
			} {
				var header []string
				if c.origin != "" {
					header = append(header, "Origin", c.origin)
				}
				if c.fetch != "" {
					header = append(header, "Sec-Fetch-Site", c.fetch)
				}
				if !tt.strict {
					c.code, c.allows = "", "*"
				}
				res := st.get(path, header...)
				varies := strings.Contains(strings.Join(res.Header["Vary"], ","), "Origin")
				if code := said(t, res); code != c.code || res.Header.Get("Access-Control-Allow-Origin") != c.allows || varies != tt.strict {
					t.Errorf("%s: %.12s…%s of %+v: %q %v", tt.name, path, path[len(path)-12:], c, code, res.Header)
				}
				if path == list && c.code == "" && !strings.Contains(strings.Join(res.Header["Vary"], ","), "Accept-Encoding") {
					t.Errorf("%s: Vary %q", tt.name, res.Header["Vary"])
				}
				if res := st.do("OPTIONS", path, header...); c.origin != "" && (res.StatusCode == 204) != (c.code == "") {
					t.Errorf("%s: preflight of %+v: %s", tt.name, c, res.Status)
				}
			}
		}
	}
}

// Revocation ends sessions within two seconds, whatever they are doing; what a
// session began with may go away without ending it.
func TestRevocation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStation(t)
		v := st.channel("private", 5, private)
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { st.gate.Run(ctx) })
		defer running.Wait()
		defer cancel()

		watch := func(viewer string, version int) (string, []string) {
			list := st.tuneWith("private", st.rules.token(t, "private", fmt.Sprintf(`"aws:viewer-id":%q,"aws:viewer-session-version":%d`, viewer, version)))
			return list, append(st.uris(list), list)
		}
		_, eve := watch("eve", 3)
		_, newer := watch("eve", 4)
		list, alice := watch("alice", 0)
		check := func(when string, paths []string, want string) {
			t.Helper()
			for _, path := range paths {
				if got := said(t, st.get(path)); got != want {
					t.Errorf("%s: %s: %q, want %q", when, path[len(path)-20:], got, want)
				}
			}
		}
		check("before", eve, "")

		// A reload and a part that are being waited for bring nothing any more.
		next := int64(946684800000 + 5)
		var waiting sync.WaitGroup
		for _, path := range []string{
			strings.Replace(eve[len(eve)-1], "playlist.m3u8", fmt.Sprintf("playlist.m3u8?_HLS_msn=%d&_HLS_part=0", next), 1),
			strings.Replace(eve[len(eve)-1], "playlist.m3u8", fmt.Sprintf("%d.0.m4s", next), 1),
		} {
			waiting.Go(func() {
				if got := said(t, st.get(path)); got != "revoked_viewer_session" {
					t.Errorf("waited for %s: %q", path[len(path)-30:], got)
				}
			})
		}
		time.Sleep(time.Second / 4)
		st.rules.revoke("private", "eve", 3)
		time.Sleep(2 * time.Second)
		st.part(v, true, false)
		waiting.Wait()
		check("revoked", eve, "revoked_viewer_session")
		check("of a later version", newer, "")
		check("another viewer", alice, "")
		for version, want := range map[int]string{3: "revoked_viewer_session", 4: ""} {
			token := st.rules.token(t, "private", fmt.Sprintf(`"aws:viewer-id":"eve","aws:viewer-session-version":%d`, version))
			if got := said(t, st.get(playback.Path(place, "private")+"?token="+token)); got != want {
				t.Errorf("token of version %d: %q, want %q", version, got, want)
			}
		}

		// The key pair goes: sessions go on, and none begins.
		token := st.rules.token(t, "private", "")
		st.rules.change(func() { st.rules.pairs = nil })
		time.Sleep(2 * time.Second)
		check("key pair deleted", alice, "")
		if got := said(t, st.get(playback.Path(place, "private")+"?token="+token)); got != "unknown_playback_key_pair" {
			t.Errorf("key pair deleted: %q", got)
		}
		// A database that fails changes nothing.
		st.rules.change(func() { st.rules.fails = errors.New("disk I/O error") })
		st.rules.revoke("private", "alice", 0)
		time.Sleep(2 * time.Second)
		check("database fails", []string{list}, "")
		st.rules.change(func() { st.rules.fails = nil })
		time.Sleep(2 * time.Second)
		check("database is back", []string{list}, "revoked_viewer_session")
	})
}

// A channel is restricted, or opened, while sessions of before go on.
func TestChannelChanges(t *testing.T) {
	st := newStation(t)
	st.channel("abc", 5, nil)
	first := st.policy(resource.PlaybackRestrictionPolicy{})
	second := st.policy(resource.PlaybackRestrictionPolicy{})
	public := st.tune("abc")
	token := st.rules.token(t, "abc", "")
	steps := []struct {
		name   string
		change func(*resource.Channel)
		good   int // of the sessions begun so far, the newest that go on
	}{
		{"private", private, 0},
		{"and a policy", first, 0},
		{"another policy", second, 0},
		{"no policy", func(ch *resource.Channel) { ch.PlaybackRestrictionPolicyARN = "" }, 3},
		{"open", func(ch *resource.Channel) { ch.Authorized = false }, 5},
		{"a policy alone", first, 1},
	}
	sessions := []string{public}
	for i, step := range steps {
		before := st.uris(sessions[len(sessions)-1])[1]
		st.change("abc", step.change)
		good := 0
		for _, list := range sessions {
			switch got := said(t, st.get(list)); got {
			case "":
				good++
				for _, path := range st.uris(list) {
					if res := st.get(path); res.StatusCode != 200 {
						t.Errorf("%s: %s: %s", step.name, path, res.Status)
					}
				}
			case "outdated_playback_session":
			default:
				t.Errorf("%s: %q", step.name, got)
			}
		}
		if good != step.good {
			t.Errorf("%s: %d of %d sessions go on, want %d", step.name, good, i+1, step.good)
		}
		if res := st.get(before); step.name == "private" && said(t, res) != "transcode_does_not_exist" {
			t.Errorf("%s: %s is still there", step.name, before)
		} else if step.name == "open" && res.StatusCode != 200 {
			t.Errorf("%s: %s: %s, and players still ask for it", step.name, before, res.Status)
		}
		sessions = append(sessions, st.tuneWith("abc", token))
	}
}

// A token's maximum resolution leaves out what is above it, by whatever path.
func TestMaximumResolution(t *testing.T) {
	st := newStation(t)
	small, large := "6742c01eda0280bfe5c044000003000400000300f03c58ba80", "67640028acd940780227e5c05a808080a0000003002000000781e30632c0" // 640x360, 1920x1080
	for _, tt := range []struct {
		sps, maximum string
		code         string
	}{
		{small, "SD", ""},
		{large, "FULL_HD", ""},
		{large, "HD", "disallowed_resolution"},
		{large, "SD", "disallowed_resolution"},
	} {
		st.sps = small
		v := st.channel("private", 0, private)
		st.part(v, true, true)
		token := st.rules.token(t, "private", `"aws:maximum-resolution":"`+tt.maximum+`"`)
		list := st.tuneWith("private", token)
		paths := append(st.uris(list), list)
		st.sps = tt.sps
		st.part(v, true, true)
		if got := said(t, st.get(playback.Path(place, "private")+"?token="+token)); got != tt.code {
			t.Errorf("%s: %q, want %q", tt.maximum, got, tt.code)
		}
		for _, path := range paths {
			if got := said(t, st.get(path)); got != tt.code {
				t.Errorf("%s: a session of before: %q, want %q", tt.maximum, got, tt.code)
			}
		}
	}
}

// A single-use token that could not be used up begins nothing.
func TestUseOnceFails(t *testing.T) {
	st := newStation(t)
	st.channel("private", 3, private)
	st.rules.change(func() { st.rules.fails = errors.New("disk I/O error") })
	token := st.rules.token(t, "private", `"aws:single-use-uuid":"0e5b7a5c-9d1f-4c7b-8b9e-0f1a2b3c4d5e"`)
	if got := said(t, st.get(playback.Path(place, "private")+"?token="+token)); got != "service_unavailable" {
		t.Errorf("%q", got)
	}
}

// A file of countries is taken over when it has changed, unless it is broken.
func TestCountriesChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "countries.mmdb")
		if _, err := playback.OpenCountries(file, slog.New(slog.DiscardHandler)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("no file: %v", err)
		}
		writeCountries(t, file, map[string]string{"81.2.69.0/24": "GB"})
		c, err := playback.OpenCountries(file, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { c.Run(ctx) })
		defer running.Wait()
		defer cancel()
		is := func(want string) {
			t.Helper()
			time.Sleep(6 * time.Second)
			if got := c.Of(netip.MustParseAddr("81.2.69.7")); got != want {
				t.Errorf("%q, want %q", got, want)
			}
		}
		is("GB")
		if err := os.WriteFile(file, []byte("broken"), 0o600); err != nil {
			t.Fatal(err)
		}
		is("GB")
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		is("GB")
		writeCountries(t, file, map[string]string{"81.2.69.0/24": "IE", "1.0.0.0/8": "AU"})
		is("IE")
	})
}
