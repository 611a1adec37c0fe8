package world

import (
	"errors"
	"fmt"
	"os"

	"github.com/prometheus/common/config"
)

// LoadHTTPConfig reads a file with the HTTP client section of Prometheus'
// own configuration: tls_config, authorization, basic_auth, oauth2, proxy_url
// and so on, strictly. File names in it are relative to the file. The files
// it names must be readable now; they are read again later, so that a token may
// be renewed.
func LoadHTTPConfig(path string) (*config.HTTPClientConfig, error) {
	c, _, err := config.LoadHTTPConfigFile(path)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("check %s: %w", path, err)
	}
	if err := errors.Join(missing(c)...); err != nil {
		return nil, fmt.Errorf("check %s: %w", path, err)
	}
	return c, nil
}

// missing says which of the files that the configuration names cannot be read.
// The client itself would only say so at the first query.
func missing(c *config.HTTPClientConfig) []error {
	files := []string{c.BearerTokenFile, c.TLSConfig.CAFile, c.TLSConfig.CertFile, c.TLSConfig.KeyFile}
	if c.Authorization != nil {
		files = append(files, c.Authorization.CredentialsFile)
	}
	if c.BasicAuth != nil {
		files = append(files, c.BasicAuth.UsernameFile, c.BasicAuth.PasswordFile)
	}
	if c.OAuth2 != nil {
		files = append(files, c.OAuth2.ClientSecretFile)
	}
	var errs []error
	for _, f := range files {
		if f == "" {
			continue
		}
		if _, err := os.ReadFile(f); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}
