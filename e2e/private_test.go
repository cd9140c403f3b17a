package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ivs"
)

func private(in *ivs.CreateChannelInput) { in.Authorized = true }

// Nothing of a private channel is readable without authority, whatever is asked
// for and however. A row of the matrix is a request, made for each of the
// channel's files.
func TestNothingWithoutAuthority(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	keys := s.importKeyPair()
	secret, other, open := s.newChannel(private), s.newChannel(private), s.newChannel()
	for _, c := range []*channel{secret, other, open} {
		publish(t, c.rtmp(), smallPicture())
	}
	open.waitPlayable()
	var list string
	for _, c := range []*channel{secret, other} {
		eventually(t, 20*time.Second, "a private channel can be played", func() error {
			if a := s.ask("GET", c.master(keys.token(c, nil))); a.status != 200 {
				return fmt.Errorf("%d %s", a.status, a.body)
			}
			return nil
		})
	}
	token := keys.token(secret, nil)
	eventually(t, 20*time.Second, "there is a segment with parts", func() error {
		list = secret.tune(token)
		if a := s.ask("GET", list); strings.Count(a.body, "#EXT-X-PART:") < 4 {
			return fmt.Errorf("%s", a.body)
		}
		return nil
	})
	session := strings.Split(list, "/")[2]
	others := strings.Split(other.tune(keys.token(other, nil)), "/")[2]
	opens := strings.Split(open.tune(""), "/")[2]
	id, openID := secret.id(), open.id()
	files := append(secret.media(list), list)
	for _, path := range files {
		if a := s.ask("GET", path); a.status != 200 || !strings.HasPrefix(a.header.Get("Cache-Control"), "private") || len(a.body) < 100 {
			t.Fatalf("with authority: %s: %d %v", path, a.status, a.header)
		}
		if a := s.ask("HEAD", path); a.status != 200 || a.body != "" {
			t.Errorf("with authority: HEAD %s: %d", path, a.status)
		}
	}

	changed := []byte(session)
	changed[len(changed)/2] ^= 1
	escaped := fmt.Sprintf("%%%02x", id[0]) + id[1:]
	rows := 0
	for _, path := range files {
		name := path[strings.LastIndex(path, "/")+1:]
		for _, row := range []struct{ what, target string }{
			{"where open media is", "/live/" + id + "/" + name},
			{"the same with the token", "/live/" + id + "/" + name + "?token=" + token},
			{"the same with the session", "/live/" + id + "/" + name + "?session=" + session},
			{"escaped letter", "/live/" + escaped + "/" + name},
			{"escaped slash", "/live/" + id + "%2f" + name},
			{"two slashes", "/live//" + id + "/" + name},
			{"slashes everywhere", "//live//" + id + "//" + name},
			{"upper case", "/LIVE/" + id + "/" + name},
			{"other case of the channel", "/live/" + strings.ToLower(id) + "/" + name},
			{"dot", "/live/./" + id + "/./" + name},
			{"by way of an open channel", "/live/" + openID + "/../" + id + "/" + name},
			{"the same, escaped", "/live/" + openID + "/%2e%2e/" + id + "/" + name},
			{"the same, all escaped", "/live/" + openID + "/..%2f" + id + "%2f" + name},
			{"the same, escaped twice", "/live/" + openID + "/%252e%252e%252f" + id + "%252f" + name},
			{"backslash", "/live/" + openID + "/..\\" + id + "\\" + name},
			{"null byte", "/live/" + id + "%00/" + name},
			{"semicolon", "/live/" + id + ";x/" + name},
			{"absolute form", "http://localhost/live/" + id + "/" + name},
			{"behind the name", "/live/" + id + "/" + name + "/"},
			{"session of another private channel", "/v/" + others + "/" + id + "/" + name},
			{"session of an open channel", "/v/" + opens + "/" + id + "/" + name},
			{"from there by dots", "/v/" + opens + "/" + openID + "/../" + id + "/" + name},
			{"from there by escaped dots", "/v/" + opens + "/" + openID + "/..%2f" + id + "%2f" + name},
			{"channel beside the session", "/v/" + opens + "%2f" + id + "/" + openID + "/" + name},
			{"session of another, escaped", "/v/" + others + "/" + escaped + "/" + name},
			{"session for another channel", "/v/" + session + "/" + other.id() + "/" + name},
			{"no session", "/v//" + id + "/" + name},
			{"a guess", "/v/session/" + id + "/" + name},
			{"the token for a session", "/v/" + token + "/" + id + "/" + name},
			{"a bit changed", "/v/" + string(changed) + "/" + id + "/" + name},
			{"longer", "/v/" + session + "A/" + id + "/" + name},
			{"shorter", "/v/" + session[:len(session)-1] + "/" + id + "/" + name},
			{"padded", "/v/" + session + "=/" + id + "/" + name},
			{"in upper case", "/v/" + strings.ToUpper(session) + "/" + id + "/" + name},
			{"twice", "/v/" + others + session + "/" + id + "/" + name},
			{"with a line break", "/v/" + session + "%0a/" + id + "/" + name},
			{"outside", "/" + id + "/" + name},
			{"as an asset", "/assets/" + id + "/" + name},
			{"as an asset, out of the folder", "/assets/..%2f..%2flive/" + id + "/" + name},
			{"of the watch page", "/watch/" + id + "/" + name},
			{"multivariant", secret.master("")},
			{"multivariant, empty token", secret.master("") + "?token="},
			{"multivariant, token of another", secret.master(keys.token(other, nil))},
			{"multivariant, token with another name", secret.master("") + "?Token=" + token},
			{"multivariant, older form", strings.Replace(secret.master(""), "/v1/", "/v1/aws.ivs.", 1)},
			{"multivariant, escaped", strings.Replace(secret.master(""), id, escaped, 1)},
			{"multivariant, two slashes", strings.Replace(secret.master(""), "/v1/", "//v1//", 1)},
			{"the watch page", "/watch/" + id},
		} {
			for _, req := range []struct {
				method string
				header string
			}{
				{"GET", ""}, {"HEAD", ""}, {"GET", "Range: bytes=0-99"}, {"POST", "X-HTTP-Method-Override: GET"}, {"OPTIONS", "Origin: https://x.example"},
				{"GET", "X-Original-URL: " + path}, {"GET", "Sec-Fetch-Site: same-origin"}, {"GET", "Authorization: Bearer " + token},
				{"GET", "If-None-Match: *"}, {"GET", "Cookie: token=" + token},
			} {
				rows++
				var header []string
				if req.header != "" {
					header = []string{req.header}
				}
				a := s.ask(req.method, row.target, header...)
				ok := a.status >= 400 || a.status == 204 && req.method == "OPTIONS" || row.what == "the watch page"
				for _, sign := range []string{"#EXTM3U", "moof", "moov", "mdat"} {
					ok = ok && !strings.Contains(a.body, sign)
				}
				if !ok {
					t.Errorf("%s (%s %s %q): %d %.60q", row.what, req.method, row.target, req.header, a.status, a.body)
				}
			}
		}
		if a := s.ask("GET", path); a.status != 200 {
			t.Errorf("%s: %d: gone before all was asked for it", path, a.status)
		}
	}
	t.Logf("%d requests without authority, all refused", rows)
}

