package flowtest_test

import (
	"encoding/json"
	"fmt"
	"log"
	"net/http"

	"github.com/mxauth/mxauth/flow/flowtest"
)

// A server in memory, a session, and who it belongs to.
func Example() {
	s := flowtest.New()
	tokens, err := s.LogIn("alice", "urn:matrix:client:api:* urn:matrix:client:device:ABCDEFGHIJ")
	if err != nil {
		log.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodGet, s.URL+"/_matrix/client/v3/account/whoami", nil)
	if err != nil {
		log.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+tokens.AccessToken)
	resp, err := s.Client().Do(req)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var who struct {
		UserID   string `json:"user_id"`
		DeviceID string `json:"device_id"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&who); err != nil {
		log.Fatal(err)
	}
	fmt.Println(who.UserID, who.DeviceID)
	// Output: @alice:example.test ABCDEFGHIJ
}

// Two things go wrong with the next two requests to the token endpoint.
func ExampleServer_Inject() {
	s := flowtest.New()
	s.Inject(flowtest.Token, flowtest.HTML(502), flowtest.DropBefore())
	for range 3 {
		resp, err := s.Client().Post(s.Issuer+"oauth2/token", "application/x-www-form-urlencoded", nil)
		if err != nil {
			fmt.Println("the connection broke")
			continue
		}
		_ = resp.Body.Close()
		fmt.Println(resp.StatusCode, resp.Header.Get("Content-Type"))
	}
	// Output:
	// 502 text/html
	// the connection broke
	// 500 application/json
}
