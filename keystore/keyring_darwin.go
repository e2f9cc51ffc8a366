package keystore

// itemMax is the largest record for one item, in bytes. The security program
// takes a command of 4096 bytes, in which the record stands as Base64.
const itemMax = 2000
