package flow

// An Identity is whose token it is.
type Identity struct {
	UserID   string // Matrix user ID, or the subject at a plain issuer
	DeviceID string // Matrix device, empty if the token has none
	Name     string // preferred_username or username, if userinfo told one
}
