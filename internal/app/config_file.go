package app

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/alecthomas/kong"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// settingsFile is the YAML file of --config: one mapping from names of flags
// to scalars, kept as they are written.
type settingsFile struct {
	path   string
	values map[string]string
}

// configFile is the value of --config. It reads the file when the flags are
// known and what they leave open is looked up.
type configFile string

// BeforeResolve is called by kong.
func (f configFile) BeforeResolve(ctx *kong.Context, trace *kong.Path) error {
	path := string(ctx.FlagValue(trace.Flag).(configFile))
	if path == "" {
		return nil
	}
	settings, err := readSettings(path)
	if err != nil {
		return fmt.Errorf("--config: %w", err)
	}
	ctx.AddResolver(settings)
	return nil
}

func readSettings(path string) (*settingsFile, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	file, err := parser.ParseBytes(content, 0)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	s := &settingsFile{path: filepath.Base(path), values: make(map[string]string)}
	for _, doc := range file.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.CommentType {
			continue
		}
		mapping, ok := doc.Body.(*ast.MappingNode)
		if !ok {
			return nil, fmt.Errorf("read %s: it is not a list of settings, one \"name: value\" a line", s.path)
		}
		for _, entry := range mapping.Values {
			key := entry.Key.GetToken()
			if _, ok := entry.Value.(ast.ScalarNode); !ok || entry.Value.Type() == ast.NullType {
				return nil, fmt.Errorf("read %s, line %d: %s needs one value", s.path, key.Position.Line, key.Value)
			}
			if _, ok := s.values[key.Value]; ok {
				return nil, fmt.Errorf("read %s, line %d: %s is there twice", s.path, key.Position.Line, key.Value)
			}
			s.values[key.Value] = entry.Value.GetToken().Value
		}
	}
	return s, nil
}

// Validate refuses keys that are no settings.
func (s *settingsFile) Validate(application *kong.Application) error {
	known := make(map[string]bool)
	for _, flag := range application.Flags {
		known[flag.Name] = flag.Name != "help" && flag.Name != "config"
	}
	for key := range s.values {
		if !known[key] {
			return fmt.Errorf("%s: there is no setting %q", s.path, key)
		}
	}
	return nil
}

// Resolve gives the file's value of a flag that was not given, unless the
// environment has one.
func (s *settingsFile) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	for _, name := range flag.Envs {
		if _, ok := os.LookupEnv(name); ok {
			return nil, nil
		}
	}
	if value, ok := s.values[flag.Name]; ok {
		return value, nil
	}
	return nil, nil
}
