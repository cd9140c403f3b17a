package app

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"anabranch/internal/resource"
)

// keyring has the access keys that calls of the API and of the embedded S3
// endpoint are signed with: one from the environment, and those of a file in the
// AWS shared-credentials format, each section one. Who changes the file changes
// the keys of the running server.
type keyring struct {
	own  credentials // those to tell whoever runs the server, as of the start
	env  credentials // empty when there are none
	path string      // of the file; empty when there is none
	log  *slog.Logger

	// mu guards what follows.
	mu      sync.Mutex
	looked  time.Time // when the file was read last
	found   string    // what was wrong with it, or its content
	secrets map[string]string
}

// credentials are an access key and where it comes from.
type credentials struct {
	accessKeyID, secretAccessKey string
	// file and profile are where AWS clients find them; empty when they came
	// from the environment.
	file, profile string
}

const (
	// credentialsFile is in the data folder, and made on the first start when
	// nobody gave a key.
	credentialsFile = "credentials"
	// maxCredentials bounds such a file, in bytes.
	maxCredentials = 1 << 20
	// lookAgain is how often the file is read at most.
	lookAgain = time.Second
)

// openKeyring reads the keys of the settings, else those of the data folder.
func openKeyring(dir *dataDir, cfg *Config, log *slog.Logger) (*keyring, error) {
	k := &keyring{path: cfg.Credentials, log: log}
	if cfg.AccessKeyID != "" {
		k.env = credentials{accessKeyID: cfg.AccessKeyID, secretAccessKey: cfg.SecretAccessKey}
	} else if k.path == "" {
		k.path = dir.file(credentialsFile)
		if _, err := os.Lstat(k.path); errors.Is(err, fs.ErrNotExist) {
			if err := dir.write(credentialsFile, fmt.Appendf(nil, "[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n",
				"AB"+strings.ToUpper(resource.RandomID(18)), resource.RandomID(40))); err != nil {
				return nil, err
			}
		}
	}
	var err error
	if k.own, err = ownCredentials(k.env, k.path); err == nil {
		err = k.look()
	}
	if err != nil && cfg.Credentials != "" {
		err = fmt.Errorf("--credentials: %w", err)
	}
	return k, err
}

// ownCredentials are those of the environment, else a file's [default] section,
// else its first.
func ownCredentials(env credentials, path string) (credentials, error) {
	if env.accessKeyID != "" {
		return env, nil
	}
	content, err := readCredentials(path)
	if err != nil {
		return credentials{}, err
	}
	all, err := parseCredentials(path, content)
	if err != nil {
		return credentials{}, err
	}
	own := all[0]
	for _, c := range all {
		if c.profile == "default" {
			own = c
		}
	}
	return own, nil
}

// secret finds the secret of an access key.
func (k *keyring) secret(accessKeyID string) (secret string, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if time.Since(k.looked) >= lookAgain {
		if err := k.look(); err != nil {
			k.log.Error("access keys cannot be read anew; those known stay good", "error", err)
		}
	}
	secret, ok = k.secrets[accessKeyID]
	return secret, ok
}

// look reads the file and takes over what it has. It returns an error once,
// until the file changes; nothing changes then.
func (k *keyring) look() error {
	k.looked = time.Now()
	secrets := make(map[string]string)
	if k.path != "" {
		content, err := readCredentials(k.path)
		found := content
		if err != nil {
			found = err.Error()
		}
		if k.secrets != nil && found == k.found {
			return nil
		}
		k.found = found
		if err != nil {
			return err
		}
		all, err := parseCredentials(k.path, content)
		if err != nil {
			return err
		}
		for _, c := range all {
			secrets[c.accessKeyID] = c.secretAccessKey
		}
		if info, err := os.Stat(k.path); err == nil && info.Mode().Perm()&0o077 != 0 {
			k.log.Warn("others than its owner can read or change the file of access keys", "file", k.path, "mode", info.Mode())
		}
	} else if k.secrets != nil {
		return nil
	}
	if k.env.accessKeyID != "" {
		secrets[k.env.accessKeyID] = k.env.secretAccessKey
	}
	if k.secrets != nil {
		k.log.Info("access keys read anew", "file", k.path, "keys", len(secrets))
	}
	k.secrets = secrets
	return nil
}

func readCredentials(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read credentials: %w", err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxCredentials+1))
	if err != nil {
		return "", fmt.Errorf("read credentials: %w", err)
	}
	if len(content) > maxCredentials {
		return "", fmt.Errorf("read credentials: %s is longer than %d bytes", path, maxCredentials)
	}
	return string(content), nil
}

// parseCredentials reads every section of a shared-credentials file, of which
// there is one at least. Sections without a key, such as those that name a
// role, are left out. Errors have nothing of the file in them but the names of
// sections.
func parseCredentials(path, content string) (all []credentials, err error) {
	var section *credentials
	for line := range strings.Lines(content) {
		line = strings.TrimSpace(strings.TrimPrefix(line, "\ufeff"))
		if strings.HasPrefix(line, "[") {
			name, _, _ := strings.Cut(line[1:], "]")
			all = append(all, credentials{file: path, profile: strings.TrimSpace(name)})
			section = &all[len(all)-1]
			continue
		}
		name, value, _ := strings.Cut(line, "=")
		switch value = strings.TrimSpace(value); {
		case section == nil:
		case strings.TrimSpace(name) == "aws_access_key_id":
			section.accessKeyID = value
		case strings.TrimSpace(name) == "aws_secret_access_key":
			section.secretAccessKey = value
		}
	}
	seen := make(map[string]string)
	keys := all[:0]
	for _, c := range all {
		if c.accessKeyID == "" && c.secretAccessKey == "" {
			continue
		}
		if !accessKeyPattern.MatchString(c.accessKeyID) || c.secretAccessKey == "" {
			return nil, fmt.Errorf("read credentials: %s, section [%s]: it needs an aws_access_key_id of 3 to 128 letters, digits "+
				"and underscores, and an aws_secret_access_key", path, c.profile)
		}
		if before, ok := seen[c.accessKeyID]; ok {
			return nil, fmt.Errorf("read credentials: %s: sections [%s] and [%s] have the same aws_access_key_id", path, before, c.profile)
		}
		seen[c.accessKeyID] = c.profile
		keys = append(keys, c)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("read credentials: %s has no section with aws_access_key_id and aws_secret_access_key; "+
			"the data folder's own is made anew when it is removed", path)
	}
	return keys, nil
}

// newS3Account makes what this run of the server signs with when it uses the
// embedded S3 endpoint itself. Its name is no access key's.
func newS3Account() credentials {
	return credentials{accessKeyID: "anabranch-server", secretAccessKey: resource.RandomID(40)}
}
