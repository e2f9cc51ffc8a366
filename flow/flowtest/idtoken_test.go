package flowtest_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/flow/flowtest"
)

// TestIDToken verifies one with the key that the server shows.
func TestIDToken(t *testing.T) {
	s := flowtest.New()
	c := newTerminal(t, s)
	codes := c.codes("openid")
	if err := s.Approve(codes["user_code"].(string), "alice"); err != nil {
		t.Fatal(err)
	}
	_, m := c.poll(codes)
	_, keys := c.get(s.Issuer+"oauth2/keys.json", "")
	jwk := keys["keys"].([]any)[0].(map[string]any)
	decode := func(text any) []byte {
		b, err := base64.RawURLEncoding.DecodeString(text.(string))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, decode(jwk["x"])...), decode(jwk["y"])...))
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(m["id_token"].(string), ".")
	signature := decode(parts[2])
	hash := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if len(signature) != 64 || !ecdsa.Verify(key, hash[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
		t.Error("the signature is not the key's")
	}
	var claims map[string]any
	if err := json.Unmarshal(decode(parts[1]), &claims); err != nil {
		t.Fatal(err)
	}
	_, who := c.get(s.Issuer+"oauth2/userinfo", m["access_token"].(string))
	if claims["iss"] != s.Issuer || claims["aud"] != c.client || claims["sub"] != who["sub"] || who["username"] != "alice" {
		t.Errorf("%v, %v", claims, who)
	}
}