// Each sort of refusal has a code of its own, and a session goes on without
// what it began with.
func TestPrivateChannel(t *testing.T) {
	t.Parallel()
	s := startServer(t, "--geo-db", "testdata/countries.mmdb", "--trusted-proxies", "127.0.0.0/8,::1")
	api, ctx := s.ivs(), t.Context()
	keys, gone := s.importKeyPair(), s.importKeyPair()
	policy, err := api.CreatePlaybackRestrictionPolicy(ctx, &ivs.CreatePlaybackRestrictionPolicyInput{
		AllowedCountries: []string{"GB"}, AllowedOrigins: []string{"https://*.a.example"}, EnableStrictOriginEnforcement: aws.Bool(true),
	})
	if err != nil {
		t.Fatal(err)
	}
	c := s.newChannel(private)
	site := s.newChannel(func(in *ivs.CreateChannelInput) {
		in.PlaybackRestrictionPolicyArn = policy.PlaybackRestrictionPolicy.Arn
	})
	publish(t, c.rtmp(), smallPicture())
	publish(t, site.rtmp(), smallPicture())
	const british, swedish, page = "X-Forwarded-For: 81.2.69.9", "X-Forwarded-For: 89.160.20.9", "Origin: https://x.a.example"
	refused := func(when, want, path string, header ...string) {
		t.Helper()
		if a := s.ask("GET", path, header...); a.code() != want || want[0] > '9' && a.status != 403 {
			t.Errorf("%s: %d %s, want %s", when, a.status, a.body, want)
		}
	}
	for c, header := range map[*channel]string{c: british, site: page} {
		eventually(t, 20*time.Second, "the channels can be played", func() error {
			if a := s.ask("GET", c.master(keys.token(c, nil)), header); a.status != 200 {
				return fmt.Errorf("%d %s", a.status, a.body)
			}
			return nil
		})
	}

	refused("no token", "invalid_playback_auth_token", c.master(""))
	refused("no JWT", "invalid_playback_auth_token", c.master("x.y"))
	refused("expired", "expired_playback_auth_token", c.master(keys.token(c, claims{"exp": time.Now().Unix() - 1})))
	refused("early", "early_playback_auth_token", c.master(keys.token(c, claims{"nbf": time.Now().Unix() + 120})))
	refused("another channel", "playback_auth_token_mismatch", c.master(keys.token(site, nil)))
	once := claims{"aws:single-use-uuid": "0e5b7a5c-9d1f-4c7b-8b9e-0f1a2b3c4d5e"}
	if a := s.ask("HEAD", c.master(keys.token(c, once))); a.status != 200 {
		t.Errorf("HEAD: %d", a.status)
	}
	usedList := c.tune(keys.token(c, once))
	refused("used", "used_playback_auth_token", c.master(keys.token(c, once)))
	strict := claims{"aws:access-control-allow-origin": "https://b.example", "aws:strict-origin-enforcement": true}
	list := c.tune(keys.token(c, strict), "Origin: https://b.example")
	for _, path := range append(c.media(list, "Origin: https://b.example"), list) {
		refused("strict, no origin", "missing_origin", path)
		refused("strict, another origin", "disallowed_origin", path, "Origin: https://c.example")
		refused("strict, page of the server", "200", path, "Sec-Fetch-Site: same-origin")
		if a := s.ask("GET", path, "Origin: https://b.example"); a.header.Get("Access-Control-Allow-Origin") != "https://b.example" {
			t.Errorf("%s: %v", path, a.header)
		}
	}

	// The picture is of 180 lines, so everything is small enough; there is
	// nothing that the filter could leave out.
	c.tune(keys.token(c, claims{"aws:maximum-resolution": "SD"}))

	refused("country", "disallowed_country", site.master(""), page, swedish)
	refused("origin", "disallowed_origin", site.master(""), "Origin: https://a.example")
	list = site.tune("", page, british)
	for _, path := range append(site.media(list, page), list) {
		refused("strict policy", "missing_origin", path)
		refused("strict policy, its origin", "200", path, page)
	}

	// The key pair goes, its sessions stay.
	byGone := c.tune(gone.token(c, nil))
	if _, err := api.DeletePlaybackKeyPair(ctx, &ivs.DeletePlaybackKeyPairInput{Arn: aws.String(gone.arn)}); err != nil {
		t.Fatal(err)
	}
	refused("key deleted", "unknown_playback_key_pair", c.master(gone.token(c, nil)))
	refused("session of a deleted key", "200", byGone)

	// A policy that is changed counts at once.
	if _, err := api.UpdatePlaybackRestrictionPolicy(ctx, &ivs.UpdatePlaybackRestrictionPolicyInput{
		Arn: policy.PlaybackRestrictionPolicy.Arn, AllowedCountries: []string{"SE"},
	}); err != nil {
		t.Fatal(err)
	}
	refused("country allowed now", "200", site.master(""), page, swedish)
	refused("country not allowed any more", "disallowed_country", site.master(""), page, british)

	// Revocation.
	viewer := func(version int) claims { return claims{"aws:viewer-id": "eve", "aws:viewer-session-version": version} }
	eve, later := c.tune(keys.token(c, viewer(1))), c.tune(keys.token(c, viewer(2)))
	paths := append(c.media(eve), eve)
	if _, err := api.StartViewerSessionRevocation(ctx, &ivs.StartViewerSessionRevocationInput{
		ChannelArn: c.Arn, ViewerId: aws.String("eve"), ViewerSessionVersionsLessThanOrEqualTo: 1,
	}); err != nil {
		t.Fatal(err)
	}
	eventually(t, 2*time.Second, "the session ends", func() error {
		for _, path := range paths {
			if a := s.ask("GET", path); a.code() != "revoked_viewer_session" {
				return fmt.Errorf("%s: %d", path, a.status)
			}
		}
		return nil
	})
	refused("later version", "200", later)
	refused("revoked token", "revoked_viewer_session", c.master(keys.token(c, viewer(1))))

	// A start later all of it holds.
	s.kill()
	s.start()
	publish(t, c.rtmp(), smallPicture())
	c.waitLive()
	refused("revoked, after a kill", "revoked_viewer_session", eve)
	refused("revoked token, after a kill", "revoked_viewer_session", c.master(keys.token(c, viewer(0))))
	refused("used, after a kill", "used_playback_auth_token", c.master(keys.token(c, once)))
	refused("deleted, after a kill", "unknown_playback_key_pair", c.master(gone.token(c, nil)))
	refused("session, after a kill", "200", usedList)
	if log := string(s.logTail(1 << 20)); strings.Contains(log, "eyJ") || strings.Contains(log, strings.Split(eve, "/")[2][:40]) {
		t.Error("a token is in the log")
	}
}

