package main

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
)

// algCosignature is the type of keys that cosign: timestamped Ed25519, C2SP tlog-cosignature v1.
const algCosignature = 0x04

// timestampSize is the number of bytes of the unix seconds in front of the Ed25519 signature.
const timestampSize = 8

// cosigner implements note.Verifier for a key of type 0x04.
type cosigner struct {
	name string
	id   uint32
	key  ed25519.PublicKey
}

// newCosigner parses a verifier key, NAME+ID+BASE64, where the last part is the type and the key.
func newCosigner(vkey string) (*cosigner, error) {
	// Base64 may contain a plus sign, names may not.
	parts := strings.SplitN(vkey, "+", 3)
	if len(parts) != 3 || parts[0] == "" {
		return nil, errors.New("malformed verifier key")
	}
	name := parts[0]
	material, err := base64.StdEncoding.Strict().DecodeString(parts[2])
	if err != nil {
		return nil, fmt.Errorf("verifier key of %s: %w", name, err)
	}
	if len(material) != 1+ed25519.PublicKeySize || material[0] != algCosignature {
		return nil, fmt.Errorf("verifier key of %s: not a cosignature/v1 key", name)
	}
	digest := sha256.Sum256(append([]byte(name+"\n"), material...))
	id := binary.BigEndian.Uint32(digest[:])
	if parts[1] != fmt.Sprintf("%08x", id) {
		return nil, fmt.Errorf("verifier key of %s: the key id is %s, not %08x", name, parts[1], id)
	}
	return &cosigner{name, id, material[1:]}, nil
}

func (c *cosigner) Name() string    { return c.name }
func (c *cosigner) KeyHash() uint32 { return c.id }

// Verify reports whether sig, a timestamp and an Ed25519 signature, is one of the note text.
func (c *cosigner) Verify(text, sig []byte) bool {
	if len(sig) != timestampSize+ed25519.SignatureSize {
		return false
	}
	time := binary.BigEndian.Uint64(sig)
	if time > math.MaxInt64 {
		return false
	}
	message := fmt.Sprintf("cosignature/v1\ntime %d\n%s", time, text)
	return ed25519.Verify(c.key, []byte(message), sig[timestampSize:])
}
