package app

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// Config is every setting of the server. Each is a flag, an environment
// variable and a key of the YAML file: --http-addr, ANABRANCH_HTTP_ADDR and
// http-addr. A flag goes before the environment, that before the file, and
// that before the default.
type Config struct {
	File configFile `name:"config" placeholder:"FILE" help:"YAML file of settings."`

	DataDir string `name:"data-dir" default:"./data" help:"Folder of database, spool, embedded buckets and generated secrets."`

	HTTPAddr  string `name:"http-addr" default:":7080" help:"Address of control API, playback and web pages."`
	RTMPAddr  string `name:"rtmp-addr" default:":1935" help:"Address of RTMP."`
	RTMPSAddr string `name:"rtmps-addr" default:":7443" help:"Address of TLS: RTMPS and HTTPS on one port."`
	// The UDP port of WebRTC is all of its media's, and TCP of the same number is
	// for those whose network passes no UDP.
	WebRTCAddr  string   `name:"webrtc-addr" default:":7081" help:"Address of WebRTC: UDP, and TCP on the same number."`
	WebRTCHosts []string `name:"webrtc-hosts" placeholder:"HOST,..." help:"Host names and addresses at which WebRTC clients are told to reach the server, as behind NAT; those of the interfaces when not given."`
	S3Addr      string   `name:"s3-addr" default:"127.0.0.1:7082" help:"Address of the embedded S3 endpoint."`
	AdminAddr   string   `name:"admin-addr" default:"127.0.0.1:7089" help:"Address of /metrics, /healthz, /readyz and pprof."`

	PublicHost string `name:"public-host" default:"localhost" help:"Host name in the URLs that the API returns."`
	PublicURL  string `name:"public-url" placeholder:"URL" help:"Base of playback URLs, for use behind a proxy."`
	Region     string `name:"region" default:"us-east-1" help:"Region in ARNs."`
	AccountID  string `name:"account-id" default:"123456789012" help:"Account in ARNs."`

	Credentials string `name:"credentials" placeholder:"FILE" help:"Access keys in the AWS shared-credentials format, one in each section; read anew when it changes. One is made in the data folder when not given."`

	S3Endpoint       string `name:"s3-endpoint" placeholder:"URL" help:"S3 endpoint to record to, instead of the embedded one. Credentials come from the usual AWS variables."`
	S3Region         string `name:"s3-region" placeholder:"REGION" help:"Region of --s3-endpoint; AWS_REGION, else --region, when not given."`
	PublicRecordings bool   `name:"public-recordings" help:"Let anybody list and play the recordings in the embedded buckets."`
	SpoolMax         Size   `name:"spool-max" placeholder:"SIZE" help:"Bound of the media that waits for upload, such as 20GB; half of the free disk when not given."`

	TLSCert string `name:"tls-cert" placeholder:"FILE" help:"Certificate chain in PEM. Without one a self-signed certificate is made."`
	TLSKey  string `name:"tls-key" placeholder:"FILE" help:"Key of --tls-cert in PEM."`

	Limits Limits `name:"limits" placeholder:"LIMITS" help:"Quotas and rates that the API keeps, none when not given: aws for the documented ones of IVS, or single ones, or both, such as aws,channels=50,CreateChannel=20."`

	LiveGrace time.Duration `name:"live-grace" default:"15s" help:"How long at least a live playlist waits for a dropped broadcaster."`

	GeoDB          string   `name:"geo-db" placeholder:"FILE" help:"MaxMind DB file that tells countries, for playback restriction policies. Without one every viewer's country is unknown, and allowed."`
	TrustedProxies Networks `name:"trusted-proxies" placeholder:"CIDR,..." help:"Networks of the proxies whose X-Forwarded-For tells where a viewer is."`

	FFmpeg            string `name:"ffmpeg" default:"ffmpeg" help:"Program that transcodes, makes thumbnails, and the sound of participants' recordings: a path, or a name in $PATH."`
	TranscodeEncoder  string `name:"transcode-encoder" default:"libx264:veryfast" help:"H.264 encoder of ffmpeg, with a preset behind a colon: libx264:veryfast, h264_nvenc:p4, h264_vaapi and the like."`
	TranscodeCapacity int    `name:"transcode-capacity" default:"-1" placeholder:"STREAMS" help:"How many streams may be transcoded at once; 0: none, every channel delivers its source alone. As many as the processors can bear when not given."`
	TranscodeOverflow string `name:"transcode-overflow" enum:"source,refuse" default:"source" help:"What becomes of a stream that is one too many to transcode: source delivers it as it is, refuse ends it."`

	TURNURLs           []string `name:"turn-url" placeholder:"URL,..." help:"TURN servers that WebRTC clients are handed, such as turn:turn.example.com:3478?transport=udp."`
	TURNSecret         string   `name:"turn-secret" placeholder:"SECRET" help:"Secret shared with the TURN servers, from which a participant's credentials are made (coturn: use-auth-secret). Other users of the machine can see flags: ANABRANCH_TURN_SECRET is better."`
	StageMaxResolution string   `name:"stage-max-resolution" enum:"720p,1080p" default:"720p" help:"Largest picture that may be published to a stage: 720p or 1080p."`

	LogFormat string `name:"log-format" enum:"text,json" default:"text" help:"Format of the log: text or json."`
	LogLevel  string `name:"log-level" enum:"debug,info,warn,error" default:"info" help:"Least level that is logged: debug, info, warn or error."`

	// AccessKeyID and SecretAccessKey are what calls of the API are signed
	// with, beside those of Credentials. They come from
	// ANABRANCH_ACCESS_KEY_ID and ANABRANCH_SECRET_ACCESS_KEY alone, because
	// other users of the machine can see flags.
	AccessKeyID     string `kong:"-"`
	SecretAccessKey string `kong:"-"`
}

