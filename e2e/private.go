package e2e

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ivs"
	"github.com/golang-jwt/jwt/v5"
)

// keyPair signs playback tokens for a server's private channels.
type keyPair struct {
	t   testing.TB
	arn string
	key *ecdsa.PrivateKey
}

// claims of a playback token, beside those that every token has.
type claims map[string]any

// newSigningKey makes a key that tokens are signed with, and its public half in PEM.
func newSigningKey(t testing.TB) (key *ecdsa.PrivateKey, public string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return key, string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// publicKeyPEM is that of a new key.
func publicKeyPEM(t testing.TB) string {
	t.Helper()
	_, public := newSigningKey(t)
	return public
}

func (s *server) importKeyPair() *keyPair {
	s.t.Helper()
	key, public := newSigningKey(s.t)
	made, err := s.ivs().ImportPlaybackKeyPair(s.t.Context(), &ivs.ImportPlaybackKeyPairInput{
		PublicKeyMaterial: &public,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return &keyPair{t: s.t, arn: *made.KeyPair.Arn, key: key}
}

// token is one for a channel, good for five minutes unless more says otherwise.
func (k *keyPair) token(c *channel, more claims) string {
	k.t.Helper()
	all := jwt.MapClaims{"aws:channel-arn": *c.Arn, "exp": time.Now().Add(5 * time.Minute).Unix()}
	maps.Copy(all, more)
	token, err := jwt.NewWithClaims(jwt.SigningMethodES384, all).SignedString(k.key)
	if err != nil {
		k.t.Fatal(err)
	}
	return token
}

// master is the path of the multivariant playlist, with a token unless it is
// empty.
func (c *channel) master(token string) string {
	u, err := url.Parse(*c.PlaybackUrl)
	if err != nil {
		c.server.t.Fatal(err)
	}
	if token != "" {
		u.RawQuery = "token=" + token
	}
	return u.RequestURI()
}

// reply is an answer, read to its end.
type reply struct {
	status int
	header http.Header
	body   string
}

// code is the error_code of a refusal, or the status of any other answer.
func (a reply) code() string {
	var refusals []struct {
		Code string `json:"error_code"`
	}
	if err := json.Unmarshal([]byte(a.body), &refusals); err != nil || len(refusals) != 1 {
		return fmt.Sprint(a.status)
	}
	return refusals[0].Code
}

// ask makes a request as it is, byte by byte: nothing cleans the path. Header
// lines are "Name: value". It follows the redirects that the server makes of
// unclean paths.
func (s *server) ask(method, target string, header ...string) (a reply) {
	s.t.Helper()
	for range 4 {
		conn, err := net.Dial("tcp", s.at.HTTP)
		if err != nil {
			s.t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(15 * time.Second))
		fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s\r\n", method, target, s.at.HTTP, strings.Join(append(header, ""), "\r\n"))
		res, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
		if err != nil {
			s.t.Fatalf("%s %s: %v", method, target, err)
		}
		text, err := io.ReadAll(res.Body)
		if err != nil {
			s.t.Fatalf("%s %s: %v", method, target, err)
		}
		conn.Close()
		a = reply{res.StatusCode, res.Header, string(text)}
		if a.status/100 != 3 || a.header.Get("Location") == "" {
			return a
		}
		target = a.header.Get("Location")
	}
	return a
}

// tune follows a multivariant playlist, which must be there.
func (c *channel) tune(token string, header ...string) (list string) {
	c.server.t.Helper()
	master := c.master(token)
	a := c.server.ask("GET", master, header...)
	if a.status != http.StatusOK {
		c.server.t.Fatalf("multivariant playlist: %d %s", a.status, a.body)
	}
	lines := strings.Split(strings.TrimSpace(a.body), "\n")
	return c.follow(master, lines[len(lines)-1])
}

// media are the paths of an init section, a segment and a part that a playlist
// names.
func (c *channel) media(list string, header ...string) (paths []string) {
	c.server.t.Helper()
	a := c.server.ask("GET", list, header...)
	for _, what := range []string{`EXT-X-MAP:URI="(.*?)"`, `(?m)^([^#].*)$`, `EXT-X-PART:.*URI="(.*?)"`} {
		found := regexp.MustCompile(what).FindAllStringSubmatch(a.body, -1)
		if found == nil {
			c.server.t.Fatalf("no %s in %d\n%s", what, a.status, a.body)
		}
		paths = append(paths, c.follow(list, found[len(found)-1][1]))
	}
	return paths
}

// follow is the path that a URI leads to from another.
func (c *channel) follow(from, uri string) string {
	c.server.t.Helper()
	path, err := resolvePath(from, uri)
	if err != nil {
		c.server.t.Fatal(err)
	}
	return path
}
