package app

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"anabranch/internal/resource"
)

// credentials are what calls of the API and of the embedded S3 endpoint are
// signed with.
type credentials struct {
	accessKeyID, secretAccessKey string
	// file is where a client finds them in the AWS shared-credentials format;
	// empty when they came from the environment.
	file string
}

// credentialsFile is made on the first start.
const credentialsFile = "credentials"

// openCredentials takes the credentials of cfg, else those in the data folder,
// which it makes on the first start.
func openCredentials(dir *dataDir, cfg *Config) (credentials, error) {
	if cfg.AccessKeyID != "" {
		return credentials{cfg.AccessKeyID, cfg.SecretAccessKey, ""}, nil
	}
	path := dir.file(credentialsFile)
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		c := credentials{"AB" + strings.ToUpper(resource.RandomID(18)), resource.RandomID(40), path}
		return c, dir.write(credentialsFile, fmt.Appendf(nil,
			"[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n", c.accessKeyID, c.secretAccessKey))
	}
	if err != nil {
		return credentials{}, fmt.Errorf("read credentials: %w", err)
	}
	c := parseCredentials(content)
	c.file = path
	if !accessKeyPattern.MatchString(c.accessKeyID) || c.secretAccessKey == "" {
		return credentials{}, fmt.Errorf("read credentials: %s has no aws_access_key_id and aws_secret_access_key in [default]; remove it to have new ones made", path)
	}
	return c, nil
}

// parseCredentials reads the default profile of a shared-credentials file.
func parseCredentials(content []byte) (c credentials) {
	profile := ""
	for lines := bufio.NewScanner(bytes.NewReader(content)); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if strings.HasPrefix(line, "[") {
			profile = strings.TrimSpace(strings.Trim(line, "[]"))
			continue
		}
		name, value, _ := strings.Cut(line, "=")
		if profile != "default" {
			continue
		}
		switch strings.TrimSpace(name) {
		case "aws_access_key_id":
			c.accessKeyID = strings.TrimSpace(value)
		case "aws_secret_access_key":
			c.secretAccessKey = strings.TrimSpace(value)
		}
	}
	return c
}

// openSecretKey reads the key that playback sessions and page tokens are
// sealed with, and makes it on the first start. It outlives a restart, so that
// players play on.
func openSecretKey(dir *dataDir) ([]byte, error) {
	const name, size = "secret.key", 32
	key, err := os.ReadFile(dir.file(name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		key = randomBytes(size)
		return key, dir.write(name, key)
	case err != nil:
		return nil, fmt.Errorf("read secret key: %w", err)
	case len(key) != size:
		return nil, fmt.Errorf("read secret key: %s has %d bytes, not %d; remove it to have a new one made", dir.file(name), len(key), size)
	}
	return key, nil
}