// A channel that is made private while its broadcaster is away goes on, for
// those who have a token.
func TestMadePrivateInTheGap(t *testing.T) {
	t.Parallel()
	s := startServer(t, "--live-grace", "60s")
	keys := s.importKeyPair()
	c := s.newChannel()
	p := publish(t, c.rtmp(), smallPicture())
	c.waitPlayable()
	p.waitSent(4 * time.Second)
	list := c.tune("")
	media := c.media(list)
	p.kill()
	c.waitOffline()
	if _, err := s.ivs().UpdateChannel(t.Context(), &ivs.UpdateChannelInput{Arn: c.Arn, Authorized: true}); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		c.master(""): "invalid_playback_auth_token", list: "outdated_playback_session", media[1]: "transcode_does_not_exist",
	} {
		if a := s.ask("GET", path); a.code() != want {
			t.Errorf("%s: %d %s, want %s", path, a.status, a.body, want)
		}
	}
	private := c.tune(keys.token(c, nil))
	for _, path := range c.media(private) {
		if a := s.ask("GET", path); a.status != 200 || !strings.HasPrefix(path, "/v/") {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
}

// The watch page passes its token on, and tells who may not watch why.
func TestPrivateWatchPage(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	keys := s.importKeyPair()
	c := s.newChannel(private)
	b := startChromium(t)
	once := keys.token(c, claims{"aws:single-use-uuid": "0e5b7a5c-9d1f-4c7b-8b9e-0f1a2b3c4d5e", "aws:viewer-id": "eve",
		"aws:access-control-allow-origin": "https://a.example", "aws:strict-origin-enforcement": true})
	// It waits for the channel without using the token up.
	good, bad := b.open(c.watchURL()+"?token="+once), b.open(c.watchURL())
	state := func(tab *tab, want string, limit time.Duration) {
		t.Helper()
		eventually(t, limit, "the page is "+want, func() error {
			if now := tab.look(); now.State != want {
				return fmt.Errorf("it is %s", now.State)
			}
			return nil
		})
	}
	eventually(t, 15*time.Second, "both pages have asked twice", func() error {
		if n := s.metric(`anabranch_playback_requests_total{kind="multivariant"`); n < 4 {
			return fmt.Errorf("there were %v requests", n)
		}
		return nil
	})
	publish(t, c.rtmp(), smallPicture())
	good.waitPlaying(30*time.Second, 1)
	good.picture("token")
	state(bad, "refused", 15*time.Second)
	bad.picture("no token")
	again := b.open(c.watchURL() + "?token=" + once)
	state(again, "refused", 15*time.Second)
	again.picture("used token")
	if _, err := s.ivs().StartViewerSessionRevocation(t.Context(), &ivs.StartViewerSessionRevocationInput{
		ChannelArn: c.Arn, ViewerId: aws.String("eve"),
	}); err != nil {
		t.Fatal(err)
	}
	state(good, "refused", 10*time.Second)
	good.picture("revoked")
}

// In a browser, pages of an origin that is allowed play, and others do not, under
// strict enforcement.
func TestOriginsInABrowser(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	allowed, other := elsewhere(t), elsewhere(t)
	policy, err := s.ivs().CreatePlaybackRestrictionPolicy(t.Context(), &ivs.CreatePlaybackRestrictionPolicyInput{
		AllowedOrigins: []string{allowed}, EnableStrictOriginEnforcement: aws.Bool(true),
	})
	if err != nil {
		t.Fatal(err)
	}
	c := s.newChannel(func(in *ivs.CreateChannelInput) {
		in.PlaybackRestrictionPolicyArn = policy.PlaybackRestrictionPolicy.Arn
	})
	publish(t, c.rtmp(), smallPicture())
	eventually(t, 20*time.Second, "the channel can be played", func() error {
		if a := s.ask("GET", c.master(""), "Origin: "+allowed); a.status != 200 {
			return fmt.Errorf("%d %s", a.status, a.body)
		}
		return nil
	})
	b := startChromium(t)
	refused := b.open(plainHls.page(c, other))
	b.open(plainHls.page(c, allowed)).waitPlaying(30*time.Second, 1)
	if now := refused.look(); now.Time > 0 || now.Width > 0 {
		t.Errorf("a page of another origin plays: %+v", now)
	}
}
