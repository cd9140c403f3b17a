package rtc

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/logging"
	"github.com/pion/srtp/v3"
	"github.com/pion/transport/v4/packetio"
)

// dtlsPipe is what DTLS has for a network: what comes for it on any of the session's
// paths, and the way to the client.
type dtlsPipe struct {
	session *Session

	mu      sync.Mutex // guards the rest
	buffer  *packetio.Buffer
	conn    *dtls.Conn
	through bool // the handshake is
}

// What may wait for a handshake to take it. Four flights of a client are less.
const (
	dtlsPackets = 32
	dtlsBytes   = 32 << 10
)

// silent keeps pion's own log off ours: what it has to say are clients' mistakes.
var silent = &logging.DefaultLoggerFactory{DefaultLogLevel: logging.LogLevelDisabled, Writer: io.Discard}

// startDTLS begins the handshake, once there is a way to the client.
func (s *Session) startDTLS() {
	s.startOnce.Do(func() {
		b := packetio.NewBuffer()
		b.SetLimitCount(dtlsPackets)
		b.SetLimitSize(dtlsBytes)
		s.dtls.mu.Lock()
		s.dtls.buffer = b
		s.dtls.mu.Unlock()
		s.started.Go(s.run)
	})
}

// run makes the handshake, and waits for the client to hang up.
func (s *Session) run() {
	conn, err := s.handshake()
	if err != nil {
		s.engine.log.Debug("DTLS handshake", "session", s.id, "err", err)
		s.Close(ErrNeverConnected)
		return
	}
	s.engine.connected(s)
	s.media.begin()
	close(s.connected)
	// There are no data channels: all that can come is close_notify.
	var b [64]byte
	for err == nil {
		_, err = conn.Read(b[:])
	}
	s.Close(ErrHungUp)
}

// handshake is the DTLS server's side (RFC 5764), and makes the keys of SRTP.
func (s *Session) handshake() (*dtls.Conn, error) {
	profiles := []dtls.SRTPProtectionProfile{
		dtls.SRTP_AEAD_AES_128_GCM, // a fifth of the others' work, where there is hardware for it
		dtls.SRTP_AES128_CM_HMAC_SHA1_80,
	}
	if s.repeats() {
		profiles = profiles[1:]
	}
	conn, err := dtls.ServerWithOptions(s.dtls, s.dtls.RemoteAddr(),
		dtls.WithCertificates(s.engine.certificate.cert),
		dtls.WithSRTPProtectionProfiles(profiles...),
		dtls.WithExtendedMasterSecret(dtls.RequestExtendedMasterSecret),
		dtls.WithInsecureSkipVerifyHello(true), // ICE has shown that the client is where it says
		dtls.WithClientAuth(dtls.RequireAnyClientCert),
		dtls.WithInsecureSkipVerify(true), // its fingerprint is what counts
		dtls.WithVerifyPeerCertificate(func(certs [][]byte, _ [][]*x509.Certificate) error {
			return matches(s.prints, certs)
		}),
		dtls.WithMTU(1200),
		dtls.WithLoggerFactory(silent),
	)
	if err != nil {
		return nil, err
	}
	s.dtls.mu.Lock()
	s.dtls.conn = conn
	s.dtls.mu.Unlock()
	ctx, cancel := context.WithTimeout(s.ctx, connectWithin)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	s.dtls.mu.Lock()
	s.dtls.through = true
	s.dtls.mu.Unlock()
	return conn, s.keys(conn)
}

// repeats tells whether packets may be encrypted twice: repairs without RTX are the
// same packets again, with perhaps other extensions. AES-GCM is broken by that.
func (s *Session) repeats() bool {
	for _, l := range s.plan.lanes {
		if l.nack && l.rtx == 0 {
			return true
		}
	}
	return false
}

// keys sets SRTP up.
func (s *Session) keys(conn *dtls.Conn) error {
	profile, ok := conn.SelectedSRTPProtectionProfile()
	state, done := conn.ConnectionState()
	if !ok || !done {
		return errors.New("the client offers no protection profile of SRTP that is known")
	}
	cfg := srtp.Config{Profile: srtp.ProtectionProfile(profile)}
	if err := cfg.ExtractSessionKeysFromDTLS(&state, false); err != nil {
		return err
	}
	in, err := srtp.CreateContext(cfg.Keys.RemoteMasterKey, cfg.Keys.RemoteMasterSalt, cfg.Profile,
		srtp.SRTPReplayProtection(1024), srtp.SRTCPReplayProtection(64))
	if err != nil {
		return err
	}
	out, err := srtp.CreateContext(cfg.Keys.LocalMasterKey, cfg.Keys.LocalMasterSalt, cfg.Profile)
	if err != nil {
		return err
	}
	s.out.start(out)
	s.in.start(in)
	return nil
}

