package keystore

// itemMax is the largest record for one item, in bytes. The Credential Manager
// takes 2560.
const itemMax = 2400