// Parse fills grammar, a pointer to a struct that embeds a [Config], from
// arguments, environment and file, and returns the command asked for. Help goes
// to the standard output and ends the process.
func Parse(grammar any, args []string) (*kong.Context, error) {
	parser, err := kong.New(grammar,
		kong.Name("anabranch"),
		kong.Description("A live-video server that speaks the API of Amazon IVS."),
		kong.PostBuild(nameVariables),
	)
	if err != nil {
		return nil, err
	}
	return parser.Parse(args)
}

// nameVariables gives every setting its environment variable.
func nameVariables(k *kong.Kong) error {
	for _, flag := range k.Model.Flags {
		if flag.Name != "help" {
			name := "ANABRANCH_" + strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_"))
			flag.Envs, flag.Tag.Envs = []string{name}, []string{name}
		}
	}
	return nil
}

// prepare makes paths absolute, reads the credentials' variables and checks
// every setting. Errors name the flag.
func (c *Config) prepare() error {
	for _, path := range []*string{&c.DataDir, &c.Credentials, &c.TLSCert, &c.TLSKey, &c.GeoDB} {
		if *path == "" {
			continue
		}
		abs, err := filepath.Abs(*path)
		if err != nil {
			return fmt.Errorf("make path %s absolute: %w", *path, err)
		}
		*path = abs
	}
	if c.AccessKeyID == "" && c.SecretAccessKey == "" {
		c.AccessKeyID = os.Getenv("ANABRANCH_ACCESS_KEY_ID")
		c.SecretAccessKey = os.Getenv("ANABRANCH_SECRET_ACCESS_KEY")
	}
	c.PublicURL = strings.TrimRight(c.PublicURL, "/")
	return c.validate()
}

