package playback_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"net/netip"
	"os"
	"testing"
)

// publicPEM is the public half of a key as it is imported.
func publicPEM(t testing.TB, key *ecdsa.PrivateKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// writeCountries writes a file in the MaxMind DB format 2.0 that tells the
// country of IPv4 networks: a search tree of 24-bit records, the data, and the
// metadata behind a marker.
func writeCountries(t testing.TB, path string, networks map[string]string) {
	t.Helper()
	type node [2]int // of each bit: a node, ^offset of data, or 0 for nothing
	nodes := []node{{}}
	var data bytes.Buffer
	for network, country := range networks {
		p := netip.MustParsePrefix(network)
		addr, at := p.Addr().As4(), 0
		for i := range p.Bits() {
			bit := addr[i/8] >> (7 - i%8) & 1
			if i == p.Bits()-1 {
				nodes[at][bit] = ^data.Len()
				break
			}
			if nodes[at][bit] == 0 {
				nodes = append(nodes, node{})
				nodes[at][bit] = len(nodes) - 1
			}
			at = nodes[at][bit]
		}
		data.Write(mmdbMap("country", mmdbMap("iso_code", mmdbString(country))))
	}
	var file bytes.Buffer
	for _, n := range nodes {
		for _, record := range n {
			switch {
			case record == 0:
				record = len(nodes)
			case record < 0:
				record = len(nodes) + 16 + ^record
			}
			file.Write([]byte{byte(record >> 16), byte(record >> 8), byte(record)})
		}
	}
	file.Write(make([]byte, 16))
	file.Write(data.Bytes())
	file.WriteString("\xab\xcd\xefMaxMind.com")
	file.Write(mmdbMap(
		"binary_format_major_version", mmdbUint(5, 2), "binary_format_minor_version", mmdbUint(5, 0),
		"build_epoch", []byte{4, 2, 1, 0, 0, 0}, "database_type", mmdbString("Test-Country"),
		"description", mmdbMap(), "ip_version", mmdbUint(5, 4), "languages", []byte{0, 4},
		"node_count", mmdbUint(6, len(nodes)), "record_size", mmdbUint(5, 24),
	))
	if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// mmdbMap encodes pairs of a name and an encoded value.
func mmdbMap(pairs ...any) []byte {
	b := []byte{byte(7<<5 | len(pairs)/2)}
	for i := 0; i < len(pairs); i += 2 {
		b = append(append(b, mmdbString(pairs[i].(string))...), pairs[i+1].([]byte)...)
	}
	return b
}

func mmdbString(s string) []byte {
	if len(s) >= 29 {
		panic("too long to be encoded in one byte")
	}
	return append([]byte{byte(2<<5 | len(s))}, s...)
}

// mmdbUint encodes a number as one of the types of fixed width.
func mmdbUint(kind byte, n int) []byte { return []byte{kind<<5 | 2, byte(n >> 8), byte(n)} }