// receive takes a packet for DTLS. One too many is lost: a handshake repeats it. When
// that is through, records in the clear are dropped: pion believes their alerts, and
// anybody can send those in the client's name.
func (p *dtlsPipe) receive(b []byte) {
	p.mu.Lock()
	buffer, through := p.buffer, p.through
	p.mu.Unlock()
	if through {
		b = encrypted(b)
	}
	if buffer != nil && len(b) > 0 {
		_, _ = buffer.Write(b)
	}
}

// encrypted leaves of a packet's records (RFC 6347 §4.1) those that are not of epoch 0.
func encrypted(b []byte) []byte {
	const head = 13
	kept := b[:0]
	for len(b) >= head {
		n := head + int(binary.BigEndian.Uint16(b[11:]))
		if n > len(b) {
			break
		}
		if b[3]|b[4] != 0 {
			kept = append(kept, b[:n]...)
		}
		b = b[n:]
	}
	return kept
}

// hangUp sends close_notify, and ends what run waits for.
func (p *dtlsPipe) hangUp() {
	p.mu.Lock()
	conn, buffer := p.conn, p.buffer
	p.mu.Unlock()
	if conn != nil {
		_ = conn.Close()
	}
	if buffer != nil {
		_ = buffer.Close()
	}
}

// ReadFrom, WriteTo and the rest make a net.PacketConn.
func (p *dtlsPipe) ReadFrom(b []byte) (int, net.Addr, error) {
	n, err := p.buffer.Read(b)
	return n, p.RemoteAddr(), err
}

// WriteTo sends to the client, wherever it is by now.
func (p *dtlsPipe) WriteTo(b []byte, _ net.Addr) (int, error) {
	if to := p.session.path.Load(); to != nil {
		p.session.engine.send(*to, b)
	}
	return len(b), nil
}

// Close ends reading.
func (p *dtlsPipe) Close() error { return p.buffer.Close() }

// LocalAddr is of no meaning.
func (p *dtlsPipe) LocalAddr() net.Addr { return &net.UDPAddr{} }

// RemoteAddr is the same wherever the client is: DTLS is to take it for one.
func (p *dtlsPipe) RemoteAddr() net.Addr { return &net.UDPAddr{} }

// SetDeadline sets that of reading: writing does not wait.
func (p *dtlsPipe) SetDeadline(t time.Time) error { return p.buffer.SetReadDeadline(t) }

// SetReadDeadline sets until when ReadFrom waits.
func (p *dtlsPipe) SetReadDeadline(t time.Time) error { return p.buffer.SetReadDeadline(t) }

// SetWriteDeadline does nothing: writing does not wait.
func (p *dtlsPipe) SetWriteDeadline(time.Time) error { return nil }

// certificate is the server's for DTLS, with its fingerprint in SDP's form.
type certificate struct {
	cert  tls.Certificate
	print string
}

// newCertificate makes one for the process. Clients compare its fingerprint and
// nothing else.
func newCertificate() (certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return certificate{}, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 64))
	if err != nil {
		return certificate{}, err
	}
	now := time.Now()
	template := x509.Certificate{
		SerialNumber: serial, NotBefore: now.Add(-24 * time.Hour), NotAfter: now.AddDate(10, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		return certificate{}, err
	}
	sum := sha256.Sum256(der)
	hexes := make([]string, len(sum))
	for i, b := range sum {
		hexes[i] = strings.ToUpper(hex.EncodeToString([]byte{b}))
	}
	return certificate{
		cert:  tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key},
		print: strings.Join(hexes, ":"),
	}, nil
}

// matches tells whether the client's certificate is one that its offer named.
func matches(prints []fingerprint, certs [][]byte) error {
	if len(certs) == 0 {
		return errors.New("the client has no certificate")
	}
	for _, p := range prints {
		var sum []byte
		switch p.hash {
		case "sha-256":
			h := sha256.Sum256(certs[0])
			sum = h[:]
		case "sha-384":
			h := sha512.Sum384(certs[0])
			sum = h[:]
		case "sha-512":
			h := sha512.Sum512(certs[0])
			sum = h[:]
		}
		if bytes.Equal(sum, p.sum) {
			return nil
		}
	}
	return fmt.Errorf("the client's certificate has none of the offer's %d fingerprints", len(prints))
}
