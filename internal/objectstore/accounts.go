package objectstore

import "github.com/versity/versitygw/auth"

// accounts are who may use the embedded store: the server itself, and whoever
// has an access key. All may do everything, and every bucket is the server's:
// keys come and go.
type accounts struct {
	auth.IAMService // the server's own account; nothing can be changed
	own             auth.Account
	secret          func(accessKeyID string) (string, bool)
}

func newAccounts(cfg *ServeConfig) accounts {
	own := auth.Account{Access: cfg.AccessKeyID, Secret: cfg.SecretAccessKey, Role: auth.RoleAdmin}
	return accounts{auth.NewIAMServiceSingle(own), own, cfg.Secret}
}

// GetUserAccount finds an account. It is called for each request, so that a key
// counts from when it is known until it is not.
func (a accounts) GetUserAccount(accessKeyID string) (auth.Account, error) {
	if accessKeyID == a.own.Access {
		return a.own, nil
	}
	if a.secret != nil {
		if secret, ok := a.secret(accessKeyID); ok {
			return auth.Account{Access: accessKeyID, Secret: secret, Role: auth.RoleAdmin}, nil
		}
	}
	return auth.Account{}, auth.ErrNoSuchUser
}

// ResolveAccounts returns those of ids that name no account.
func (a accounts) ResolveAccounts(ids []string) (missing []string, err error) {
	for _, id := range ids {
		if _, err := a.GetUserAccount(id); err != nil {
			missing = append(missing, id)
		}
	}
	return missing, nil
}

// BucketOwner is the owner of each bucket, whoever makes it.
func (a accounts) BucketOwner() auth.Account { return a.own }