var (
	hostPattern      = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$`)
	regionPattern    = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)
	accountPattern   = regexp.MustCompile(`^[0-9]{12}$`)
	accessKeyPattern = regexp.MustCompile(`^\w{3,128}$`)
	turnPattern      = regexp.MustCompile(`^turns?:(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?(\?transport=(udp|tcp))?$`) // RFC 7065 §3.1
	encoderPattern   = regexp.MustCompile(`^[a-z0-9_]{1,32}(:[A-Za-z0-9_-]{1,32})?$`)
)

// maxLiveGrace bounds --live-grace.
const maxLiveGrace = 24 * time.Hour

// maxTURNURLs keeps the Link header that tells of them short.
const maxTURNURLs = 8

func (c *Config) validate() error {
	for flag, addr := range map[string]string{
		"http-addr": c.HTTPAddr, "rtmp-addr": c.RTMPAddr, "rtmps-addr": c.RTMPSAddr,
		"webrtc-addr": c.WebRTCAddr, "s3-addr": c.S3Addr, "admin-addr": c.AdminAddr,
	} {
		if _, err := net.ResolveTCPAddr("tcp", addr); err != nil || addr == "" {
			return fmt.Errorf("--%s: %q is not an address such as :7080 or 127.0.0.1:0", flag, addr)
		}
	}
	for _, host := range c.WebRTCHosts {
		if ip := net.ParseIP(host); !isHost(host) || ip.IsUnspecified() || ip.IsMulticast() {
			return fmt.Errorf("--webrtc-hosts: %q is not a host name or address at which the server can be reached", host)
		}
	}
	for _, turn := range c.TURNURLs {
		if !turnPattern.MatchString(turn) {
			return fmt.Errorf("--turn-url: %q is not a URL such as turn:turn.example.com:3478?transport=udp", turn)
		}
	}
	switch {
	case len(c.TURNURLs) > maxTURNURLs:
		return fmt.Errorf("--turn-url: there are %d, and clients take %d at most", len(c.TURNURLs), maxTURNURLs)
	case (len(c.TURNURLs) == 0) != (c.TURNSecret == ""):
		return errors.New("--turn-url and --turn-secret: one needs the other")
	case c.DataDir == "":
		return errors.New("--data-dir: must not be empty")
	case !isHost(c.PublicHost):
		return fmt.Errorf("--public-host: %q is not a host name or IP address (no scheme, no port)", c.PublicHost)
	case c.PublicURL != "" && !isBaseURL(c.PublicURL):
		return fmt.Errorf("--public-url: %q is not an http or https URL such as https://live.example.com", c.PublicURL)
	case !regionPattern.MatchString(c.Region):
		return fmt.Errorf("--region: %q is not a region such as us-east-1", c.Region)
	case !accountPattern.MatchString(c.AccountID):
		return fmt.Errorf("--account-id: %q is not twelve digits", c.AccountID)
	case c.S3Endpoint != "" && !isBaseURL(c.S3Endpoint):
		return fmt.Errorf("--s3-endpoint: %q is not an http or https URL", c.S3Endpoint)
	case c.S3Region != "" && c.S3Endpoint == "":
		return errors.New("--s3-region: only with --s3-endpoint; the embedded endpoint has the region of --region")
	case c.S3Region != "" && !regionPattern.MatchString(c.S3Region):
		return fmt.Errorf("--s3-region: %q is not a region such as us-east-1", c.S3Region)
	case c.PublicRecordings && c.S3Endpoint != "":
		return errors.New("--public-recordings: only for the embedded S3 endpoint; give --s3-endpoint's bucket a policy instead")
	case (c.TLSCert == "") != (c.TLSKey == ""):
		return errors.New("--tls-cert and --tls-key: one needs the other")
	case c.LiveGrace < 0 || c.LiveGrace > maxLiveGrace:
		return fmt.Errorf("--live-grace: %v is not between 0s and %v", c.LiveGrace, maxLiveGrace)
	case c.TranscodeCapacity < -1:
		return fmt.Errorf("--transcode-capacity: %d is not a number of streams", c.TranscodeCapacity)
	case c.TranscodeCapacity != 0 && c.FFmpeg == "":
		return errors.New("--ffmpeg: must not be empty, unless --transcode-capacity is 0")
	case c.TranscodeCapacity != 0 && !encoderPattern.MatchString(c.TranscodeEncoder):
		return fmt.Errorf("--transcode-encoder: %q is not an encoder such as libx264:veryfast", c.TranscodeEncoder)
	case (c.AccessKeyID == "") != (c.SecretAccessKey == ""):
		return errors.New("ANABRANCH_ACCESS_KEY_ID and ANABRANCH_SECRET_ACCESS_KEY: one needs the other")
	case c.AccessKeyID != "" && !accessKeyPattern.MatchString(c.AccessKeyID):
		return errors.New("ANABRANCH_ACCESS_KEY_ID: must be 3 to 128 letters, digits and underscores")
	}
	return nil
}

// isHost says whether s is a host name or an IP address.
func isHost(s string) bool { return net.ParseIP(s) != nil || hostPattern.MatchString(s) }

// isBaseURL says whether paths can be put behind s.
func isBaseURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" &&
		u.User == nil && u.RawQuery == "" && u.Fragment == ""
}
