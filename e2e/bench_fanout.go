package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/webrtc/v4"
)

// fanout is what a stage is measured beside: the least that pion needs to send
// one publisher's packets to many, as its examples do, with its default
// interceptors, on one UDP port. It is a process of its own, the test's program
// once more, and it speaks WHIP.
type fanout struct {
	api *webrtc.API

	// mu guards the tracks of the one publisher, by kind.
	mu     sync.Mutex
	tracks map[string]*webrtc.TrackLocalStaticRTP
}

// fanoutFile names, to the process that is to be a fanout, where to write its
// address.
const fanoutFile = "ANABRANCH_E2E_FANOUT"

// startFanout starts the process. It ends with the test.
func startFanout(t testing.TB) *server {
	t.Helper()
	file := filepath.Join(t.TempDir(), "fanout.json")
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fanoutFile+"="+file)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	s := &server{t: t, cmd: cmd}
	eventually(t, 10*time.Second, "the fan-out listens", func() error {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		return json.Unmarshal(text, &s.at)
	})
	return s
}

// runFanout is the process.
func runFanout(file string) error {
	engine, around := &webrtc.MediaEngine{}, &interceptor.Registry{}
	if err := engine.RegisterDefaultCodecs(); err != nil {
		return err
	}
	if err := webrtc.RegisterDefaultInterceptors(engine, around); err != nil {
		return err
	}
	udp, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return err
	}
	for _, set := range []func(int) error{udp.SetReadBuffer, udp.SetWriteBuffer} {
		if err := set(4 << 20); err != nil {
			return err
		}
	}
	var settings webrtc.SettingEngine
	settings.SetLite(true)
	settings.SetIncludeLoopbackCandidate(true)
	settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	settings.SetICEUDPMux(webrtc.NewICEUDPMux(nil, udp))
	f := &fanout{
		api:    webrtc.NewAPI(webrtc.WithMediaEngine(engine), webrtc.WithInterceptorRegistry(around), webrtc.WithSettingEngine(settings)),
		tracks: make(map[string]*webrtc.TrackLocalStaticRTP),
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	text, err := json.Marshal(endpoints{HTTP: ln.Addr().String()})
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return err
	}
	return http.Serve(ln, f)
}

func (f *fanout) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	offer, err := io.ReadAll(r.Body)
	if err == nil {
		var answer string
		if answer, err = f.accept(string(offer), strings.Contains(r.URL.Path, "/subscribe/")); err == nil {
			w.Header().Set("Content-Type", sdpType)
			w.Header().Set("Location", "/whip/session/"+strconv.FormatInt(time.Now().UnixNano(), 36))
			w.WriteHeader(http.StatusCreated)
			io.WriteString(w, answer)
			return
		}
	}
	http.Error(w, err.Error(), http.StatusBadRequest)
}

func (f *fanout) accept(offer string, subscribes bool) (answer string, err error) {
	pc, err := f.api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return "", err
	}
	if subscribes {
		f.mu.Lock()
		for _, track := range f.tracks {
			if _, err = pc.AddTrack(track); err != nil {
				break
			}
		}
		f.mu.Unlock()
		for _, sender := range pc.GetSenders() {
			go func() {
				for buf := make([]byte, 1500); ; {
					if _, _, err := sender.Read(buf); err != nil {
						return
					}
				}
			}()
		}
	}
	if err != nil {
		return "", err
	}
	pc.OnTrack(func(remote *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		local, err := webrtc.NewTrackLocalStaticRTP(remote.Codec().RTPCodecCapability, remote.Kind().String(), "stream")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return
		}
		f.mu.Lock()
		f.tracks[remote.Kind().String()] = local
		f.mu.Unlock()
		for buf := make([]byte, 1500); ; {
			n, _, err := remote.Read(buf)
			if err != nil {
				return
			}
			local.Write(buf[:n]) // fails where a subscriber has gone
		}
	})
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}); err != nil {
		return "", err
	}
	description, err := pc.CreateAnswer(nil)
	if err != nil {
		return "", err
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(description); err != nil {
		return "", err
	}
	<-gathered
	return pc.LocalDescription().SDP, nil
}
