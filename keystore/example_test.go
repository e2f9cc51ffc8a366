package keystore_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/oauth2"

	"github.com/mxauth/mxauth/flow"
	"github.com/mxauth/mxauth/flow/flowtest"
	"github.com/mxauth/mxauth/keystore"
)

// A program uses the session that somebody made with "mxauth login --name bot".
// It gets tokens that are refreshed when they must be, and shares them with every
// other process that uses the session.
func ExampleKeystore_TokenSource() {
	homeserver, agent, dir := botSession() // stands for the real ones
	defer func() { _ = os.RemoveAll(dir) }()

	store, err := keystore.Open(keystore.Options{Dir: filepath.Join(dir, "state"), KeyFile: filepath.Join(dir, "key")})
	if err != nil {
		log.Fatal(err)
	}
	bot, err := store.Find("bot")
	if err != nil {
		log.Fatal(err)
	}
	tokens := store.TokenSource(context.Background(), bot, agent.Refresh)
	client := http.Client{Transport: &oauth2.Transport{Source: tokens, Base: agent.HTTP.Transport}}
	resp, err := client.Get(homeserver + "/_matrix/client/v3/account/whoami")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(resp.StatusCode, string(body))
	// Output: 200 {"device_id":"ABCDEFGHIJ","is_guest":false,"user_id":"@alice:example.test"}
}

// Who wants a token with some life of its own asks for it, and refreshes by hand
// where that is not enough.
func ExampleKeystore_Fresh() {
	_, agent, dir := botSession()
	defer func() { _ = os.RemoveAll(dir) }()

	store, err := keystore.Open(keystore.Options{Dir: filepath.Join(dir, "state"), KeyFile: filepath.Join(dir, "key")})
	if err != nil {
		log.Fatal(err)
	}
	bot, err := store.Find("bot")
	if err != nil {
		log.Fatal(err)
	}
	session, err := store.Fresh(context.Background(), bot, agent.Refresh, func(s flow.Session) bool {
		return s.Lasts(time.Now(), 2*time.Minute)
	})
	switch {
	case errors.Is(err, keystore.ErrEnded):
		log.Fatal("somebody has to log in again")
	case err != nil:
		log.Fatal(err)
	}
	fmt.Println(session.UserID, "has", session.AccessToken, "for at least two minutes:", session.Lasts(time.Now(), 2*time.Minute))
	// Output: @alice:example.test has [secret] for at least two minutes: true
}

// A login has its place before its code is shown, stores the tokens before it
// uses one of them, and gets its name when it is known whose session it is.
func ExampleKeystore_Reserve() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "keystore")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	store, err := keystore.Open(keystore.Options{Dir: filepath.Join(dir, "state"), KeyFile: filepath.Join(dir, "key")})
	if err != nil {
		log.Fatal(err)
	}
	if err := store.Prepare(ctx, keystore.KindFile); err != nil {
		log.Fatal(err)
	}
	slot, err := store.Reserve(ctx, keystore.KindFile, flow.Session{Server: flow.Server{Name: "example.test"}})
	if err != nil {
		log.Fatal(err) // and no code is shown
	}
	session, err := approved()
	if err != nil {
		log.Fatal(errors.Join(err, store.Remove(ctx, slot, nil)))
	}
	if slot, err = store.Fill(ctx, slot, session); err != nil {
		log.Fatal(err)
	}
	bot, err := store.Name(ctx, slot, "bot", "@bot:example.test", nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(bot.Name, "is", bot.UserID, "and lies in", bot.Kind.Words())
	// Output: bot is @bot:example.test and lies in a sealed file
}

// botSession logs bot in at a homeserver in memory, and lets its access token run
// out.
func botSession() (homeserver string, agent *flow.Agent, dir string) {
	hs := flowtest.New()
	agent = &flow.Agent{HTTP: hs.Client()}
	session := loggedIn(hs, agent)
	session.Issued, session.Expiry = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
	dir, err := os.MkdirTemp("", "keystore")
	if err != nil {
		log.Fatal(err)
	}
	store, err := keystore.Open(keystore.Options{Dir: filepath.Join(dir, "state"), KeyFile: filepath.Join(dir, "key")})
	if err == nil {
		err = store.Prepare(context.Background(), keystore.KindFile)
	}
	var slot keystore.Entry
	if err == nil {
		slot, err = store.Reserve(context.Background(), keystore.KindFile, session)
	}
	if err == nil {
		slot, err = store.Fill(context.Background(), slot, session)
	}
	if err == nil {
		_, err = store.Name(context.Background(), slot, "bot", "@alice:example.test", nil)
	}
	if err != nil {
		log.Fatal(err)
	}
	return session.Server.Homeserver, agent, dir
}

func loggedIn(hs *flowtest.Server, agent *flow.Agent) flow.Session {
	server, err := agent.Discover(context.Background(), hs.ServerName)
	if err != nil {
		log.Fatal(err)
	}
	t, err := hs.LogIn("alice", "urn:matrix:client:api:* urn:matrix:client:device:ABCDEFGHIJ")
	if err != nil {
		log.Fatal(err)
	}
	return flow.Session{Server: server, Client: flow.Client{ID: t.ClientID}, DeviceID: "ABCDEFGHIJ", Scope: t.Scope, Expiry: t.Expiry,
		AccessToken: flow.NewSecret(t.AccessToken), RefreshToken: flow.NewSecret(t.RefreshToken)}
}

// approved stands for a device login, see flow.Agent.Begin and Wait.
func approved() (flow.Session, error) {
	hs := flowtest.New()
	return loggedIn(hs, &flow.Agent{HTTP: hs.Client()}), nil
}
