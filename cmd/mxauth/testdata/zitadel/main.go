// Command zitadel is an OpenID provider made of zitadel's library and its
// example storage, for the tests. It has a module of its own, so that what the
// library needs never gets into mxauth's.
//
// It prints two issuers, a line each, and serves until its stdin closes: the
// first answers by the library's older routes, the second by the newer ones.
// Nobody can register; the client IDs are "native" and, for codes that run out
// at once, "hasty". Two people have the password "verysecure": their names are
// test-user@127.0.0.1 and test-user2, their subjects id1 and id2.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

func main() {
	storage.RegisterClients(storage.NativeClient("native"), storage.NativeClient("hasty"))
	for _, newer := range []bool{false, true} {
		issuer, err := serve(newer)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(issuer)
	}
	_, _ = io.Copy(io.Discard, os.Stdin) // its end is all that matters
}

// serve starts a provider on a free port and returns its issuer.
func serve(newer bool) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	issuer := "http://" + l.Addr().String()
	people := storage.NewUserStore(issuer)
	quiet := slog.New(slog.DiscardHandler)
	handler := exampleop.SetupServer(issuer, mended{storage.NewStorage(people), people}, quiet, newer)
	go func() { log.Fatal(http.Serve(l, handler)) }()
	return issuer, nil
}

// mended is the example storage, able to do the device grant with refresh
// tokens: as it comes, its public client lacks the grant, it takes the name of
// a person for their ID, and forgets whose client a device's token is.
type mended struct {
	*storage.Storage
	people storage.UserStore
}

func (m mended) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	c, err := m.Storage.GetClientByClientID(ctx, id)
	return deviceClient{c}, err
}

type deviceClient struct{ op.Client }

func (c deviceClient) GrantTypes() []oidc.GrantType {
	return append(slices.Clone(c.Client.GrantTypes()), oidc.GrantTypeDeviceCode)
}

func (m mended) StoreDeviceAuthorization(ctx context.Context, client, deviceCode, userCode string, expires time.Time, scopes []string) error {
	if client == "hasty" {
		expires = time.Now()
	}
	return m.Storage.StoreDeviceAuthorization(ctx, client, deviceCode, userCode, expires, scopes)
}

func (m mended) CompleteDeviceAuthorization(ctx context.Context, userCode, name string) error {
	p := m.people.GetUserByUsername(name)
	if p == nil {
		return fmt.Errorf("no such person: %q", name)
	}
	return m.Storage.CompleteDeviceAuthorization(ctx, userCode, p.ID)
}

func (m mended) CreateAccessAndRefreshTokens(ctx context.Context, request op.TokenRequest, refresh string) (string, string, time.Time, error) {
	if device, ok := request.(*op.DeviceAuthorizationState); ok {
		request = storage.RefreshTokenRequestFromBusiness(&storage.RefreshToken{
			ApplicationID: device.ClientID, UserID: device.Subject, Audience: device.GetAudience(), Scopes: device.Scopes,
			AMR: device.AMR, AuthTime: device.AuthTime,
		})
	}
	return m.Storage.CreateAccessAndRefreshTokens(ctx, request, refresh)
}
