package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"
)

// listeners are the sockets of a server. Each is owned by the part that
// accepts on it; close is for those whose part never began.
type listeners struct {
	http, rtmp, rtmps, s3, admin net.Listener // s3 is nil without the embedded endpoint

	// webrtcUDP and webrtcTCP have one number.
	webrtcUDP net.PacketConn
	webrtcTCP net.Listener
}

// listen binds every address of cfg.
func listen(cfg *Config) (l listeners, err error) {
	type socket struct {
		flag, addr string
		ln         *net.Listener
	}
	sockets := []socket{
		{"http-addr", cfg.HTTPAddr, &l.http},
		{"rtmp-addr", cfg.RTMPAddr, &l.rtmp},
		{"rtmps-addr", cfg.RTMPSAddr, &l.rtmps},
		{"admin-addr", cfg.AdminAddr, &l.admin},
	}
	if cfg.S3Endpoint == "" {
		sockets = append(sockets, socket{"s3-addr", cfg.S3Addr, &l.s3})
	}
	for _, s := range sockets {
		if *s.ln, err = net.Listen("tcp", s.addr); err != nil {
			l.close()
			return listeners{}, fmt.Errorf("--%s: %w", s.flag, err)
		}
	}
	if l.webrtcUDP, l.webrtcTCP, err = listenBoth(cfg.WebRTCAddr); err != nil {
		l.close()
		return listeners{}, fmt.Errorf("--webrtc-addr: %w", err)
	}
	return l, nil
}

// listenBoth binds UDP, and TCP on the same number. Where addr leaves the
// number open, one that is free in UDP may be taken in TCP: then another is
// tried.
func listenBoth(addr string) (net.PacketConn, net.Listener, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, nil, err
	}
	for tries := 10; ; tries-- {
		udp, err := net.ListenPacket("udp", addr)
		if err != nil {
			return nil, nil, err
		}
		number := strconv.Itoa(udp.LocalAddr().(*net.UDPAddr).Port)
		tcp, err := net.Listen("tcp", net.JoinHostPort(host, number))
		if err == nil {
			return udp, tcp, nil
		}
		udp.Close()
		if port == number || tries == 0 || !errors.Is(err, syscall.EADDRINUSE) {
			return nil, nil, err
		}
	}
}

func (l *listeners) close() {
	for _, ln := range []net.Listener{l.http, l.rtmp, l.rtmps, l.s3, l.admin, l.webrtcTCP} {
		if ln != nil {
			ln.Close()
		}
	}
	if l.webrtcUDP != nil {
		l.webrtcUDP.Close()
	}
}

// Endpoints are the addresses in use, as a client on this machine can dial
// them, and the region that it signs for. They are the content of
// endpoints.json.
type Endpoints struct {
	HTTP   string `json:"http"`
	RTMP   string `json:"rtmp"`
	RTMPS  string `json:"rtmps"`
	WebRTC string `json:"webrtc"` // UDP and TCP
	S3     string `json:"s3,omitempty"`
	Admin  string `json:"admin"`

	Region string `json:"region"`
}

// endpointsFile is there while the server is ready.
const endpointsFile = "endpoints.json"

func (l *listeners) endpoints() Endpoints {
	return Endpoints{
		HTTP: dialable(l.http), RTMP: dialable(l.rtmp), RTMPS: dialable(l.rtmps), WebRTC: dialable(l.webrtcTCP),
		S3: dialable(l.s3), Admin: dialable(l.admin),
	}
}

func (e Endpoints) json() []byte {
	content, err := json.Marshal(e)
	if err != nil {
		panic(err) // strings can be marshalled
	}
	return append(content, '\n')
}

// dialable is the address of ln, with the loopback address in place of a
// wildcard.
func dialable(ln net.Listener) string {
	if ln == nil {
		return ""
	}
	addr := ln.Addr().(*net.TCPAddr)
	host := addr.IP.String()
	if addr.IP.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, strconv.Itoa(addr.Port))
}

// publicURL is the base of the URLs that the API returns: as configured, else
// made of the public host and the port in use.
func publicURL(cfg *Config, e Endpoints) string {
	scheme, addr := "http", e.HTTP
	switch {
	case cfg.PublicURL != "":
		return cfg.PublicURL
	case cfg.TLSCert != "":
		scheme, addr = "https", e.RTMPS
	}
	_, port, _ := net.SplitHostPort(addr)
	return scheme + "://" + net.JoinHostPort(cfg.PublicHost, port)
}
